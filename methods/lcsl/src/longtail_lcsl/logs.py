"""The lines that the paper's script prints, and the log files that it writes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from longtail.metrics import Summary
from longtail.training.files import read_json, write_atomically, write_json
from longtail.training.recipe import Clock
from longtail.training.reports import BatchReport, EpochReport, Listener
from longtail.training.run_folder import Run
from longtail_lcsl.figures import Figures

RECORDS = "checkpoints/log.json"
KEYS = ("loss_train", "loss_test", "acc_train", "acc_test", "lr")
RULE = "-" * 10


def train_log(name: str) -> str:
    """The file with two lines an epoch, of the run of this name."""
    return f"{name}_train.log"


def best_log(name: str) -> str:
    """The file with a line for each new best epoch, of the run of this name."""
    return f"{name}_note_bestModel.log"


def epoch_header(clock: Clock) -> str:
    """The lines above those of an epoch."""
    return f"Epoch {clock.epoch + 1}/{clock.epochs}\n{RULE}\n"


def console_line(scores: tuple[float, float, float], what: str, seconds: float) -> str:
    """The line on the console about training or testing, given loss, accuracy and mean accuracy of the classes."""
    loss, accuracy, balanced = scores
    return f"\tloss: {loss:.6f} | acc-all: {accuracy:.5f} | acc-avg-cls: {balanced:.5f} | {what} time: {seconds:.5f}"


def log_line(scores: tuple[float, float, float], what: str) -> str:
    """The same line in the log."""
    loss, accuracy, balanced = scores
    return f"\t{what}: loss:{loss:.6f}, acc-all:{accuracy:.5f}, acc-avg-cls:{balanced:.5f}\n"


def best_line(scores: tuple[float, float, float], epoch: int) -> str:
    """The line about a new best epoch, 0-based."""
    loss, accuracy, balanced = scores
    where = f"The best model is achieved at epoch-{epoch + 1}:"
    return f"{where} loss{loss:.5f}, acc-all:{accuracy:.5f}, acc-avg-cls:{balanced:.5f}.\n"


def result_lines(result: Mapping[str, Any]) -> str:
    """The lines of the final evaluation, given a summary as a dictionary; a shot group without classes is absent."""
    shown = {name: "absent" if result[name] is None else f"{100 * result[name]:.1f}%" for name in ("many", "medium", "few")}
    groups = " ".join(f"{name.capitalize()}: {share}" for name, share in shown.items())
    return f"acc avgClass:  {100 * result['balanced_accuracy']:.1f}%\n{groups}"


def _of_training(report: BatchReport) -> tuple[float, float, float]:
    assert report.balanced is not None, "training accuracy is counted class by class"
    return report.loss.mean, report.top1.mean, report.balanced


def _of_testing(result: Summary) -> tuple[float, float, float]:
    return math.nan if result.loss is None else result.loss, result.accuracy, result.balanced_accuracy


class PaperLog(Listener):
    """Prints the paper's lines and writes its files.

    Args:
        run: where the files go.
        name: of the run.
        flags: the content of `args.txt`.
        figures: draws curves and bars.
        has_teacher: whether there is a teacher at all.
    """

    def __init__(self, run: Run, *, name: str, flags: Mapping[str, Any], figures: Figures, has_teacher: bool = True) -> None:
        self._run = run
        self._name = name
        self._flags = flags
        self._figures = figures
        self._has_teacher = has_teacher
        self._records: dict[str, list[float | None]] = {key: [] for key in KEYS}

    def run_started(self, epoch: int, epochs: int) -> None:
        """Write `args.txt`, and take up the records of the epochs that are done."""
        write_atomically(self._run.log_dir / "args.txt", json.dumps(self._flags, indent=2).encode())
        self._records = read_records(self._run, epoch)
        # opened, and so cut back to the epochs that are done, even if no epoch to come adds a line
        for log in (train_log(self._name), best_log(self._name)):
            self._run.log(log)

    def epoch_started(self, clock: Clock, learning_rate: float) -> None:
        """Print the epoch's header."""
        print(f"Adjusting learning rate to  {learning_rate:g}\n\n{epoch_header(clock)}", end="", flush=True)

    def evaluated(self, report: EpochReport) -> None:
        """Print and log the epoch."""
        train = _of_training(report.train)
        print(console_line(train, "training", report.seconds))
        log = "\n" + epoch_header(report.clock) + log_line(train, "training")
        test = None if report.result is None else _of_testing(report.result)
        if test is not None:
            log += log_line(test, "testing")
            print(console_line(test, "testing", report.test_seconds))
            print(self._verdict(report), flush=True)
            if report.is_best:
                self._run.log(best_log(self._name)).append(best_line(test, report.clock.epoch))
        self._run.log(train_log(self._name)).append(log)
        values = (train[0], test and test[0], train[2], test and test[2], report.learning_rate)
        for key, value in zip(KEYS, values, strict=True):
            self._records[key].append(value)
        write_json(self._run.log_dir / RECORDS, self._records)

    def _verdict(self, report: EpochReport) -> str:
        assert report.best is not None
        assert report.best_epoch is not None
        if report.is_best:
            arrow = "\t-----------> "
            loaded = f"{arrow}Load new weights for the pseudo teacher\n" if report.best and self._has_teacher else ""
            return f"{arrow}New best accuracy:{report.best:.5f}\n{loaded}"
        since = report.clock.epoch - report.best_epoch
        return f"\tCurrent best accuracy:{report.best:.5f}\n\tCurrent count_epoch:{since:3d}\n"

    def run_finished(self, results: dict[str, Any]) -> None:
        """Print the final evaluation and draw the figures."""
        final = results["final"]
        print(f"The results on test dataset:\n{result_lines(final['flip'])}\n")
        print(f"Apply L2 at the FC layer\n{result_lines(final['tau_normalised_flip'])}\n", flush=True)
        self._figures.draw(self._records, results["best"], final["tau_normalised"])


def read_records(run: Run, epochs: int) -> dict[str, list[float | None]]:
    """The first `epochs` entries of each list in `log.json`; of an epoch that is not there, none."""
    path = run.log_dir / RECORDS
    if not epochs or not path.is_file():
        return {key: [] for key in KEYS}
    written = read_json(path)
    return {key: [_finite(value) for value in written.get(key, [])[:epochs]] for key in KEYS}


def _finite(value: float | None) -> float | None:
    """The value, or None for what the paper's script wrote as NaN, which is no JSON."""
    return value if value is None or math.isfinite(value) else None
