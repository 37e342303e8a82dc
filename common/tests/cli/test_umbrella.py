"""The `longtail` command: its subcommands, their help, and how mistakes end."""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import EntryPoint
from itertools import pairwise

import pytest
from PIL import Image

from longtail import __version__
from longtail.cli import methods
from longtail.cli.contenders import SHORT_NAMES, read_contenders, split
from longtail.cli.main import create_parser, trains
from longtail.cli.train import create_method_parser
from longtail.errors import UserError
from longtail.names import DATASETS
from longtail.training import method
from longtail.training.registry import GROUP, installed_methods


def _commands(parser, words=()):
    """The words of every command, each with its parser; those of a command before those of the ones below it."""
    yield list(words), parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from _commands(below, (*words, name))


COMMANDS = {" ".join(words): parser for words, parser in _commands(create_parser())}
HELP = [words.split() for words in COMMANDS]


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help(words, longtail):
    ended = longtail(*words, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(" ".join(["usage: longtail", *words]))


HEAVY = {"torch", "torchvision", "timm", "numpy", "matplotlib", "PIL"}


def _imported(*commands):
    """Of what takes long to import, or only some commands need, that which these commands import."""
    code = f"""
import sys
from longtail.cli.main import dispatch
from longtail.errors import UserError
for words in {commands}:
    try:
        dispatch(words)
    except (SystemExit, UserError):
        pass
print(*sorted({HEAVY | {"rich", "shtab"}} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ended.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy():
    methods = [["train", name, "--help"] for name in installed_methods()]
    assert methods
    assert not _imported(*([*words, "--help"] for words in HELP), *methods)


@pytest.mark.parametrize("words", ["methods", "completion bash", "train erm --los=ce"])
def test_what_methods_tell_of_themselves_is_there_without_torch(words):
    assert not _imported(words.split()) & HEAVY


def test_every_command_says_what_it_does():
    told = re.findall(r"^    ([a-z]+)\s+\S", create_parser().format_help(), flags=re.MULTILINE)
    assert told == [
        "demo",
        "methods",
        "train",
        "compare",
        "predict",
        "eval",
        "report",
        "export",
        "reproduce",
        "data",
        "completion",
    ]


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help_ends_with_examples_of_the_command(words, longtail):
    _, examples = longtail(*words, "--help").out.split("\nexamples:\n")
    lines = [line for line in examples.splitlines() if line.startswith("  ")]
    assert lines
    assert all(" ".join(["longtail", *words]) in line for line in lines)


def _examples(text):
    _, _, examples = text.partition("\nexamples:\n")
    return [line.strip() for line in examples.splitlines() if line.startswith("  ")]


def _parsed(line, folder):
    """Parse an example, every part of it; what it takes for data and lists is there."""
    words = shlex.split(line.partition(" > ")[0])
    assert words.pop(0) == "longtail"
    for flag, value in pairwise(words):
        if flag in ("--data", "--lists") and value not in DATASETS:
            (folder / value).mkdir(parents=True, exist_ok=True)
    parsed = create_parser().parse_args(words)
    if words[0] == "train":
        create_method_parser(method.load_method(parsed.method)).parse_args(parsed.rest)
    if words[0] == "compare":
        known = {*installed_methods(), *SHORT_NAMES}
        read_contenders([each for each in split(parsed.methods) if each.partition(":")[0] in known], {})


@pytest.mark.parametrize("words", COMMANDS)
def test_examples_are_commands_as_they_should_be(words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for line in _examples(COMMANDS[words].format_help()):
        _parsed(line, tmp_path)


@pytest.mark.parametrize("name", installed_methods())
def test_examples_of_methods_are_commands_as_they_should_be(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    lines = _examples(create_method_parser(method.load_method(name)).format_help())
    assert lines
    for line in lines:
        assert line.startswith(f"longtail train {name}")
        _parsed(line, tmp_path)


def test_version(longtail):
    assert longtail("--version").out == f"longtail {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "required: COMMAND"),
        ("trian", "; did you mean train?\nsee longtail --help"),
        ("train erm --los_s=ce --epoch 3", "--epoch 3; did you mean --loss --epochs?\nsee longtail train erm --help"),
        ("eval some-run --jsn", "unrecognized arguments: --jsn; did you mean --json?\nsee longtail eval --help"),
        ("data mak", "; did you mean make?\nsee longtail data --help"),
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
    told = {each["method"]: each for each in json.loads(ended.out)["methods"]}
    assert told["broken"]["paper"].startswith("cannot be loaded: ModuleNotFoundError")
    assert told["erm"]["paper"] == method.load_method("erm").paper
    assert told["erm"]["package"] == f"longtail-common {__version__}"
    assert {"broken", "erm"} <= {line.split()[0] for line in longtail("methods").out.splitlines() if line.strip()}


@pytest.mark.parametrize("columns", ["60", "80"])
def test_the_list_of_methods_is_whole_in_narrow_terminals(columns, longtail, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    told = longtail("methods").out
    shown = told.partition("\ncost: as a multiple")[0]
    assert max(map(len, shown.splitlines())) <= int(columns)
    for each in json.loads(longtail("methods", "--json").out)["methods"]:
        for text in (each["method"], each["paper"], f"cost: {each['cost']}", f"needs: {each['needs']}"):
            assert text.split()[0] in shown
            assert " ".join(text.split()) in " ".join(shown.split())


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


_PROGRAM = [sys.executable, "-c", "from longtail.cli.main import main; main()"]
_PLAIN = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLORTERM")}


@pytest.fixture
def photos(tmp_path):
    """Two classes with names that not everything can encode."""
    for name in ("Füchse", "狐"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("encoding", ["ascii", "ascii:surrogateescape", "cp1252", "utf-8"])
def test_no_encoding_of_standard_output_ends_a_command(encoding, photos):
    told = subprocess.run(
        [*_PROGRAM, "data", "inspect", photos], capture_output=True, env={**_PLAIN, "PYTHONIOENCODING": encoding}
    )
    assert (told.returncode, told.stderr) == (0, b"")
    shown = told.stdout.decode(encoding.partition(":")[0])
    assert ("Füchse" in shown) == (encoding in ("cp1252", "utf-8"))
    assert ("狐" in shown) == (encoding == "utf-8")
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["terminal", "NO_COLOR", "dumb"],
)
def test_terminals_have_colours_unless_told_otherwise(environment, coloured, photos):
    pty = pytest.importorskip("pty", reason="there are no terminals")
    ours, theirs = pty.openpty()
    ended = subprocess.run(
        [*_PROGRAM, "data", "inspect", photos], stdout=theirs, stderr=subprocess.PIPE, env={**_PLAIN, **environment}
    )
    shown = os.read(ours, 65536).decode()
    os.close(theirs)
    os.close(ours)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "training can start" in shown
    assert (re.search(r"\x1b\[[\d;]*[349]\d(;\d+)*m", shown) is not None) == coloured
