"""Showing a person how far a run has come, on standard error."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from longtail.training.recipe import Clock
from longtail.training.reports import BatchReport, EpochReport, Listener


def create_progress(kind: str, *, without_terminal: str = "none") -> Listener:
    """The listener for `--progress KIND`; `auto` is a bar on a terminal and `without_terminal` elsewhere."""
    if kind == "auto":
        kind = "bar" if sys.stderr.isatty() else without_terminal
    return {"bar": ProgressBar, "plain": ProgressLines, "none": Listener}[kind]()


class ProgressBar(Listener):
    """One live bar over all epochs; other output scrolls above it."""

    def __init__(self) -> None:
        self._bar = Bar(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, text="")
        self._text = ""

    def run_started(self, epoch: int, epochs: int) -> None:
        """Show the bar."""
        self._bar.update(self._task, total=epochs, completed=epoch)
        self._bar.start()

    def train_batch(self, report: BatchReport, clock: Clock, learning_rate: float) -> None:
        """Move the bar."""
        done = clock.epoch + (report.step + 1) / report.steps
        self._bar.update(self._task, completed=round(done, 2), text=f"loss {report.loss.mean:.3f}{self._text}")

    def evaluation_batch(self, report: BatchReport) -> None:
        """Show how far the evaluation has come."""
        self._bar.update(self._task, text=f"evaluating {report.step + 1}/{report.steps}{self._text}")

    def epoch_ended(self, report: EpochReport) -> None:
        """Move the bar and show the accuracy."""
        self._text = _accuracy(report) or self._text
        self._bar.update(self._task, completed=report.clock.epoch + 1, text=f"loss {report.train.loss.mean:.3f}{self._text}")

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def _accuracy(report: EpochReport) -> str:
    if report.shown is None:
        return ""
    part, summary = report.shown
    return f"  {part} {100 * summary.accuracy:.2f}"


class ProgressLines(Listener):
    """One line an epoch, for logs and pipes."""

    def __init__(self) -> None:
        self._first = 0
        self._epochs = 0
        self._started = time.perf_counter()

    def run_started(self, epoch: int, epochs: int) -> None:
        """Start the estimate of the time left."""
        self._first, self._epochs, self._started = epoch, epochs, time.perf_counter()

    def epoch_ended(self, report: EpochReport) -> None:
        """Print the epoch's line."""
        done = report.clock.epoch + 1
        left = (time.perf_counter() - self._started) / (done - self._first) * (self._epochs - done)
        print(
            f"epoch {done}/{self._epochs}  loss {report.train.loss.mean:.4f}{_accuracy(report)}  {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
