"""The HTML report: what it shows, what it says is absent, and that it needs and runs nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import EVIL, Page, write_run
from PIL import Image

from longtail.datasets.base import FileImages
from longtail.errors import UserError
from longtail.report.html import LIMIT, build_page, find_runs, read_run, svg
from longtail.report.html.confusion import largest_confusions
from longtail.report.html.reliability import bins_of
from longtail.report.html.thumbnails import SIDE, data_uri
from longtail.report.html.worst import worst_classes


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
    text = build_page([replace(run, record={**run.record, "identity": {"data": "/mine/photos"}})])
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


@pytest.mark.parametrize(("classes", "keeps"), [(2, False), (15, False), (16, True), (30, True), (31, False)])
def test_a_matrix_with_small_names_keeps_its_width(tmp_path, classes, keeps):
    run = write_run(tmp_path / "run", [f"class {at}" for at in range(classes)], [9] * classes)
    text = build_page([run])
    assert ('<div class="wide" role="region" aria-label="Confusion matrix of run"' in text) == keeps
    assert bool(re.search(r'<svg [^>]*style="min-width:\d+px"', text)) == keeps


def test_what_classes_were_taken_for_breaks_between_names(text):
    entries = re.findall(r'<span class="entry"><bdi>(\w+)</bdi>&nbsp;\(\d+\),?</span>', text)
    assert set(entries) == {"cat", "dog", "emu"}


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
