"""What a loader yields, and what the training loop asks of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from torch import Tensor


class Batch(NamedTuple):
    """One batch on the device that the loader was made for.

    images: float32, shape (B, 3, H, W), augmented and normalised, `channels_last` in memory.
    labels: int64, shape (B,).
    indices: int64, shape (B,), positions of the samples in the data set.
    partner: a second batch that goes with this one (CMO's foreground), or None where there is none.
    size: samples in the global batch that this is a slice of (over all ranks); equals B on a single rank.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    size: int
    partner: Batch | None = None


class Loader(Protocol):
    """A data set in the order and form in which a network sees it."""

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        ...

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `first_step` on; a pure function of its arguments."""
        ...


class RandomAccessLoader(Loader, Protocol):
    """A loader that can leave out steps of an epoch without computing them."""

    def batches(self, epoch: int, steps: Iterable[int]) -> Iterator[Batch]:
        """The batches of these steps of an epoch, in the order of `steps`; the same ones that `epoch` yields."""
        ...
