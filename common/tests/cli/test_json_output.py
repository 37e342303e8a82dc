"""`--json` of the commands that train: one object on standard output, everything else on standard error."""

import json

import pytest

from longtail.cli import demo

TINY = ("--max-epochs", 1, "--max-steps", 1, "--device", "cpu")


def train(longtail, *words):
    return longtail("train", "erm", "--backbone", "resnet20", "--batch-size", 4, "--out", "here", *TINY, *words)


def test_train_prints_what_run_json_holds(longtail, tmp_path):
    ended = train(longtail, "--json", "--progress", "plain")
    assert ended.code == 0
    told = json.loads(ended.out)
    results = json.loads((tmp_path / "here/run.json").read_text())["results"]
    assert told.pop("format") == 1
    assert told.pop("folder") == "here"
    assert told.pop("seconds") > 0
    assert told == results
    assert told["select"] == "test"
    assert told["best"] == told["last"]
    assert "epoch 1/1 " in ended.err
    assert "test accuracy in %" not in ended.out + ended.err


def test_notices_do_not_come_between(longtail):
    assert train(longtail, "--progress", "none").code == 0
    ended = train(longtail, "--progress", "none", "--json")
    assert json.loads(ended.out)["folder"] == "here"
    assert "an earlier run was moved to" in ended.err


def test_json_does_not_name_another_run(longtail, tmp_path):
    words = ("train", "erm", "--backbone", "resnet20", *TINY, "--progress", "none")
    first = longtail(*words)
    again = longtail(*words, "--resume-auto", "--json")
    assert first.out.splitlines()[-1] == f"run folder: {json.loads(again.out)['folder']}"
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_mistakes_leave_standard_output_empty(longtail):
    ended = train(longtail, "--json", "--imbalance-factor", 7)
    assert (ended.code, ended.out) == (2, "")
    assert "error" in ended.err


def test_demo_prints_its_numbers(longtail, monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "CONTENDERS", (demo.CONTENDERS[0], demo.Contender("another", "missing", {})))
    ended = longtail("demo", "--seeds", 1, "--epochs", 1, "--out", "d", "--progress", "none", "--json", *TINY)
    assert ended.code == 0
    told = json.loads(ended.out)
    assert told == json.loads((tmp_path / "d/demo.json").read_text())
    (method,) = told["methods"]
    assert method["runs"][0]["test"]["accuracy"] == pytest.approx(method["mean"]["accuracy"])
    for words in ("Handwritten digits", "[1/1] cross-entropy, seed 0", "numbers: d/demo.json", "left out: another"):
        assert words in ended.err
    assert "Test accuracy in %" not in ended.err
