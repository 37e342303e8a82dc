"""`--json`: one object on standard output, everything else on standard error."""

import argparse
import json

import pytest
from tiny_runs import train as tiny_run
from tiny_runs import write_digits

from longtail.cli import demo
from longtail.cli.main import create_parser
from longtail.datasets.fake import write_fake

TINY = ("--max-epochs", 1, "--max-steps", 1, "--device", "cpu")


CASES = {
    "methods": "",
    "train": "erm --backbone resnet20 --batch-size 4 --progress plain --out trained TINY",
    "compare": "--methods ce,bs --seeds 2 --backbone resnet20 --batch-size 16 --epochs 1 TINY",
    "demo": "--seeds 1 --epochs 1 TINY",
    "predict": "RUN PHOTOS --device cpu",
    "eval": "RUN --target-prior uniform --device cpu",
    "reproduce": "",
    "report": "RUN --device cpu",
    "export": "RUN --format torch --out exported.pt2",
    "data inspect": "PHOTOS --plot sizes.png",
    "data fake": "--layout mini-imagenet --out written --num-classes 2 --largest-class 3 --test-per-class 1",
    "data make cifar10-lt": "--source FAKE/cifar10 --out made --imbalance-factor 0.5",
    "data make cifar100-lt": "--source FAKE/cifar100 --out made --imbalance-factor 0.5 --folders",
    "data make mini-imagenet-lt": "--source FAKE/mini-imagenet --out made --link",
    "data make digits": "--out made --folders",
    "data make lists": "--source FAKE/mini-imagenet --out made",
    "data make inat18-lists": "--source FAKE/inat18-json --out made",
    "data make num-shots": "--source FAKE/imagenet-lt --out made",
}
"""Each command that prints, and what it is given."""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What the capitals in `CASES` stand for."""
    folder = tmp_path_factory.mktemp("places")
    for layout in ("cifar10", "cifar100", "mini-imagenet", "inat18-json", "imagenet-lt"):
        size = {} if layout.startswith("cifar") else {"num_classes": 2}
        write_fake(layout, folder / layout, largest_class=4, test_per_class=1, **size)
    run, photos = tiny_run(folder / "run"), write_digits(folder / "photos")
    return {"RUN": str(run), "PHOTOS": str(photos), "FAKE": str(folder), "TINY": " ".join(map(str, TINY))}


def _commands(parser, words=()):
    """The words of every command that does something."""
    below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not below:
        yield " ".join(words)
    for each in below:
        for name, under in each.choices.items():
            yield from _commands(under, (*words, name))


def test_no_command_is_forgotten():
    assert {*CASES, "completion"} == {*_commands(create_parser())}


@pytest.mark.parametrize("command", CASES)
def test_standard_output_is_one_object(command, longtail, places):
    words = CASES[command]
    for name, place in places.items():
        words = words.replace(name, place)
    ended = longtail(*command.split(), *words.split(), "--json")
    assert ended.code == 0, ended.err

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    told = json.loads(ended.out, parse_constant=refuse)
    assert told["format"] == 1
    assert len(told) > 1


def test_what_was_written_is_told(longtail, tmp_path):
    words = "--num-classes 2 --largest-class 3 --test-per-class 1 --json"
    told = json.loads(longtail("data", "fake", "--layout", "mini-imagenet", "--out", "written", *words.split()).out)
    assert told == {"format": 1, "layout": "mini-imagenet", "folder": "written", "root": "written"}
    made = json.loads(longtail("data", "make", "lists", "--source", "written", "--out", "lists", "--json").out)
    assert (made["what"], made["folder"], made["settings"]["source"]) == ("lists", "lists", str(tmp_path / "written"))
    assert made["parts"]["train"].startswith("4 images of 2 classes")


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
