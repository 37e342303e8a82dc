"""The loader for images that lie in memory as one array: no worker processes, no files, batches at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longtail.datasets.base import ArrayImages, ImageData
from longtail.loading import transfer
from longtail.loading.augment import Augmentation, Draws
from longtail.loading.base import Batch
from longtail.loading.orders import Order
from longtail.loading.slicing import SlicedLoader
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


class InMemoryLoader(SlicedLoader):
    """Batches of a data set that is one array, kept as bytes on the device and augmented there.

    Args:
        data: the data set; its images are `ArrayImages`.
        order: the epoch orders, of indices into `data`.
        augmentation: None shows the images as they are.
        device: where images are kept, augmented and yielded.
        batch_size, mean, std, randomness, stream, rank, world_size, drop_last: see `SlicedLoader`.

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
        super().__init__(
            order,
            batch_size=batch_size,
            mean=mean,
            std=std,
            randomness=randomness,
            augmentation=augmentation,
            stream=stream,
            device=device,
            rank=rank,
            world_size=world_size,
            drop_last=drop_last,
        )
        self._augmentation = augmentation
        self._images = to_device(data.images.array, self._device)
        self._labels = to_device(data.labels, self._device)
        chunk = HOST_CHUNK if transfer.on_host(self._device) else ACCELERATOR_CHUNK
        self._steps_per_chunk = max(1, chunk * world_size // (batch_size * max(1, self._images[:1].numel())))
        self._plan: _Plan | None = None

    def _batches(self, epoch: int, steps: Sequence[int]) -> Iterator[Batch]:
        plan = self._planned(epoch)
        for start in range(0, len(steps), self._steps_per_chunk):
            parts = [self._part(step) for step in steps[start : start + self._steps_per_chunk]]
            images = self._augmented(plan, [positions for _, positions in parts])
            end = 0
            for size, positions in parts:
                begin, end = end, end + positions.stop - positions.start
                yield Batch(self._normalise(images[begin:end]), plan.labels[positions], plan.indices[positions], size)

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
