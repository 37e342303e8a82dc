"""`longtail demo`, two batches at a time."""

import json
import sys

import pytest
from PIL import Image

from longtail.cli import demo
from longtail.cli.demo import Contender

TINY = ("--out", "d", "--epochs", 2, "--max-epochs", 1, "--max-steps", 2, "--device", "cpu", "--progress", "none")
THREE = (*demo.CONTENDERS[:2], Contender("a third", "erm", {"loss": "focal"}))
"""The demo with a stand-in for the method that this package does not have."""


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(demo, "CONTENDERS", THREE)


@pytest.mark.usefixtures("three")
def test_table_plot_numbers_and_runs(longtail, tmp_path):
    ended = longtail("demo", "--seeds", 1, *TINY)
    assert (ended.code, ended.err) == (0, "")
    numbers = json.loads((tmp_path / "d/demo.json").read_text())
    assert [each["label"] for each in numbers["methods"]] == [each.label for each in THREE]
    assert sum(numbers["class_counts"]) > 0
    for each in numbers["methods"]:
        (run,) = each["runs"]
        record = json.loads((tmp_path / run["folder"] / "run.json").read_text())
        assert record["finished"]
        assert record["results"]["last"] == run["test"]
        assert each["mean"]["accuracy"] == run["test"]["accuracy"]
        assert each["sample_standard_deviation"]["accuracy"] is None
        row = next(line for line in ended.out.splitlines() if line.strip().startswith(each["label"] + "  "))
        shown = row.removeprefix(f"  {each['label']}").split()
        keys = ("accuracy", "many", "medium", "few", "balanced_accuracy")
        assert shown == ["absent" if run["test"][key] is None else f"{100 * run['test'][key]:.1f}" for key in keys]
    with Image.open(tmp_path / "d/per_class.png") as image:
        assert image.format == "PNG"
    for place in ("d/demo.json", "d/per_class.png", "d/runs"):
        assert place in ended.out
    assert "nothing was chosen on the test set" in ended.out
    assert "left out" not in ended.out


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("columns", ["60", "80"])
def test_nothing_is_cut_off_in_a_narrow_terminal(columns, longtail, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    ended = longtail("demo", "--seeds", 2, *TINY)
    assert "resnet20, 2 epochs, 2 seeds of each method." in ended.out
    table = ended.out.partition("Test accuracy")[2].partition("Every run is judged")[0]
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= int(columns)


@pytest.mark.usefixtures("three")
def test_spreads_over_seeds_and_finished_runs_are_kept(longtail, tmp_path):
    first = longtail("demo", "--seeds", 2, *TINY)
    assert first.code == 0
    assert "sample standard deviation over 2 seeds" in first.out
    assert first.out.count("±") >= 6
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")}
    assert len(written) == 6
    numbers = (tmp_path / "d/demo.json").read_text()
    again = longtail("demo", "--seeds", 2, *TINY)
    assert again.code == 0
    assert (tmp_path / "d/demo.json").read_text() == numbers
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.jsonl")} == written


@pytest.mark.usefixtures("three")
def test_other_settings_set_the_earlier_runs_aside(longtail, tmp_path):
    longtail("demo", "--seeds", 1, *TINY)
    ended = longtail("demo", "--seeds", 1, *TINY, "--epochs", 3)
    assert ended.code == 0
    assert ended.out.count("an earlier run was moved") == 3
    assert len(list((tmp_path / "d/runs").iterdir())) == 6


def test_a_method_that_is_not_installed_is_left_out_and_told(longtail, monkeypatch, tmp_path):
    known = demo.installed_methods()
    monkeypatch.setattr(demo, "installed_methods", lambda: {"erm": known["erm"]})
    ended = longtail("demo", "--seeds", 1, *TINY)
    assert ended.code == 0
    assert "left out: balanced softmax + CMO" in ended.out
    assert "pip install ./methods/cmo" in ended.out
    assert len(json.loads((tmp_path / "d/demo.json").read_text())["methods"]) == 2


def test_without_matplotlib_there_is_no_plot_but_all_else(longtail, monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "CONTENDERS", THREE[:1])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    ended = longtail("demo", "--seeds", 1, *TINY)
    assert ended.code == 0
    assert "no plot: plots need matplotlib" in ended.out
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["demo.json", "runs"]
