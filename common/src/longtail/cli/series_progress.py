"""How far a series of runs has come, and how long the rest will take."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from longtail.cli.tasks import Progress, Task
from longtail.training.reports import BatchReport, EpochReport, Listener

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from longtail.training.recipe import Clock

LINE_EVERY = 60.0
"""Seconds between two lines about runs under way: the hours of a series should not fill a log."""


class Follower(Listener):
    """Tells how far a run has come.

    Args:
        moved: is told.
    """

    def __init__(self, moved: Callable[[Progress], None]) -> None:
        self._moved = moved
        self._epochs = 0

    def run_started(self, epoch: int, epochs: int) -> None:
        """The run goes on with this epoch."""
        self._epochs = epochs
        self._moved(Progress(epoch, epochs))

    def train_batch(self, report: BatchReport, clock: Clock, learning_rate: float) -> None:
        """It is within an epoch."""
        self._moved(Progress(clock.epoch + (report.step + 1) / report.steps, self._epochs))

    def epoch_ended(self, report: EpochReport) -> None:
        """Another epoch is behind it."""
        self._moved(Progress(report.clock.epoch + 1, self._epochs))


class Estimate:
    """How long the rest of a series will take.

    A run takes as long for each epoch as the runs of its contender do, those under way among them, and as all do on average
    where there are none.

    Args:
        tasks: what is to be run.
        jobs: runs at a time.
        clock: tells seconds.
    """

    def __init__(self, tasks: Sequence[Task], jobs: int, clock: Callable[[], float] = time.monotonic) -> None:
        planned = {task.folder: _planned(task) for task in tasks}
        # where a method keeps its number of epochs to itself, all runs count alike
        alike = None in planned.values()
        self._sizes = {folder: 1.0 if alike else float(size or 1) for folder, size in planned.items()}
        self._labels = {task.folder: task.label for task in tasks}
        self._jobs = jobs
        self._clock = clock
        self._paces: dict[str, list[float]] = {}
        self._under_way: dict[Path, _UnderWay] = {}

    def moved(self, task: Task, progress: Progress) -> None:
        """A run has come this far."""
        seen = self._under_way.get(task.folder) or _UnderWay(self._clock(), progress.share)
        self._under_way[task.folder] = replace(seen, share=progress.share)

    def ended(self, task: Task, seconds: float | None) -> None:
        """A run has ended, after this time; None where it failed, which tells nothing of the others."""
        size, seen = self._sizes.pop(task.folder), self._under_way.pop(task.folder, _UnderWay(0.0, 0.0))
        if seconds is not None and seen.first < 1:
            self._paces.setdefault(task.label, []).append(seconds / (size * (1 - seen.first)))

    def seconds(self) -> float | None:
        """The time left; None where nothing is known yet, or nothing is left."""
        paces = self._all_paces()
        known = [pace for some in paces.values() for pace in some]
        if not known or not self._sizes:
            return None
        left = [
            size
            * (1 - (self._under_way[folder].share if folder in self._under_way else 0.0))
            * _mean(paces.get(self._labels[folder], known))
            for folder, size in self._sizes.items()
        ]
        # no run is shared between jobs
        return max(sum(left) / self._jobs, *left)

    def _all_paces(self) -> dict[str, list[float]]:
        """Seconds for each epoch, by contender."""
        now = self._clock()
        paces = {label: list(some) for label, some in self._paces.items()}
        for folder, seen in self._under_way.items():
            if seen.share > seen.first:
                pace = (now - seen.since) / (self._sizes[folder] * (seen.share - seen.first))
                paces.setdefault(self._labels[folder], []).append(pace)
        return paces


@dataclass(frozen=True)
class _UnderWay:
    """A run: when it was seen first, the share that was done then, and what is done now."""

    since: float
    first: float
    share: float = 0.0


def _planned(task: Task) -> int | None:
    numbers = [getattr(task.job.options, "epochs", None), task.job.runtime.max_epochs]
    return min((each for each in numbers if each is not None), default=None)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


class SeriesProgress:
    """Tells people about a series: a line about every run that ends, and where the runs under way are.

    The latter is a live line on a terminal, and elsewhere a printed one now and then. Threads may share it. It is a context
    manager, and on leaving takes the live line away.

    Args:
        tasks: the whole series.
        say: takes the lines.
        jobs: runs at a time.
        kind: `--progress`.
        clock: tells seconds.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        say: Callable[[str], None],
        *,
        jobs: int,
        kind: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._estimate = Estimate(tasks, jobs, clock)
        self._total = len(tasks)
        self._done = 0
        self._say = say
        self._clock = clock
        self._told = clock()
        self._under_way: dict[str, Progress] = {}
        self._lines = kind != "none"
        self._bar = _bar() if kind == "bar" or (kind == "auto" and sys.stderr.isatty()) else None
        self._lock = threading.Lock()

    def __enter__(self) -> SeriesProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def moved(self, task: Task, progress: Progress) -> None:
        """A run has come this far."""
        with self._lock:
            self._estimate.moved(task, progress)
            self._under_way[task.name] = progress
            if self._bar is not None:
                self._show(self._bar)
            elif self._lines and self._clock() - self._told >= LINE_EVERY:
                self._tell(self._where() + self._left("; "))

    def finished_before(self, task: Task, text: str, seconds: float) -> None:
        """A run need not be run; an earlier execution took so many seconds."""
        with self._lock:
            self._done += 1
            self._estimate.ended(task, seconds)
            self._tell(f"{task.name}: {text}")

    def ended(self, task: Task, text: str, seconds: float | None) -> None:
        """A run has ended after so many seconds, or has failed, and this is to be said of it."""
        with self._lock:
            self._done += 1
            self._under_way.pop(task.name, None)
            self._estimate.ended(task, seconds)
            if self._bar is not None:
                # what comes from elsewhere would be written into the live line
                self._bar.stop()
            self._tell(f"{task.name}: {text}{self._left(', ')}")
            if self._bar is not None and self._under_way:
                self._show(self._bar)

    def _tell(self, text: str) -> None:
        self._say(f"[{self._done}/{self._total}] {text}")
        self._told = self._clock()

    def _show(self, bar: Bar) -> None:
        done = self._done + sum(each.share for each in self._under_way.values())
        bar.update(bar.task_ids[0], total=self._total, completed=done, text=self._where() + self._left("; "))
        bar.start()

    def _where(self) -> str:
        return "; ".join(
            f"{name}: epoch {min(int(each.done) + 1, each.epochs)} of {each.epochs}" for name, each in self._under_way.items()
        )

    def _left(self, before: str) -> str:
        seconds = self._estimate.seconds()
        return f"{before}about {in_words(seconds)} left" if seconds is not None and seconds >= 1 else ""


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    text = TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
    bar = Progress(BarColumn(20), text, console=Console(stderr=True), transient=True, expand=True)
    bar.add_task("", total=None, text="")
    return bar


def in_words(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
