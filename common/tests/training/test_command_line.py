"""The shared options, and how commands end."""

import argparse
import shlex
import subprocess
import sys
from dataclasses import fields

import pytest

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.runtime import PaperParser, RuntimeOptions, add_runtime_options, command_line


def parser():
    made = PaperParser()
    paper = made.add_argument_group("paper")
    paper.add_argument("--resume")
    paper.add_argument("--print_freq", type=int)
    add_runtime_options(made)
    return made


def test_defaults_are_those_of_the_dataclass():
    assert RuntimeOptions.from_arguments(parser().parse_args([])) == RuntimeOptions()


def test_every_option_reaches_its_field():
    given = {
        "device": "cpu",
        "precision": "bf16",
        "compile": True,
        "channels_last": False,
        "max_epochs": 3,
        "max_steps": 2,
        "select": "val",
        "val_fraction": 0.25,
        "eval_every": 5,
        "on_bad_image": "skip",
        "resume_auto": True,
        "checkpoint_every": 10,
        "accumulate": 4,
        "clip_norm": 1.5,
        "progress": "plain",
    }
    assert set(given) == {each.name for each in fields(RuntimeOptions)}
    words = []
    for name, value in given.items():
        flag = "--" + name.replace("_", "-")
        words += [flag] if value is True else [flag.replace("--", "--no-", 1)] if value is False else [flag, str(value)]
    assert RuntimeOptions.from_arguments(parser().parse_args(words)) == RuntimeOptions(**given)


def test_abbreviations_mean_the_papers_flags():
    args = parser().parse_args(["--resum", "file", "--pri", "3"])
    assert (args.resume, args.print_freq) == ("file", 3)
    assert parser().parse_args(["--max-e", "3"]).max_epochs == 3
    with pytest.raises(SystemExit):
        parser().parse_args(["--max", "3"])


def test_two_spellings_of_one_flag_are_not_ambiguous():
    both = PaperParser()
    both.add_argument("--batch-size", "--batch_size", type=int)
    assert both.parse_args(["--batch", "3"]).batch_size == 3


@pytest.mark.parametrize("words", ["--precision fp8", "--max-steps 0", "--val-fraction 1", "--clip-norm 0", "--eval-every x"])
def test_bad_values_exit_with_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(words.split())
    assert stop.value.code == 2
    assert words.split()[0] in capsys.readouterr().err


def test_options_from_the_environment_come_last(monkeypatch):
    monkeypatch.setenv("LONGTAIL_ADDOPTS", "--max-epochs 1 --device 'cpu'")
    assert command_line(["--max-epochs", "9"]) == ["--max-epochs", "9", "--max-epochs", "1", "--device", "cpu"]
    monkeypatch.setenv("LONGTAIL_ADDOPTS", "'")
    with pytest.raises(UserError, match="LONGTAIL_ADDOPTS"):
        command_line([])


def _end(with_code):
    return lambda _argv: with_code


def _fail(error):
    def main(_argv):
        raise error

    return main


@pytest.mark.parametrize(
    ("main", "code"),
    [
        (_end(None), 0),
        (_end(3), 3),
        (_fail(UserError("what and where")), 2),
        (_fail(KeyboardInterrupt()), 130),
    ],
)
def test_exit_codes(main, code, capsys):
    with pytest.raises(SystemExit) as stop:
        run_command(main, [])
    assert stop.value.code == code
    said = capsys.readouterr().err
    assert said.endswith("error: what and where\n") if code == 2 else not said


@pytest.mark.parametrize("takes", [True, False])
def test_a_command_may_refuse_added_options(monkeypatch, takes):
    monkeypatch.setenv("LONGTAIL_ADDOPTS", "--max-epochs 1")
    seen = []
    with pytest.raises(SystemExit):
        run_command(seen.append, ["word"], takes_added=lambda words: takes and words == ["word"])
    assert seen == [["word", "--max-epochs", "1"] if takes else ["word"]]


def test_bugs_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(_fail(ZeroDivisionError()), [])


def test_importing_the_command_line_imports_nothing_heavy():
    code = (
        "import sys, argparse; from longtail.training.commands import run_command; from longtail.training.runtime import *; "
        "from longtail.training.launch import gpu_ids; "
        "add_runtime_options(argparse.ArgumentParser()); "
        "print(sorted({'torch', 'numpy', 'torchvision', 'timm', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_help_names_every_option():
    text = parser().format_help()
    assert all("--" + each.name.replace("_", "-") in text for each in fields(RuntimeOptions))
    assert isinstance(parser(), argparse.ArgumentParser)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
def test_a_reader_that_leaves_is_no_bug():
    program = "from longtail.training.commands import run_command\nrun_command(lambda argv: print('line\\n' * 100_000))"
    command = f"{sys.executable} -c {shlex.quote(program)} | head -n 1"
    done = subprocess.run(["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (141, "line\n", "")
