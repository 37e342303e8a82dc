"""What the training loop tells whoever listens: numbers of a batch, an evaluation batch, an epoch, a run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from longtail.distributed import sum_over_ranks
from longtail.metrics import Summary
from longtail.training.recipe import Clock


@dataclass(frozen=True)
class Averaged:
    """A quantity's latest value and its mean over the epoch so far."""

    value: float
    mean: float


@dataclass(frozen=True)
class BatchReport:
    """One batch of training or evaluation.

    Args:
        step, steps: 0-based batch and their number.
        seconds, data_seconds: wall time of a batch, and of it the wait for data.
        loss: the batch's mean loss.
        top1, top5: accuracy as a fraction.
        parts: what else the recipe tells, see `StepOutput`.
        per_class: accuracy of each class over the epoch so far, a fraction; None for one without samples, and empty where it
            is not counted.
    """

    step: int
    steps: int
    seconds: Averaged
    data_seconds: Averaged
    loss: Averaged
    top1: Averaged
    top5: Averaged
    parts: Mapping[str, Averaged] = field(default_factory=dict)
    per_class: tuple[float | None, ...] = ()

    @property
    def balanced(self) -> float | None:
        """Mean over classes of their accuracy, a fraction; None where it is not counted."""
        known = [each for each in self.per_class if each is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class EpochReport:
    """A finished epoch.

    Args:
        clock: the epoch's end.
        learning_rate: of its last batch.
        train: means over the epoch.
        seconds, test_seconds: wall time of training, and of the evaluation on the test set.
        result: the test summary, or None where this epoch was not evaluated on the test set.
        validation: the summary of the held-out images, or None without any.
        is_best: whether this evaluation is the best one so far.
        best, best_epoch: the best selection score so far, a fraction, and its 0-based epoch; None before the first evaluation.
    """

    clock: Clock
    learning_rate: float
    train: BatchReport
    seconds: float
    result: Summary | None
    validation: Summary | None
    is_best: bool
    best: float | None
    best_epoch: int | None
    test_seconds: float

    @property
    def shown(self) -> tuple[str, Summary] | None:
        """What a log shows of this epoch's evaluation: the set's name, and its summary; None where there was none."""
        if self.result is not None:
            return "test", self.result
        return None if self.validation is None else ("val", self.validation)


class Listener:
    """Somebody who follows a run; every method may be left as it is. Only rank 0 has listeners."""

    def run_started(self, epoch: int, epochs: int) -> None:
        """Training starts (or goes on) with this 0-based epoch."""

    def epoch_started(self, clock: Clock, learning_rate: float) -> None:
        """An epoch starts, or goes on with the batch `clock.step`."""

    def train_batch(self, report: BatchReport, clock: Clock, learning_rate: float) -> None:
        """A training batch whose number is a multiple of the log interval."""

    def evaluation_batch(self, report: BatchReport) -> None:
        """A test batch whose number is a multiple of the log interval."""

    def evaluated(self, report: EpochReport) -> None:
        """The epoch has been evaluated; its checkpoint is not written yet."""

    def epoch_ended(self, report: EpochReport) -> None:
        """The epoch's checkpoint is written."""

    def run_finished(self, results: dict[str, Any]) -> None:
        """Training has ended."""

    def close(self) -> None:
        """The run is over, well or not; called once."""


class Meters:
    """Sums over the batches of an epoch, kept on the device so that no batch waits for them.

    Args:
        device: where losses and logits will be.
        parts: names of what else is averaged.
        classes: C, to count hits class by class; 0 does not.
        sums: to go on with, float64 of shape (4 + P + 2 C,): samples, loss x samples, top-1 hits, top-5 hits, parts x samples,
            samples of each class, top-1 hits of each class.
    """

    def __init__(
        self, device: torch.device, *, parts: Sequence[str] = (), classes: int = 0, sums: Tensor | None = None
    ) -> None:
        # MPS has no float64
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._parts = tuple(parts)
        self._classes = torch.arange(classes, device=device)
        self.sums = (
            torch.zeros(self._scalars + 2 * classes, dtype=dtype, device=device) if sums is None else sums.to(device, dtype)
        )
        self.latest = torch.zeros_like(self.sums[: self._scalars])
        self._clock = _Stopwatch()

    @property
    def _scalars(self) -> int:
        return 4 + len(self._parts)

    def data_ready(self) -> None:
        """The batch has arrived."""
        self._clock.data_ready()

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, labels: Tensor, parts: Mapping[str, Tensor] | None = None) -> None:
        """Add a batch: its mean loss, logits (B, C), labels (B,) and the parts."""
        hits = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
        correct, samples = hits[:, 0], len(labels)
        means = [loss, *((parts or {})[name] for name in self._parts)]
        weighted = [mean.detach() * samples for mean in means]
        values = (torch.full_like(loss, samples), weighted[0], correct.sum(), hits.any(dim=1).sum(), *weighted[1:])
        self.latest = torch.stack([value.detach().to(self.sums) for value in values])
        new = self.latest
        if len(self._classes):
            members = labels[:, None] == self._classes
            by_class = torch.cat([members.sum(dim=0), (members & correct[:, None]).sum(dim=0)])
            new = torch.cat([new, by_class.to(self.sums)])
        self.sums = self.sums + new

    def batch_done(self) -> None:
        """The batch's work has been issued."""
        self._clock.batch_done()

    def over_ranks(self) -> Tensor:
        """The sums of all ranks together, on the CPU; every rank must call this."""
        sums = self.sums.clone()
        sum_over_ranks([sums])
        return sums.cpu()

    def report(self, step: int, steps: int) -> BatchReport:
        """The numbers so far; this waits for the device."""
        sums = self.sums.tolist()
        now, total = self._rates(self.latest.tolist()), self._rates(sums[: self._scalars])
        loss, top1, top5, *parts = (Averaged(value, mean) for value, mean in zip(now, total, strict=True))
        told = dict(zip(self._parts, parts, strict=True))
        return BatchReport(step, steps, self._clock.batch, self._clock.data, loss, top1, top5, told, self._per_class(sums))

    def _rates(self, sums: list[float]) -> list[float]:
        return [value / max(sums[0], 1.0) for value in sums[1:]]

    def _per_class(self, sums: list[float]) -> tuple[float | None, ...]:
        classes = len(self._classes)
        support, hits = sums[self._scalars : self._scalars + classes], sums[self._scalars + classes :]
        return tuple(hit / samples if samples else None for hit, samples in zip(hits, support, strict=True))


class _Stopwatch:
    """Wall time of batches and of the wait for their data."""

    def __init__(self) -> None:
        self._mark = time.perf_counter()
        self._last = (0.0, 0.0)
        self._total = (0.0, 0.0)
        self._batches = 0

    def data_ready(self) -> None:
        self._last = (0.0, time.perf_counter() - self._mark)

    def batch_done(self) -> None:
        now = time.perf_counter()
        self._last = (now - self._mark, self._last[1])
        self._total = (self._total[0] + self._last[0], self._total[1] + self._last[1])
        self._batches += 1
        self._mark = now

    @property
    def batch(self) -> Averaged:
        return Averaged(self._last[0], self._total[0] / max(1, self._batches))

    @property
    def data(self) -> Averaged:
        return Averaged(self._last[1], self._total[1] / max(1, self._batches))
