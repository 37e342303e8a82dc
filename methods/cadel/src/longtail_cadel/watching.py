"""Showing a person how far an evaluation has come, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track

from longtail.loading.base import Batch, Loader
from longtail.training.method import Setting


def watched(loader: Loader, phase: str, setting: Setting, *, every: int) -> Loader:
    """The same batches, with the progress that `--progress` asks for.

    Args:
        loader: of a set that is evaluated once.
        phase: what the set is called.
        setting: where it runs; rank 0 alone shows anything.
        every: batches from one plain line to the next.
    """
    kind = setting.runtime.progress
    if kind == "auto":
        kind = "bar" if sys.stderr.isatty() else "none"
    if kind == "none" or not setting.ranks.is_first:
        return loader
    total = min(loader.steps, setting.runtime.max_steps or loader.steps)
    return _Watched(loader, phase, total, None if kind == "bar" else every)


@dataclass(frozen=True)
class _Watched:
    """A loader whose batches are counted; `every` is None for a bar."""

    loader: Loader
    phase: str
    total: int
    every: int | None

    @property
    def steps(self) -> int:
        return self.loader.steps

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        batches = self.loader.epoch(epoch, first_step)
        yield from self._under_a_bar(batches) if self.every is None else self._with_lines(batches, self.every)

    def _under_a_bar(self, batches: Iterable[Batch]) -> Iterable[Batch]:
        return track(batches, self.phase, self.total, console=Console(stderr=True), transient=True)

    def _with_lines(self, batches: Iterable[Batch], every: int) -> Iterator[Batch]:
        for number, batch in enumerate(batches):
            if number % every == 0:
                print(f"{self.phase}: batch {number + 1}/{self.total}", file=sys.stderr, flush=True)
            yield batch
