"""For the tests of the methods: running a paper's script as a person does, in a working folder with fake data."""

from __future__ import annotations

import math
import os
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from torch import Tensor

from longtail.datasets.base import ArrayImages
from longtail.datasets.digits import load_digits
from longtail.datasets.fake import write_fake
from longtail.loading.base import Batch
from longtail.training.recipe import Clock, Recipe, StepOutput
from longtail.training.trained import load_run

Ended = subprocess.CompletedProcess[str]
"""How a command ended: its exit code and what it said."""


class FakeData:
    """Fake data sets where a paper's commands look for them, each written once.

    Args:
        new_folder: makes an empty folder.
        roots: where each layout lies below the working folder.
    """

    def __init__(self, new_folder: Callable[[], Path], roots: Mapping[str, str]) -> None:
        self._new_folder = new_folder
        self._roots = roots
        self._made: dict[tuple[object, ...], Path] = {}

    def __call__(self, layout: str, **size: int) -> Path:
        """The folder to put into a working folder; for sizes see `write_fake`."""
        key = (layout, *sorted(size.items()))
        if key not in self._made:
            folder, root = self._new_folder(), Path(self._roots[layout])
            write_fake(layout, folder / root, **size)
            self._made[key] = folder / root.parts[0]
        return self._made[key]


def link_scripts(method: Path, folder: Path) -> Path:
    """Make a folder look as if a method's own folder was entered, and return it."""
    for script in method.glob("*.py"):
        if script.name != "hatch_build.py":
            (folder / script.name).symlink_to(script)
    return folder


def run_in_terminal(folder: Path, command: str, appended: str = "") -> Ended:
    """Give a command to a shell, byte for byte; `python` is this interpreter.

    Args:
        folder: to run it in.
        command: as it is printed.
        appended: the content of `LONGTAIL_ADDOPTS`.
    """
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path, "LONGTAIL_ADDOPTS": appended, "OMP_NUM_THREADS": "1"}
    return subprocess.run(["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def run_here(folder: Path, captured: Callable[[], tuple[str, str]], command: str, appended: str = "") -> Ended:
    """Run a command line in this process, which has torch imported already.

    Args:
        folder, command, appended: as for `run_in_terminal`.
        captured: returns standard output and standard error since it was called last, such as pytest's `capfd.readouterr`.

    Raises:
        ValueError: it is not a command line of Python.
    """
    program, *words = shlex.split(command.replace("\\\n", ""))  # as a shell joins lines
    if program != "python":
        raise ValueError(f"a command line of Python begins with `python`, not {program!r}")
    # several GPUs would start the test run anew on each of them
    environment = {"LONGTAIL_ADDOPTS": appended, "CUDA_VISIBLE_DEVICES": ""}
    before = Path.cwd()
    os.chdir(folder)
    try:
        with patch.dict(os.environ, environment), patch.object(sys, "argv", words):
            code = _exit_code(words[0])
    finally:
        os.chdir(before)
    return Ended(command, code, *captured())


HEAVY = frozenset({"torch", "torchvision", "timm", "numpy", "matplotlib"})
"""What takes long to import, and no help text waits for."""


def quick_help(folder: Path, *words: str) -> str:
    """What a script, or the command `longtail`, answers to `--help` in a process of its own.

    Args:
        folder: to run it in.
        words: of the command line, such as `train.py`, or `longtail train cmo`.

    Raises:
        AssertionError: it fails, or imports what is heavy.
    """
    program = ["-c", "from longtail.cli.main import main; main()"] if words[0] == "longtail" else [words[0]]
    line = [sys.executable, "-X", "importtime", *program, *words[1:], "--help"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imported = {each.rpartition("|")[2].strip() for each in done.stderr.splitlines()}
    assert "longtail.training.options" in imported
    assert not imported & HEAVY
    return done.stdout


def _exit_code(script: str) -> int:
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


class Killed(BaseException):
    """What `killed_at` raises; nothing in the project catches it."""


@contextmanager
def killed_at(recipe: type[Recipe], epoch: int, step: int) -> Iterator[None]:
    """While this lasts, training dies before this batch, both numbers from 0, and nothing gets to clean up after it."""
    forward = recipe.forward

    def die(self: Recipe, batch: Batch, clock: Clock) -> StepOutput:
        if (clock.epoch, clock.step) == (epoch, step):
            raise Killed
        return forward(self, batch, clock)

    with patch.object(recipe, "forward", die):
        yield


def flattened(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """A nested value, such as a checkpoint's, as pairs of place and leaf; tensors as bytes."""
    if isinstance(value, dict):
        return [pair for key in value for pair in flattened(value[key], f"{name}/{key}")]
    if isinstance(value, list | tuple):
        return [pair for index, each in enumerate(value) for pair in flattened(each, f"{name}/{index}")]
    return [(name, value.numpy().tobytes() if isinstance(value, Tensor) else value)]


def check_loads_again(dispatch: Callable[[list[str]], int | None], method: str, folder: Path, *options: str) -> None:
    """Train a method for two batches on the digits, and look whether the run, loaded again, is judged as it was.

    Args:
        dispatch: carries out a command line of `longtail`.
        method: its name.
        folder: an empty one.
        options: of `longtail train METHOD`.

    Raises:
        AssertionError: it is judged otherwise, or does not give probabilities.
    """
    run, shown = folder / "run", 32
    words = f"train {method} --data digits --imbalance-factor 0.1 --backbone resnet20 --batch-size 16 --epochs 1 --max-steps 2"
    with patch.object(sys, "argv", ["longtail", "train"]):
        dispatch([*words.split(), "--device", "cpu", "--progress", "none", "--out", str(run), *options])
    trained, test = load_run(run, device="cpu"), load_digits().test.subset(range(shown))
    results = trained.record["results"]
    known = {None: results["best"], **results.get("final", {})}
    if "reading" in results:
        known[results["reading"]["name"]] = results["reading"]
    assert known.keys() - {None} <= trained.recipe.predictors().keys()
    same = ("accuracy", "per_class_accuracy", "macro_f1", "top5")
    for reading, expected in known.items():
        judged = load_run(run, reading=reading, device="cpu").evaluate(test, batch_size=16)["plain"].to_dict()
        assert {name: judged[name] for name in same} == {name: expected[name] for name in same}, reading
        assert math.isclose(judged["loss"], expected["loss"], rel_tol=1e-5), reading
    assert isinstance(test.images, ArrayImages)
    probabilities = trained.predict(test.images.array).probabilities
    assert probabilities.shape == (shown, trained.class_counts.size)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
