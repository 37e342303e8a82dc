"""What this package says was published: its figures stand in the documents, its commands are those of the scripts, and run."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from longtail.training.published import offered
from longtail_cmo.published import PUBLISHED

METHOD = Path(__file__).parents[1]
README = (METHOD / "README.md").read_text().replace("\\\n", "")
RESULTS = (METHOD.parents[1] / "docs" / "results.md").read_text()
BY_NAME = {each.name: each for each in PUBLISHED}
NAME = "cmo/cifar100-bs-cmo"
COMMANDS = {f"{each.name}-{number}": command for each in PUBLISHED for number, command in enumerate(each.commands)}


def test_the_package_offers_them():
    assert {f"cmo/{name}": each for name, each in BY_NAME.items()}.items() <= offered()[0].items()
    assert len(BY_NAME) == len(PUBLISHED)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_figure_stands_in_the_documents(name):
    told = BY_NAME[name]
    again = (f"{value:.2f}" for each in told.reruns for value in each.accuracies)
    for figure in (*map(str, told.figures.values()), *again):
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.])", README + RESULTS), figure


@pytest.mark.parametrize("name", COMMANDS)
def test_command(name):
    command = COMMANDS[name]
    program, script, *words = shlex.split(command.line)
    assert program == "python"
    assert (METHOD / script).is_file()
    assert command.words == words
    assert command.changed([]) == []
    assert command.knows(["--max-epochs", "1", "--resume-auto"])
    assert not command.knows(["--nobodys"])
    assert command.where <= vars(command.create_parser().parse_args(words)).keys()
    assert _in_readme(command)


def _in_readme(command):
    return command.line in README.splitlines()


def _longtail(*words, appended=""):
    environment = {
        **os.environ,
        "LONGTAIL_ADDOPTS": appended,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "COLUMNS": "80",
    }
    return subprocess.Popen(
        [sys.executable, "-c", "from longtail.cli.main import main; main()", "reproduce", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def test_run_stopped_and_continued(tmp_path, monkeypatch, fake_data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(fake_data("cifar100"))
    steps = "--max-steps 2 --checkpoint-every 1"
    process = _longtail(NAME, appended=f"{steps} --max-epochs 200")
    for line in process.stdout:
        if line.startswith("Epoch: [0]"):
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
            break
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.endswith(f"longtail reproduce {NAME} -- --resume-auto goes on from here\n")
    assert not list(tmp_path.rglob("reproduction.json"))

    process = _longtail(NAME, "--json", "--", "--resume-auto", appended=f"{steps} --max-epochs 1")
    out, err = process.communicate()
    assert process.returncode == 0, err
    told = json.loads(out)
    (folder,) = told["runs"]
    assert told == json.loads(Path(folder, "reproduction.json").read_text())
    assert told["commands"] == [
        "python cifar_train.py --dataset cifar100 --loss_type BS --epochs 200 --data_aug CMO --resume-auto --max-steps 2 "
        "--checkpoint-every 1 --max-epochs 1"
    ]
    assert told["not_comparable_because"] == [
        "--max-epochs 1",
        "--max-steps 2",
        "data/cifar-100-python holds generated data, not CIFAR-100",
    ]
    assert (told["comparable"], told["verdict"]) == (False, None)
    record = json.loads(Path(folder, "run.json").read_text())
    assert record["command"] == "cifar_train.py --dataset cifar100 --loss_type BS --epochs 200 --data_aug CMO --resume-auto"
    assert told["here"][0]["accuracy"] == 100 * record["results"]["best"]["accuracy"]
    assert f"run folder: {folder}\n" in err
    assert not list(tmp_path.glob("log/*~1"))


def test_the_exit_code_is_that_of_the_script():
    process = _longtail(NAME, "--", "--epochs", "none")
    _, err = process.communicate()
    assert process.returncode == 2
    assert err == "cifar_train.py: error: argument --epochs: invalid integer value: 'none'\nsee cifar_train.py --help\n"
