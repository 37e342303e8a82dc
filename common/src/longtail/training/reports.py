"""What the training loop tells whoever listens: numbers of a batch, an evaluation batch, an epoch, a run."""

from __future__ import annotations

import time
from dataclasses import dataclass
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
    """

    step: int
    steps: int
    seconds: Averaged
    data_seconds: Averaged
    loss: Averaged
    top1: Averaged
    top5: Averaged


@dataclass(frozen=True)
class EpochReport:
    """A finished epoch.

    Args:
        clock: the epoch's end.
        learning_rate: of its last batch.
        train: means over the epoch.
        seconds: wall time of training.
        result: the test summary, or None where this epoch was not evaluated.
        validation: the summary of the held-out images, or None without any.
        is_best: whether this evaluation is the best one so far.
        best: the best selection score so far, a fraction, or None before the first evaluation.
    """

    clock: Clock
    learning_rate: float
    train: BatchReport
    seconds: float
    result: Summary | None
    validation: Summary | None
    is_best: bool
    best: float | None


class Listener:
    """Somebody who follows a run; every method may be left as it is. Only rank 0 has listeners."""

    def run_started(self, epoch: int, epochs: int) -> None:
        """Training starts (or goes on) with this 0-based epoch."""

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

    The sums are float64 of shape (4,): samples, loss x samples, top-1 hits, top-5 hits.
    """

    def __init__(self, device: torch.device, sums: Tensor | None = None) -> None:
        # MPS has no float64
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.sums = torch.zeros(4, dtype=dtype, device=device) if sums is None else sums.to(device, dtype)
        self.latest = torch.zeros_like(self.sums)
        self._clock = _Stopwatch()

    def data_ready(self) -> None:
        """The batch has arrived."""
        self._clock.data_ready()

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: its mean loss, logits (B, C) and labels (B,)."""
        hits = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
        values = (torch.full_like(loss, len(labels)), loss * len(labels), hits[:, 0].sum(), hits.any(dim=1).sum())
        self.latest = torch.stack([value.detach().to(self.sums) for value in values])
        self.sums = self.sums + self.latest

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
        now, total = (self._rates(each.tolist()) for each in (self.latest, self.sums))
        loss, top1, top5 = (Averaged(value, mean) for value, mean in zip(now, total, strict=True))
        return BatchReport(step, steps, self._clock.batch, self._clock.data, loss, top1, top5)

    @staticmethod
    def _rates(sums: list[float]) -> tuple[float, float, float]:
        samples = max(sums[0], 1.0)
        return sums[1] / samples, sums[2] / samples, sums[3] / samples


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
