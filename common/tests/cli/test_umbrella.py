"""The `longtail` command: its subcommands, their help, and how mistakes end."""

import json
import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from longtail import __version__
from longtail.cli import methods
from longtail.cli.main import create_parser, trains
from longtail.errors import UserError
from longtail.training import method
from longtail.training.registry import GROUP, installed_methods

HELP = [
    [],
    ["demo"],
    ["methods"],
    ["train"],
    ["compare"],
    ["report"],
    ["predict"],
    ["eval"],
    ["export"],
    ["data"],
    ["data", "inspect"],
    ["data", "fake"],
    ["data", "make"],
    ["data", "make", "cifar10-lt"],
    ["completion"],
]
GROUPS = ([], ["data"])
"""The commands that are only there for the commands below them."""


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help(words, longtail):
    ended = longtail(*words, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(" ".join(["usage: longtail", *words]))


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from longtail.cli.main import dispatch
for words in {HELP}:
    try:
        dispatch([*words, "--help"])
    except SystemExit:
        pass
print(sorted({{"torch", "numpy", "torchvision", "timm", "rich", "shtab", "matplotlib", "PIL"}} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_every_command_says_what_it_does():
    told = re.findall(r"^    ([a-z]+)\s+\S", create_parser().format_help(), flags=re.MULTILINE)
    commands = ("demo", "methods", "train", "compare", "report", "predict", "eval", "export", "data", "completion")
    assert sorted(told) == sorted(commands)


@pytest.mark.parametrize("words", [each for each in HELP if each not in GROUPS], ids=" ".join)
def test_help_ends_with_examples_of_the_command(words, longtail):
    _, examples = longtail(*words, "--help").out.split("\nexamples:\n")
    lines = [line for line in examples.splitlines() if line.startswith("  ")]
    assert lines
    assert all(" ".join(["longtail", *words]) in line for line in lines)


def test_version(longtail):
    assert longtail("--version").out == f"longtail {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "required: COMMAND"),
        ("trian", "invalid choice: 'trian'"),
        ("train", "required: METHOD\n"),
        ("train magic", "invalid choice: 'magic' (choose from"),
        ("train erm --data svhn", "argument --data: unknown data set 'svhn'; choose one of"),
        ("train erm --imbalance-factor 100", "write 0.01 for a ratio of 100"),
        ("train erm --imbalance-factor 0.0001", "use a factor above"),
        ("train erm --backbone resnet33", "argument --backbone: invalid choice: 'resnet33'"),
        ("train erm --thresholds 20 100", "few <= many"),
        ("train erm --epochs 0", "argument --epochs: must be at least 1"),
        ("train erm --batch-size -4", "argument --batch-size: must be at least 1"),
        ("train erm --lr 0", "argument --lr: must be greater than 0"),
        ("train erm --seed -1", "argument --seed: must be at least 0"),
        ("train erm --loss hinge", "argument --loss: invalid choice: 'hinge'"),
        ("train erm --device tpu --out x", "--device tpu: no such device"),
        ("demo --seeds 0", "argument --seeds: must be at least 1"),
        ("demo --epochs none", "argument --epochs: invalid integer value"),
        ("data fake --layout svhn --out x", "argument --layout: invalid choice: 'svhn'"),
        ("data fake --layout cifar10", "required: --out"),
        ("data fake --layout cifar10 --out x --num-classes 0", "argument --num-classes: must be at least 1"),
    ],
)
def test_mistakes_exit_with_2_and_a_line_or_two(words, message, longtail):
    ended = longtail(*words.split())
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("longtail: error: ")
    assert message in ended.err
    assert ended.err.count("\n") <= 2


@pytest.mark.parametrize("command", [["train", "erm"], ["demo"]], ids=" ".join)
def test_a_folder_that_cannot_be_made_exits_with_2(command, longtail, tmp_path):
    (tmp_path / "file").write_text("in the way")
    ended = longtail(*command, "--out", "file/run", "--max-epochs", 1, "--max-steps", 1)
    assert ended.code == 2
    assert "file/run" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err
    assert (tmp_path / "file").read_text() == "in the way"


def test_methods_are_listed_and_a_broken_one_does_not_hide_the_others(longtail, monkeypatch):
    broken = EntryPoint("broken", "no_such_module:METHOD", GROUP)
    known = installed_methods()
    monkeypatch.setattr(methods, "installed_methods", lambda: {"broken": broken, "erm": known["erm"]})
    ended = longtail("methods", "--json")
    assert ended.code == 0
    told = {each["method"]: each for each in json.loads(ended.out)}
    assert told["broken"]["paper"].startswith("cannot be loaded: ModuleNotFoundError")
    assert told["erm"]["paper"] == method.load_method("erm").paper
    assert told["erm"]["package"] == f"longtail-common {__version__}"
    assert {"broken", "erm"} <= {line.split()[0] for line in longtail("methods").out.splitlines() if line.strip()}


def test_every_installed_method_can_be_loaded_and_no_other():
    assert "erm" in installed_methods()
    assert all(method.load_method(name).name == name for name in installed_methods())
    with pytest.raises(UserError, match=r"no method 'none' is installed; installed: .*erm"):
        method.load_method("none")


def test_fake_data_is_written_and_told(longtail, tmp_path):
    words = [
        "data",
        "fake",
        "--layout",
        "cifar10",
        "--out",
        "f",
        "--num-classes",
        3,
        "--largest-class",
        5,
        "--test-per-class",
        1,
    ]
    ended = longtail(*words, "--seed", 4)
    assert (ended.code, ended.err) == (0, "")
    assert "--root f" in ended.out
    (marker,) = tmp_path.glob("f/*/longtail-fake.json")
    written = json.loads(marker.read_text())
    expected = {"layout": "cifar10", "seed": 4, "num_classes": 3, "largest_class": 5, "test_per_class": 1}
    assert expected.items() <= written.items()
    assert str(marker.parent.relative_to(tmp_path)) in ended.out


def test_only_training_takes_the_added_options():
    assert trains(["train", "erm", "--seed", "1"])
    assert not any(trains(words) for words in ([], ["methods"], ["demo"], ["data", "fake"], ["--version"]))
