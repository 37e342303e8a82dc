"""Running the paper's commands as a person does: in a working folder with the scripts, on fake data."""

import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from longtail.datasets.fake import write_fake

SCRIPTS = Path(__file__).parents[1]
ROOTS = {"cifar100": "data", "imagenet-lt": "data/ILSVRC", "inat18": "data/iNat2018"}
"""Where the paper's commands look for each data set."""


@pytest.fixture(scope="session")
def fake_data(tmp_path_factory):
    """Makes the folder that holds `data/` with one fake data set, where the paper's commands look for it."""
    made = {}

    def make(layout):
        if layout not in made:
            made[layout] = tmp_path_factory.mktemp("work") / "data"
            write_fake(layout, made[layout].parent / ROOTS[layout])
        return made[layout]

    return make


@pytest.fixture
def workplace(tmp_path):
    """A working folder with the paper's scripts, as after `cd methods/cmo`."""
    for script in SCRIPTS.glob("*.py"):
        if script.name != "hatch_build.py":
            (tmp_path / script.name).symlink_to(script)
    return tmp_path


@pytest.fixture
def in_terminal(workplace):
    """Give a command to a shell, byte for byte; `python` is this interpreter."""
    programs = workplace / "bin"
    programs.mkdir()
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)

    def run(command, appended=""):
        path = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environment = {**os.environ, "PATH": path, "LONGTAIL_ADDOPTS": appended, "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            ["sh", "-c", command], cwd=workplace, env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def run(workplace, monkeypatch, capfd):
    """Run a command line of the paper in this process, which has torch imported already."""

    def run(command, appended=""):
        monkeypatch.chdir(workplace)
        monkeypatch.setenv("LONGTAIL_ADDOPTS", appended)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # several GPUs would start the test run anew on each of them
        words = shlex.split(command.replace("\\\n", ""))  # as a shell joins lines
        assert words[0] == "python"
        monkeypatch.setattr(sys, "argv", words[1:])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(words[1], run_name="__main__")
        said = capfd.readouterr()
        return subprocess.CompletedProcess(command, stop.value.code, said.out, said.err)

    return run
