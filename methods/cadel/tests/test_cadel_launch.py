"""Starting several processes: the README's program, and what a launcher means for the size of a batch."""

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from longtail.errors import UserError
from longtail.training import failures
from longtail.training.launch import plan_ranks
from longtail_cadel import launch
from longtail_cadel.config import override
from longtail_cadel.config_loading import load_config

RANK = """
import json, os, sys
from pathlib import Path
place = {name: os.environ[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
Path(f"rank_{place['RANK']}.json").write_text(json.dumps([sys.argv[1:], place]))
"""
PROJECT = Path(__file__).parents[1] / "pyproject.toml"
NAME = "torch.distributed.launch"


@pytest.fixture
def shell(tmp_path):
    """Gives a command to a shell in a folder with a script, as where this package is installed."""
    (line,) = (line for line in PROJECT.read_text("utf-8").splitlines() if line.startswith(f'"{NAME}"'))
    point = EntryPoint(NAME, line.split('"')[3], "console_scripts")
    assert point.load() is launch.main
    program = tmp_path / "bin" / NAME
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom {point.module} import {point.attr}\nsys.exit({point.attr}())\n")
    program.chmod(0o755)
    (tmp_path / "main_CNN.py").write_text(RANK)

    def run(command):
        kept = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env={**kept, "PATH": path, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def told(folder, rank):
    return json.loads((folder / f"rank_{rank}.json").read_text())


def test_the_readmes_line(shell, tmp_path):
    done = shell("torch.distributed.launch --nproc_per_node=2 main_CNN.py --batch_size 32")
    assert done.returncode == 0, done.stderr
    for rank in ("0", "1"):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2"}
        assert told(tmp_path, rank) == [[f"--local-rank={rank}", "--batch_size", "32"], place]


@pytest.mark.parametrize("spelling", ["--use_env", "--use-env"])
def test_the_rank_may_stay_in_the_environment(spelling, monkeypatch):
    started = run_without_ranks(monkeypatch, [spelling, "--nproc-per-node", "3", "main_CNN.py", "--test"])
    assert started.use_env
    assert (started.nproc_per_node, started.training_script, started.training_script_args) == ("3", "main_CNN.py", ["--test"])


@pytest.mark.parametrize(
    ("words", "standalone", "port"),
    [
        ([], True, 29500),
        (["--master_port", "29111"], False, 29111),
        (["--nnodes", "2", "--node_rank", "1", "--master_addr", "10.0.0.1"], False, 29500),
        (["--rdzv_backend", "c10d", "--rdzv_endpoint", "host:1"], False, 29500),
    ],
)
def test_a_free_port_where_none_is_given(words, standalone, port, monkeypatch):
    started = run_without_ranks(monkeypatch, [*words, "main_CNN.py"])
    assert (started.standalone, started.master_port) == (standalone, port)
    assert not started.use_env


def run_without_ranks(monkeypatch, words):
    """What torch's launcher would be asked."""
    from torch.distributed import run

    asked = []
    monkeypatch.setattr(run, "run", asked.append)
    assert launch.main(words) == 0
    return asked[0]


@pytest.mark.parametrize(("code", "left_with"), [(2, 2), (-9, 137)])
def test_the_exit_code_is_that_of_the_rank(code, left_with, monkeypatch):
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

    def fail(_):
        raise ChildFailedError("main_CNN.py", {1: ProcessFailure(local_rank=1, pid=1, exitcode=code, error_file="none")})

    monkeypatch.setattr(run, "run", fail)
    assert launch.main(["main_CNN.py"]) == left_with


def test_a_signal_that_ends_all(monkeypatch):
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException

    def stop(_):
        raise SignalException("ended", sigval=signal.SIGTERM)

    monkeypatch.setattr(run, "run", stop)
    assert launch.main(["main_CNN.py"]) == 143


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        launch.main(["--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: torch.distributed.launch ")
    assert "--use_env" in said


def test_who_started_this_process(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv(failures.FOLDER, raising=False)
    assert not launch.has_launcher()
    monkeypatch.setenv("RANK", "0")
    assert launch.has_launcher()
    # nothing starts twice
    assert plan_ranks((0, 1), "cpu") is None
    monkeypatch.setenv(failures.FOLDER, "somewhere")
    assert not launch.has_launcher()


def test_old_launchers_tell_the_rank_by_a_flag_alone(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "")
    monkeypatch.delenv("LOCAL_RANK")
    monkeypatch.delenv("RANK", raising=False)
    launch.adopt_local_rank(1)
    assert "LOCAL_RANK" not in os.environ
    monkeypatch.setenv("RANK", "5")
    launch.adopt_local_rank(-1)
    assert "LOCAL_RANK" not in os.environ
    launch.adopt_local_rank(1)
    launch.adopt_local_rank(3)
    assert os.environ["LOCAL_RANK"] == "1"


def test_the_global_batch():
    config = override(load_config("./config/ImageNet_LT/resnet50_stage1.yaml"), batch_size=12)
    assert launch.global_batch(config, launched_by_torchrun=True, world_size=5) == 60
    assert [launch.global_batch(config, launched_by_torchrun=False, world_size=n) for n in (1, 2, 4)] == [12, 12, 12]
    with pytest.raises(UserError, match=r"a batch of 12 images cannot be split evenly over 5 processes.*a multiple of 5"):
        launch.global_batch(config, launched_by_torchrun=False, world_size=5)
