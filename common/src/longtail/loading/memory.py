"""The loader for images that lie in memory as one array: no worker processes, no files, batches at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longtail.datasets.base import ArrayImages, ImageData
from longtail.errors import UserError
from longtail.loading import transfer
from longtail.loading.augment import Augmentation, Draws
from longtail.loading.base import Batch
from longtail.loading.normalise import Normalise
from longtail.loading.orders import Order
from longtail.loading.transfer import to_device
from longtail.randomness import Randomness

HOST_CHUNK, ACCELERATOR_CHUNK = 3 << 20, 24 << 20
"""Bytes of images that are augmented together: several batches, so that images that share an operation come in larger
groups."""


@dataclass(frozen=True)
class _Plan:
    """What is fixed at the beginning of an epoch: the order (indices and labels, on the device) and the random numbers."""

    epoch: int
    indices: Tensor
    labels: Tensor
    draws: Draws | None


class InMemoryLoader:
    """Batches of a data set that is one array, kept as bytes on the device and augmented there.

    A batch is a pure function of (seed, epoch, step). An image's augmentation does not depend on the batch size, nor on the
    rank or
    the number of ranks, which only slice the global batches: rank r takes the r-th of `world_size` contiguous parts, the
        first ones larger by one image if it does not come out even. No image is repeated to fill a batch; a small last
        batch may leave a rank none.

    Args:
        data: the data set; its images are `ArrayImages`.
        order: the epoch orders, of indices into `data`.
        batch_size: images of a global batch, over all ranks.
        mean, std: per-channel normalisation of values in [0, 1].
        randomness: the run's source of randomness; needed if there is an augmentation.
        augmentation: None shows the images as they are.
        stream: the name under which the augmentation draws.
        device: where images are kept, augmented and yielded.
        rank, world_size: which part of every global batch is yielded.
        drop_last: leave out the last batch of an epoch if it is smaller than the others.

    Raises:
        UserError: no batch is left, because the last one is left out and there are fewer samples than `batch_size`.
    """

    def __init__(
        self,
        data: ImageData,
        order: Order,
        *,
        batch_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        randomness: Randomness | None = None,
        augmentation: Augmentation | None = None,
        stream: str = "augment",
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
    ) -> None:
        if not isinstance(data.images, ArrayImages):
            raise ValueError(f"this loader is for images in memory, not for {type(data.images).__name__}")
        if augmentation is not None and randomness is None:
            raise ValueError("an augmentation needs a source of randomness")
        if batch_size < 1 or not 0 <= rank < world_size:
            raise ValueError(
                f"a batch has at least one image and a rank is one of world_size, got {batch_size=} {rank=} {world_size=}"
            )
        if drop_last and len(order) < batch_size:
            raise UserError(
                f"there are {len(order)} samples, fewer than a batch of {batch_size}, and incomplete batches are left out"
            )
        self._order = order
        self._batch_size = batch_size
        self._randomness = randomness
        self._augmentation = augmentation
        self._stream = stream
        self._device = torch.device(device)
        self._rank, self._world_size = rank, world_size
        self._drop_last = drop_last
        self._images = to_device(data.images.array, self._device)
        self._labels = to_device(data.labels, self._device)
        self._normalise = Normalise(mean, std, self._device)
        chunk = HOST_CHUNK if transfer.on_host(self._device) else ACCELERATOR_CHUNK
        self._steps_per_chunk = max(1, chunk * world_size // (batch_size * max(1, self._images[:1].numel())))
        self._plan: _Plan | None = None

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        full, rest = divmod(len(self._order), self._batch_size)
        return full if self._drop_last or not rest else full + 1

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `first_step` on; a pure function of its arguments."""
        return self.batches(epoch, range(first_step, self.steps))

    def batch(self, epoch: int, step: int) -> Batch:
        """One batch of an epoch."""
        return next(self.batches(epoch, (step,)))

    def batches(self, epoch: int, steps: Iterable[int]) -> Iterator[Batch]:
        """The batches of these steps of an epoch, in the order of `steps`; the same ones that `epoch` yields."""
        chosen = list(steps)
        if chosen and not 0 <= min(chosen) <= max(chosen) < self.steps:
            raise ValueError(f"an epoch has the steps 0 to {self.steps - 1}, got {min(chosen)} to {max(chosen)}")
        return self._batches(self._planned(epoch), chosen)

    def _batches(self, plan: _Plan, steps: Sequence[int]) -> Iterator[Batch]:
        for start in range(0, len(steps), self._steps_per_chunk):
            parts = [self._part(step) for step in steps[start : start + self._steps_per_chunk]]
            images = self._augmented(plan, [positions for _, positions in parts])
            end = 0
            for size, positions in parts:
                begin, end = end, end + positions.stop - positions.start
                yield Batch(self._normalise(images[begin:end]), plan.labels[positions], plan.indices[positions], size)

    def _part(self, step: int) -> tuple[int, slice]:
        """The size of the global batch, and this rank's positions of it in the epoch order."""
        first = step * self._batch_size
        size = min(self._batch_size, len(self._order) - first)
        share, larger = divmod(size, self._world_size)
        begin = first + self._rank * share + min(self._rank, larger)
        return size, slice(begin, begin + share + (self._rank < larger))

    def _augmented(self, plan: _Plan, positions: Sequence[slice]) -> Tensor:
        """The images at these positions of the epoch order: uint8, shape (B, H, W, 3)."""
        images = self._images.index_select(0, torch.cat([plan.indices[part] for part in positions]))
        if self._augmentation is None or plan.draws is None:
            return images
        rows = np.concatenate([np.arange(part.start, part.stop) for part in positions])
        return self._augmentation.apply(images, plan.draws[rows])

    def _planned(self, epoch: int) -> _Plan:
        """The epoch's plan, made once for as long as no other epoch is asked for."""
        if self._plan is None or self._plan.epoch != epoch:
            indices = to_device(self._order(epoch), self._device)
            draws = None
            if self._augmentation is not None and self._randomness is not None:
                size = int(self._images.shape[1]), int(self._images.shape[2])
                draws = self._augmentation.draw(self._randomness.generator(self._stream, epoch), len(self._order), size)
            self._plan = _Plan(epoch, indices, self._labels.index_select(0, indices), draws)
        return self._plan
