"""The lines that the study's scripts print, and the files that they write."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longtail.errors import UserError
from longtail.metrics import Summary
from longtail.training.files import read_json, write_atomically, write_json
from longtail.training.meter_lines import best_line, class_line, evaluation_line, result_line, train_line
from longtail.training.recipe import Clock
from longtail.training.reports import BatchReport, EpochReport, Listener
from longtail.training.run_folder import Run

TRAIN_LOG = "log_train.csv"
VAL_LOG = "log_test.csv"
"""Where the validation results go; the name is the study's."""
TEST_LOG = "test.log"
ARGUMENTS, PICKLED_ARGUMENTS = "args.json", "args.pkl"


def shots_line(result: Summary) -> str:
    """The line about a test; a shot group without classes is absent."""
    shares = {
        "overall": result.accuracy,
        "many shot": result.many,
        "median shot": result.medium,
        "low shot": result.few,
    }
    texts = {name: "absent" if share is None else f"{100 * share:.2f}" for name, share in shares.items()}
    return " ".join(f"The {name} accuracy: {text}." for name, text in texts.items())


class StudyLog(Listener):
    """Prints the study's lines and writes its log files.

    Args:
        run: where the files go.
        arguments: of the run, for `args.json` and `args.pkl`.
    """

    def __init__(self, run: Run, arguments: Mapping[str, Any]) -> None:
        self._run = run
        self._arguments = arguments

    def run_started(self, epoch: int, epochs: int) -> None:
        """Write the arguments, and open the logs, which cuts them back to what a resumed run had done."""
        write_arguments(self._run.log_dir, self._arguments)
        for name in (TRAIN_LOG, VAL_LOG):
            self._run.log(name)

    def train_batch(self, report: BatchReport, clock: Clock, learning_rate: float) -> None:
        """Print the batch's line and log it."""
        line = train_line(report, clock, learning_rate)
        print(line, flush=True)
        self._run.log(TRAIN_LOG).append(line + "\n")

    def evaluation_batch(self, report: BatchReport) -> None:
        """Print the batch's line."""
        print(evaluation_line(report, with_data=True), flush=True)

    def evaluated(self, report: EpochReport) -> None:
        """Print the results and log them."""
        if report.shown is None:
            return
        _, summary = report.shown
        lines = "\n".join([result_line(summary), class_line(summary), best_line(report.best), ""])
        print(lines, flush=True)
        self._run.log(VAL_LOG).append(lines)

    def run_finished(self, results: dict[str, Any]) -> None:
        """Print how the epochs' networks do on the test set."""
        for which in ("best", "last"):
            known = results[which]
            if known is not None:
                print(f"{which} epoch {known['epoch']}: test Prec@1 {100 * known['accuracy']:.3f}", flush=True)


def write_arguments(folder: Path, arguments: Mapping[str, Any]) -> None:
    """Write what a run was asked for: as JSON, and as the study's pickle, for tools that expect that."""
    write_json(folder / ARGUMENTS, dict(arguments))
    write_atomically(folder / PICKLED_ARGUMENTS, pickle.dumps(argparse.Namespace(**arguments)))


def read_arguments(folder: Path) -> dict[str, Any]:
    """What a run was asked for: from the JSON file if there is one, or else from the study's pickle.

    Raises:
        UserError: there is neither, it is damaged, or the pickle holds more than arguments.
    """
    if not (folder / ARGUMENTS).is_file() and (folder / PICKLED_ARGUMENTS).is_file():
        return _unpickled(folder / PICKLED_ARGUMENTS)
    found = read_json(folder / ARGUMENTS)
    if not isinstance(found, dict):
        raise UserError(f"{folder / ARGUMENTS} holds no arguments")
    return found


class _ArgumentsOnly(pickle.Unpickler):
    """Reads numbers, texts, lists, dictionaries, and `argparse.Namespace`; anything else could run a program."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) != ("argparse", "Namespace"):
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which is no argument, and reading it could run a program"
            )
        return argparse.Namespace


def _unpickled(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = _ArgumentsOnly(file).load()
        arguments = dict(vars(found)) if isinstance(found, argparse.Namespace) else dict(found)
    except Exception as error:  # a damaged pickle can fail in any operation
        raise UserError(
            f"cannot read {path}: {error or type(error).__name__}.\n"
            f"The run's arguments can also stand in {path.with_name(ARGUMENTS)}"
        ) from error
    return arguments
