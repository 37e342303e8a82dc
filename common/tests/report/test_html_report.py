"""The HTML report: what it shows, what it says is absent, and that it needs and runs nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from longtail.datasets.base import ArrayImages, FileImages, ImageData
from longtail.errors import UserError
from longtail.metrics import ClassificationCounts, summarise
from longtail.report.html import (
    LIMIT,
    Predicted,
    build_page,
    find_comparison,
    find_runs,
    read_comparison,
    read_run,
    svg,
)
from longtail.report.html.compared import HEADINGS
from longtail.report.html.confusion import largest_confusions
from longtail.report.html.reliability import bins_of
from longtail.report.html.thumbnails import SIDE, data_uri
from longtail.report.html.worst import worst_classes

EVIL = '<script>alert("1")</script> & <b>'
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """The elements of a page with their attributes; complains where they are not nested."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def predictions(labels, logits, names):
    """What a network with these logits makes of noise with these labels."""
    counts = ClassificationCounts(len(names), confusion_limit=100)
    counts.update(torch.from_numpy(logits), torch.from_numpy(labels))
    probabilities = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    pixels = np.arange(len(labels) * 12 * 12 * 3).reshape(-1, 12, 12, 3) % 251
    data = ImageData(ArrayImages(pixels.astype(np.uint8)), labels, tuple(names))
    return Predicted(data, "noise", 2, probabilities.argmax(axis=1), probabilities.max(axis=1), counts)


def write_run(folder, class_names=("cat", "dog", "emu"), class_counts=(100, 30, 3), epochs=2, seed=0, finished=True):
    """A run's folder as training leaves it, with made-up results; returns the run with its predictions."""
    classes = len(class_names)
    rng = np.random.default_rng(seed)
    labels = np.arange(20 * classes) % classes
    logits = 2 * rng.normal(size=(len(labels), classes)).astype(np.float32) + 2 * np.eye(classes, dtype=np.float32)[labels]
    predicted = predictions(labels, logits, class_names)
    result = summarise(predicted.counts, class_counts).to_dict()
    folder.mkdir(parents=True)
    lines = [
        {"epoch": at, "train_loss": 2.0 / (at + 1), "test": result, "val": None, "is_best": at == 0} for at in range(epochs)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = {
        "command": "longtail train erm",
        "identity": {"method": "erm", "seed": seed, "select": "test", "shots_many": 50, "shots_few": 20},
        "class_counts": list(class_counts),
        "input": {"class_names": list(class_names)},
        "versions": {"torch": "2.9.0"},
        "finished": finished,
    }
    if finished:
        record["results"] = {"select": "test", "best": {"epoch": 0, **result}, "last": {"epoch": epochs - 1, **result}}
    (folder / "run.json").write_text(json.dumps(record))
    return replace(read_run(folder), predicted=predicted)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder / name, seed=seed) for seed, name in enumerate(("plain", "better"))]


@pytest.fixture(scope="module")
def text(runs):
    return build_page(runs)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_summary_and_sections_are_there(runs, text, page):
    best = runs[0].result("best")
    for score in ("accuracy", "balanced_accuracy", "macro_f1", "ece", "worst_accuracy"):
        assert f"{100 * best[score]:.1f}" in page.texts
    assert [each["id"] for each in page.all("h2")] == [
        "summary",
        "classes",
        "learning",
        "calibration",
        "confusion",
        "worst",
        "settings",
    ]
    assert "chosen" not in text
    assert "which flatters it" in text
    assert "Settings in which the runs differ" in text


def test_nothing_is_fetched_and_nothing_runs(page, text):
    for tag, attributes in page.elements:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
                assert value.startswith(("data:", "#")), (tag, name, value)
    assert not re.search(r"url\(|@import|https?://", text.split("</style>")[0])


def test_it_can_be_used_without_seeing_it(page):
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("title")) > 0
    assert all(each.get("alt") for each in page.all("img"))
    assert all(each.get("scope") for each in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    figures = [each for each in page.all("svg") if "aria-hidden" not in each]
    marks = [each["id"] for _, each in page.elements if "id" in each]
    assert len(marks) == len(set(marks))
    for each in figures:
        assert each["role"] == "img"
        assert set(each["aria-labelledby"].split()) <= set(marks)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_names_are_text_wherever_they_stand(tmp_path):
    evil = write_run(tmp_path / "a", class_names=(EVIL, "'\"><img src=x onerror=alert(2)>", "]]>\x00\u202e"))
    evil = replace(evil, record={**evil.record, "command": EVIL, "identity": {"method": EVIL, EVIL: EVIL}}, name=EVIL)
    text = build_page([evil], title=EVIL)
    page = Page(text)
    assert not page.all("script")
    assert not [each for each in page.all("img") if not each["src"].startswith("data:")]
    assert not [name for _, each in page.elements for name in each if name.startswith("on")]
    assert EVIL in page.texts
    assert "\x00" not in text
    assert "\u202e" not in text


def test_what_is_not_there_is_called_absent(tmp_path):
    run = replace(write_run(tmp_path / "a", epochs=1), predicted=None, why_not="the checkpoint is missing", epochs=[])
    text = build_page([replace(run, record={**run.record, "results": {}})])
    assert "Reliability diagram: absent (the checkpoint is missing)." in text
    for what in ("Confusion matrix", "What they were taken for"):
        assert f'{what}: absent, see <a href="#calibration">Calibration</a>.' in text
    for what in ("Learning curves", "Accuracy of the classes", "Worst classes"):
        assert f"{what}: absent (no epoch was evaluated)" in text
    told = {**run.result("best"), "few": None}
    shown = build_page([replace(run, record={**run.record, "results": {"best": told, "last": told}})])
    assert '<td class="number">absent</td>' in shown


def test_a_run_under_way_shows_its_best_epoch_so_far(tmp_path):
    run = write_run(tmp_path / "a", epochs=3, finished=False)
    assert (run.result("best")["epoch"], run.result("last")["epoch"]) == (0, 2)
    assert "training has not come to its end" in build_page([run])


def test_runs_of_the_last_epoch_alone_have_one_row(tmp_path):
    run = write_run(tmp_path / "a", epochs=1)
    assert build_page([run]).count('<th scope="row" class="epoch">best and last: 1</th>') == 1
    chosen = replace(run, record={**run.record, "results": {**run.record["results"], "select": "last"}})
    assert build_page([chosen]).count('<th scope="row" class="epoch">last: 1</th>') == 1


def test_the_summary_tells_of_the_data(tmp_path):
    run = write_run(tmp_path / "a")
    text = build_page([replace(run, record={**run.record, "identity": {"data": "/home/me/photos"}})])
    assert "<li>trained on photos: 3 classes, 133 training images, 3 to 100 a class; 60 test images</li>" in text
    result = {**run.result("best"), "per_class_accuracy": [0.5, None, 0.5]}
    gap = build_page([replace(run, record={**run.record, "results": {"best": result, "last": result}})])
    assert "<li>1 class without test images: dog</li>" in gap


def test_classes_of_runs_that_hold_out_images_stand_in_one_table(tmp_path):
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b", class_counts=(90, 30, 3))]
    text = build_page(runs)
    assert text.count("<summary>Accuracy of each class<") == 1
    assert '<td class="number">90 to 100</td>' in text
    assert '<td class="number">30</td>' in text


def test_of_many_runs_each_is_folded_away(runs):
    many = [replace(runs[0], name=f"run {at}") for at in range(5)]
    assert Page(build_page(many)).all("details").count({"class": "run"}) == 4 * 5
    assert {"class": "run"} not in Page(build_page(many[:4])).all("details")


def test_accuracy_is_drawn_once_where_it_is_balanced(runs):
    assert "balanced-accuracy-title" not in build_page(runs)
    skewed = [{**line, "test": {**line["test"], "balanced_accuracy": 0.1}} for line in runs[0].epochs]
    assert "balanced-accuracy-title" in build_page([replace(runs[0], epochs=skewed)])


def test_more_classes_than_a_matrix_shows_still_have_largest_confusions(tmp_path):
    run = write_run(tmp_path / "many", [f"class {at}" for at in range(101)], [9] * 101)
    text = build_page([run])
    assert "classes are too many to be read" in text
    assert "<summary>Largest confusions</summary>" in text


def test_a_comparison_comes_first(runs, tmp_path):
    scores = dict.fromkeys(HEADINGS.values(), 0.5)
    base = {
        "label": "erm",
        "mean": scores,
        "sample_standard_deviation": dict.fromkeys(scores),
        "runs": [{"folder": "somewhere/runs/better", "train_seconds": 200.0}],
        "failures": {},
        "verdict": "baseline",
        "difference": None,
    }
    other = {
        **base,
        "label": EVIL,
        "sample_standard_deviation": dict.fromkeys(scores, 0.012),
        "failures": {"1": "out of\nmemory"},
        "verdict": "worse by 2.1 ± 0.8 points",
        "difference": {score: {"mean": -0.021, "half_width": 0.008, "pairs": 3} for score in scores} | {"few": None},
    }
    file = tmp_path / "comparison.json"
    file.write_text(json.dumps({"data": "photos", "baseline": "erm", "notes": ["a note"], "methods": [base, other]}))
    (tmp_path / "runs").mkdir()
    assert find_comparison([tmp_path]) == find_comparison([tmp_path / "runs"]) == file
    assert find_comparison([tmp_path, tmp_path.parent]) is None
    comparison = read_comparison(file)
    assert comparison.order == ["better", "better"]
    text = build_page(runs, comparison)
    page = Page(text)
    assert page.all("h2")[0] == {"id": "comparison"}
    for told in (
        "50.0",
        "50.0 ± 1.2",
        "\N{MINUS SIGN}2.1 ± 0.8",
        "absent",
        "3.3 min",
        "worse by 2.1 ± 0.8 points",
        "a note",
        EVIL,
    ):
        assert told in page.texts
    assert "failed, seed 1: out of memory" in text
    assert all(each.get("scope") for each in page.all("th"))
    file.write_text('{"data": "photos", "methods": []}')
    with pytest.raises(UserError, match=r"comparison\.json is not a comparison"):
        read_comparison(file)


def test_images_can_be_left_out(runs):
    page = Page(build_page(runs, images=False))
    assert not page.all("img")
    assert len(Page(build_page(runs)).all("img")) > 4


def test_runs_of_one_name_are_told_apart(tmp_path):
    both = [write_run(tmp_path / parent / "erm") for parent in "ab"]
    text = build_page(both)
    assert all(str(run.folder) in text for run in both)


def test_runs_with_different_classes_have_tables_of_their_own(tmp_path, runs):
    other = write_run(tmp_path / "other", class_names=("x", "y"), class_counts=(9, 1))
    text = build_page([*runs, other])
    assert text.count("<summary>Accuracy of each class (") == 2
    assert build_page(runs).count("<summary>Accuracy of each class<") == 1


@pytest.mark.parametrize("classes", [2, 31, 100, 1000])
def test_any_number_of_classes_stays_small(tmp_path, classes):
    counts = [max(1, 500 - 5 * at) for at in range(classes)]
    run = write_run(tmp_path / "many", [f"class {at}" for at in range(classes)], counts)
    text = build_page([run])
    Page(text)
    assert len(text.encode()) < LIMIT / 5
    assert ("classes are too many to be read" in text) == (classes > 100)


def test_the_largest_confusions_come_first():
    matrix = np.array([[5, 3, 0], [4, 0, 0], [0, 1, 9]])
    true, taken_for = np.repeat(np.argwhere(matrix >= 0), matrix.ravel(), axis=0).T
    found = largest_confusions(true, taken_for)
    assert [(each.true, each.taken_for, each.images) for each in found] == [(1, 0, 4), (0, 1, 3), (2, 1, 1)]
    assert found[1].share == pytest.approx(3 / 8)
    assert largest_confusions(true, true) == []


def test_bins_give_the_calibration_error(runs):
    predicted = runs[0].predicted
    found = bins_of(predicted)
    assert sum(each.samples for each in found) == len(predicted.labels)
    error = sum(each.samples * abs(each.accuracy - each.confidence) for each in found) / len(predicted.labels)
    assert error == pytest.approx(predicted.calibration_error())
    assert error == pytest.approx(runs[0].result("best")["ece"])
    assert all(each.low <= each.confidence <= each.high for each in found)


def test_worst_classes_show_the_surest_mistakes(runs):
    run = runs[0]
    worst = worst_classes(run, with_images=True)
    assert [each.accuracy for each in worst] == sorted(each.accuracy for each in worst)
    for each in worst:
        label = run.class_names.index(each.name)
        wrong = run.predicted.labels[run.predicted.data.labels == label] != label
        assert sum(count for _, count in each.taken_for) == wrong.sum()
        sure = [one.confidence for one in each.examples]
        assert sure == sorted(sure, reverse=True)


def test_thumbnails_are_small_and_unreadable_ones_left_out(tmp_path):
    Image.new("RGB", (3000, 200), "red").save(tmp_path / "wide.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    images = FileImages(tmp_path, ("wide.png", "broken.png"))
    assert data_uri(images, 0).startswith("data:image/jpeg;base64,")
    assert len(data_uri(images, 0)) < 100 * SIDE
    assert data_uri(images, 1) is None


def test_folders_of_runs_are_searched(tmp_path):
    for name in ("all/b", "all/a", "all/a~1"):
        write_run(tmp_path / name)
    assert find_runs([tmp_path / "all"]) == [tmp_path / "all/a", tmp_path / "all/b"]
    assert find_runs([tmp_path / "all/b", tmp_path / "all/b"]) == [tmp_path / "all/b"]
    with pytest.raises(UserError, match=r"there is no run\.json in it"):
        find_runs([tmp_path / "none"])


def test_damaged_files_are_named(tmp_path):
    folder = write_run(tmp_path / "a").folder
    (folder / "metrics.jsonl").write_text('{"epoch": 0\n')
    with pytest.raises(UserError, match=r"cannot read .*metrics\.jsonl"):
        read_run(folder)
    (folder / "run.json").write_text("[]")
    with pytest.raises(UserError, match=r"run\.json does not tell the class counts"):
        read_run(folder)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.floats(1, 1e6), st.floats(1.01, 1e6))
def test_ticks_lie_between_the_ends_and_are_few(low, ratio):
    high = low * ratio
    for ticks in (svg.round_ticks(low, high), svg.log_ticks(low, high)):
        assert len(ticks) <= 13
        assert all(low * 0.99 <= each <= high * 1.01 for each in ticks)
    assert svg.round_ticks(low, high)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
MEASURE = """<script>
document.body.style.width = "WIDTHpx";
document.querySelectorAll("details").forEach(each => each.open = true);
const fetched = performance.getEntriesByType("resource").filter(each => !each.name.startsWith("data:"));
const broken = [...document.images].filter(each => !each.naturalWidth);
document.title = [document.body.scrollWidth, fetched.length, broken.length].join(" ");
</script>"""
"""Makes the body as wide as a phone and tells, in the title, its width with all that sticks out, requests and broken images."""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH to open the report in")
@pytest.mark.parametrize(("width", "dark"), [(360, False), (1000, True)], ids=["phone", "dark"])
def test_a_browser_shows_it_without_overflow_requests_or_errors(tmp_path, text, width, dark):
    # windows cannot be as narrow as a phone, the body can; what measures it would not run under the page's own policy
    measure = MEASURE.replace("WIDTH", str(width)) + "</body>"
    measured = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("</body>", measure)
    (tmp_path / "measured.html").write_text(measured)
    (tmp_path / "page.html").write_text(text)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,900", "--enable-logging=stderr"]
    flags += ["--blink-settings=preferredColorScheme=0"] if dark else []

    def browse(*words):
        return subprocess.run([BROWSER, *flags, *words], capture_output=True, text=True, timeout=60, check=True)

    found = browse("--dump-dom", (tmp_path / "measured.html").as_uri())
    assert re.search(r"<title>([\d ]+)</title>", found.stdout)[1] == f"{width} 0 0"
    picture = tmp_path / "page.png"
    shown = browse(f"--screenshot={picture}", (tmp_path / "page.html").as_uri())
    assert "CONSOLE" not in found.stderr + shown.stderr
    with Image.open(picture) as image:
        assert (image.getpixel((2, 2))[0] < 60) == dark
