"""The lines that the paper's scripts print, and their checkpoints' names."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from longtail.metrics import Summary
from longtail.training import checkpoint
from longtail.training.meter_lines import meter
from longtail.training.recipe import Clock
from longtail.training.reports import BatchReport, EpochReport, Listener
from longtail.training.run_folder import Run

LINES = "train.log"
RULE = "-" * 30


def train_line(report: BatchReport, clock: Clock) -> str:
    """The line about a training batch."""
    parts = [f"Epoch: [{clock.epoch}]", f"Batch: [{report.step}/{report.steps}]"]
    return "\t".join([*parts, meter("Batch Loss", report.loss, 4), meter("Prec@1", report.top1, 3, 100)])


def test_line(report: BatchReport) -> str:
    """The line about an evaluation batch."""
    times, loss, hits = report.seconds, report.loss, report.top1
    parts = [f"Test: [{report.step}/{report.steps}]", meter("Time", times, 3), meter("Loss", loss, 4)]
    return "\t".join([*parts, meter("Prec@1", hits, 3, 100)])


def result_line(result: Summary) -> str:
    """The line about an evaluation."""
    return f" * Prec@1 {100 * result.accuracy:.3f}\t   Error:{100 * (1 - result.accuracy):.3f}"


def prec_line(result: Summary) -> str:
    """The same without the error."""
    return f" * Prec@1 {100 * result.accuracy:.3f}"


def result_block(dataset: str, imb_factor: float, result: Summary) -> str:
    """What the test script ends with."""
    accuracy = 100 * result.accuracy
    shares = f"Accuracy: {accuracy:.2f} \tError: {100 - accuracy:.2f} "
    return f"Test result:\nDataset: {dataset}\tImb_factor: {int(1 / imb_factor)}\t{shares}"


def numbered_checkpoint(epoch: int) -> str:
    """The name of the checkpoint of a best epoch, 0-based."""
    return f"{epoch}_ckpt.pth.tar"


class PaperLog(Listener):
    """Prints the paper's lines, and gives each best epoch's checkpoint its own name.

    Args:
        run: whose checkpoints these are.
        implicit: whether an epoch, 0-based, belongs to the implicit stage.
    """

    def __init__(self, run: Run, implicit: Callable[[int], bool]) -> None:
        self._run = run
        self._implicit = implicit
        self._started = time.perf_counter()

    def run_started(self, epoch: int, epochs: int) -> None:
        """Give the best epoch's checkpoint its number, if the run was killed between the two."""
        best = self._run.best_checkpoint
        if best.is_file():
            self._keep(checkpoint.read(best)["epoch"] - 1)

    def train_batch(self, report: BatchReport, clock: Clock, learning_rate: float) -> None:
        """Print the batch's line below a banner."""
        banner = f"{RULE}{'IDASAug Train' if self._implicit(clock.epoch) else 'Train'}{RULE}"
        self._say(f"{banner}\n{train_line(report, clock)}")

    def evaluation_batch(self, report: BatchReport) -> None:
        """Print the batch's line."""
        print(test_line(report), flush=True)

    def evaluated(self, report: EpochReport) -> None:
        """Print the results."""
        if report.result is not None:
            self._say(f"{result_line(report.result)}\ncur best acc:{100 * (report.best or 0.0):.3f}")

    def epoch_ended(self, report: EpochReport) -> None:
        """Keep the checkpoint of a new best epoch under its number."""
        if report.is_best:
            self._keep(report.clock.epoch)

    def run_finished(self, results: dict[str, Any]) -> None:
        """Print the best accuracy and how long it took."""
        best = results["best"]
        shown = "unknown" if best is None else f"{100 * best['accuracy']:.3f}"
        self._say(f"Best accuracy:  {shown}\ntime: {(time.perf_counter() - self._started) / 60:.2f} minutes")

    def _keep(self, epoch: int) -> None:
        link(self._run.best_checkpoint, self._run.checkpoint_dir / numbered_checkpoint(epoch))

    def _say(self, lines: str) -> None:
        print(lines, flush=True)
        self._run.log(LINES).append(lines + "\n")


class LargeLog(Listener):
    """Prints the lines of the script for the large data sets.

    Args:
        run: the lines go into its log as well.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def train_batch(self, report: BatchReport, clock: Clock, learning_rate: float) -> None:
        """Print the batch's line."""
        place = f"Epoch: [{clock.epoch}][{report.step}/{report.steps}]"
        self._say("\t".join([place, meter("Loss", report.loss, 4), meter("Prec@1", report.top1, 3, 100)]))

    def evaluation_batch(self, report: BatchReport) -> None:
        """Print the batch's line."""
        print(test_line(report), flush=True)

    def evaluated(self, report: EpochReport) -> None:
        """Print the results."""
        if report.result is not None:
            self._say(prec_line(report.result))

    def _say(self, lines: str) -> None:
        print(lines, flush=True)
        self._run.log(LINES).append(lines + "\n")


def link(file: Path, name: Path) -> None:
    """Give a file a second name; what had that name before loses it. The next best checkpoint replaces only the first name."""
    temporary = name.with_name(f".{name.name}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(file, temporary)
    except OSError:  # a file system without links
        temporary.write_bytes(file.read_bytes())
    temporary.replace(name)
    temporary.unlink(missing_ok=True)  # two names of one file are left as they are
