"""The HTML report of a comparison: its findings come first, and the seeds of a method are shown as one."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from made_runs import EVIL, Page, compared, write_run

from longtail.errors import UserError
from longtail.report.html import build_page, find_comparison, read_comparison, read_run
from longtail.report.html.compared import HEADINGS
from longtail.report.html.runs import Member
from longtail.report.html.series import in_series, names_of

SEEDS = 3
METHODS = ("erm", "bs")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    return [
        write_run(folder / f"{method}-seed{seed}", seed=10 * at + seed, member=Member(method, seed))
        for at, method in enumerate(METHODS)
        for seed in range(SEEDS)
    ]


@pytest.fixture(scope="module")
def text(runs):
    return build_page(runs, compared(METHODS))


def figure(text, mark):
    return re.search(rf'<svg [^>]*aria-labelledby="{mark}-title.*?</svg>', text, re.DOTALL)[0]


def legend(text):
    return re.findall(r"</svg> ([^<]*)</li>", re.search(r'<ul class="legend">.*?</ul>', text, re.DOTALL)[0])


def lines(drawn, look):
    return re.findall(rf'class="{look} series-(\d)" d="([^"]*)"', drawn)


def table(text, label):
    """The cells of each row of a table without their markup."""
    body = re.search(rf'aria-label="{label}".*?</table>', text, re.DOTALL)[0]
    rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    return [[re.sub("<[^>]*>", "", each) for each in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows]


@pytest.mark.parametrize("mark", ["by-size", "accuracy", "training-loss"])
def test_figures_have_one_line_a_method_and_faint_ones_for_its_seeds(text, mark):
    drawn = figure(text, mark)
    assert [series for series, _ in lines(drawn, "line")] == ["0", "1"]
    assert [series for series, _ in lines(drawn, "line faint-line")] == ["0"] * SEEDS + ["1"] * SEEDS
    assert "erm (mean of 3 seeds): " in drawn
    assert legend(text) == list(METHODS)


def test_the_line_is_the_mean_of_the_faint_ones(text):
    drawn = figure(text, "by-size")
    (_, mean), *_ = lines(drawn, "line")
    seeds = [path for _, path in lines(drawn, "line faint-line")[:SEEDS]]
    height = [[float(pair.split()[1]) for pair in path[1:].split("L")] for path in (mean, *seeds)]
    np.testing.assert_allclose(height[0], np.mean(height[1:], axis=0), atol=0.11)


def test_each_seed_is_marked_at_its_best_epoch(text):
    told = re.findall(r"<title>(.*?, seed \d), best epoch</title>", figure(text, "accuracy"))
    assert told == [f"{method}, seed {seed}" for method in METHODS for seed in range(SEEDS)]


def test_the_table_of_classes_has_a_column_a_method(runs, text):
    heading, *rows = table(text, "Table of classes")
    assert heading == ["class", "training images", *METHODS]
    values = 100 * np.array([run.accuracies() for run in runs]).reshape(len(METHODS), SEEDS, -1)
    spread = zip(values.mean(axis=1), values.std(axis=1, ddof=1), strict=True)
    columns = [[f"{mean:.1f} ± {sd:.1f}" for mean, sd in zip(*each, strict=True)] for each in spread]
    assert [row[2:] for row in rows] == [list(row) for row in zip(*columns, strict=True)]


def test_the_summary_is_grouped_by_method(text):
    first = [row[0] for row in table(text, "Summary table")[1:]]
    seeds = ["seed 0", "seed 1", "seed 2"]
    assert [each for each in first if not each.startswith("last")] == ["erm", *seeds, "bs", *seeds]


def test_parts_of_one_run_name_method_and_seed(text):
    for part in ("reliability", "confusion", "worst classes"):
        assert re.findall(rf"<h3>(.*): {part}</h3>", text) == [f"{method}, seed {at}" for method in METHODS for at in range(3)]
    assert "-seed" not in text


def test_settings_that_differ_are_told_by_method(runs):
    other = [replace(run, record={**run.record, "identity": {"seed": 0, "loss": run.member.contender}}) for run in runs]
    assert table(build_page(other, compared(METHODS)), "Settings that differ") == [["setting", *METHODS], ["loss", *METHODS]]


def test_what_is_true_of_some_runs_names_methods_rather_than_all_of_their_seeds(runs):
    series = in_series(runs)
    assert names_of([run.name for run in runs[:4]], series) == "erm; bs, seed 0"
    assert names_of([run.name for run in runs], series) == "erm, bs"
    without = [replace(run, predicted=None, why_not="no checkpoint") if at < 4 else run for at, run in enumerate(runs)]
    text = build_page(without, compared(METHODS))
    assert "Reliability diagram of erm; bs, seed 0: absent (no checkpoint)." in text
    assert "Confusion matrix: absent for erm; bs, seed 0, see" in text


def test_runs_that_the_comparison_does_not_tell_of_stand_alone(runs, tmp_path):
    stray = write_run(tmp_path / "ldam-seed7")
    text = build_page([*runs, stray], compared(METHODS))
    assert legend(text) == [*METHODS, "ldam-seed7"]
    assert ["not of the comparison"] in table(text, "Summary table")
    assert len(lines(figure(text, "by-size"), "line faint-line")) == SEEDS * len(METHODS)


def test_a_single_seed_has_no_spread(runs):
    text = build_page([runs[0], runs[SEEDS]], compared(METHODS))
    assert legend(text) == list(METHODS)
    assert "faint-line" not in text.split("</style>")[1]
    assert "±" not in "".join(cell for row in table(text, "Table of classes") for cell in row)
    assert "single seeds" not in text


def test_seeds_with_other_classes_are_no_series(runs, tmp_path):
    changed = write_run(tmp_path / "changed", class_names=("x", "y"), class_counts=(9, 1), member=Member("erm", 3))
    assert [len(each.runs) for each in in_series([*runs, changed])] == [SEEDS, SEEDS, 1]


def test_the_mean_is_of_epochs_that_all_seeds_tell(runs):
    cut = [replace(runs[0], epochs=runs[0].epochs[:1]), *runs[1:3], replace(runs[3], epochs=[]), *runs[4:]]
    drawn = figure(build_page(cut, compared(METHODS)), "training-loss")
    assert [path.count("L") for _, path in lines(drawn, "line")] == [0, 1]


def test_accuracies_that_a_seed_lacks_make_the_mean_absent(runs):
    result = {**runs[0].result("best"), "per_class_accuracy": [0.5, None, 0.5]}
    gap = [replace(runs[0], record={**runs[0].record, "results": {"best": result, "last": result}}), *runs[1:]]
    assert table(build_page(gap, compared(METHODS)), "Table of classes")[2][2] == "absent"


def test_its_findings_come_first(runs, tmp_path):
    scores = dict.fromkeys(HEADINGS.values(), 0.5)
    base = {
        "label": "erm",
        "mean": scores,
        "sample_standard_deviation": dict.fromkeys(scores),
        "runs": [{"seed": 0, "folder": "somewhere/runs/erm-seed0", "train_seconds": 200.0}],
        "failures": {},
        "verdict": "baseline",
        "difference": None,
    }
    other = {
        **base,
        "label": EVIL,
        "runs": [{"seed": 0, "folder": "somewhere/runs/evil-seed0", "train_seconds": 200.0}],
        "sample_standard_deviation": dict.fromkeys(scores, 0.012),
        "failures": {"1": "out of\nmemory", "2": "out of memory"},
        "verdict": "worse by 2.1 ± 0.8 points",
        "difference": {score: {"mean": -0.021, "half_width": 0.008, "pairs": 3} for score in scores}
        | {"many": {"mean": 0.045, "half_width": 0.9, "pairs": 2}, "few": None},
    }
    file = tmp_path / "comparison.json"
    file.write_text(json.dumps({"data": "photos", "baseline": "erm", "notes": ["a note"], "methods": [base, other]}))
    (tmp_path / "runs").mkdir()
    assert find_comparison([tmp_path]) == find_comparison([tmp_path / "runs"]) == file
    assert find_comparison([tmp_path, tmp_path.parent]) is None
    comparison = read_comparison(file)
    assert list(comparison.members.items()) == [("erm-seed0", ("erm", 0)), ("evil-seed0", (EVIL, 0))]
    text = build_page([read_run(runs[0].folder, Member(EVIL, 0))], comparison)
    page = Page(text)
    assert page.all("h2")[0] == {"id": "comparison"}
    told = {"50.0", "50.0 ± 1.2", "\N{MINUS SIGN}2.1 ± 0.8", "+4.5", "absent", "3.3 min", "worse by 2.1 ± 0.8 points", "a note"}
    assert told | {EVIL} <= set(page.texts)
    assert "failed, seed 1, 2: out of memory" in text
    assert all(each.get("scope") for each in page.all("th"))


@pytest.mark.parametrize("text", ['{"data": "photos", "methods": []}', "[]", '{"data": "a", "baseline": "b", "methods": [1]}'])
def test_a_damaged_file_is_named(tmp_path, text):
    file = tmp_path / "comparison.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"comparison\.json is not a comparison"):
        read_comparison(file)
