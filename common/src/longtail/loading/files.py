"""The loader for images in files: other processes read, decode and cut, batches form in the main one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from longtail.datasets.base import FileImages, ImageData, Indices
from longtail.errors import UserError
from longtail.loading import transfer
from longtail.loading.augment import Draws
from longtail.loading.base import Batch
from longtail.loading.framing import CentreCrop, Framed
from longtail.loading.orders import Order
from longtail.loading.processes import Processes, Result
from longtail.loading.reading import BadImage, Reading, Task
from longtail.loading.slicing import SlicedLoader
from longtail.loading.transfer import to_device
from longtail.randomness import Randomness

TASK = 8
"""Pictures that a process reads at a time: few, because finished ones wait in shared memory, which containers often have
little of."""

BLOCK = 1024
"""Positions of an epoch order whose random numbers are drawn together; another number would change all of them."""


class FileLoader(SlicedLoader):
    """Batches of pictures of any size in files.

    The processes keep at least one batch ready. An accelerator also does what follows the framing, because the processors
    have enough to do with decoding; otherwise the processes do, and always where `Framed.on_host` says so.

    Args:
        data: the data set; its images are `FileImages`.
        order: the epoch orders, of indices into `data`.
        image_size: side of the central squares that are shown without an augmentation, in pixels; not needed with one.
        augmentation: None shows the centre, see `CentreCrop`.
        workers: processes that read; with 0 this one does.
        batch_size, mean, std, randomness, stream, device, rank, world_size, drop_last: see `SlicedLoader`.

    Raises:
        UserError: no batch is left, because the last one is left out and there are fewer samples than `batch_size`; later, from
            the batches: a file cannot be read, or the machine has too little memory for the processes.
    """

    def __init__(
        self,
        data: ImageData,
        order: Order,
        *,
        batch_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        image_size: int | None = None,
        randomness: Randomness | None = None,
        augmentation: Framed | None = None,
        stream: str = "augment",
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        workers: int = 0,
    ) -> None:
        if not isinstance(data.images, FileImages):
            raise ValueError(f"this loader is for images in files, not for {type(data.images).__name__}")
        if workers < 0:
            raise ValueError(f"the number of processes is not negative, got {workers=}")
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
        self._images, self._labels, self._class_names = data.images, data.labels, data.class_names
        self._framed = _framed(augmentation, image_size)
        self._on_device = (
            self._framed.augmentation is not None and not self._framed.on_host and not transfer.on_host(self._device)
        )
        reading = Reading(self._framed.framing, None if self._on_device else self._framed.augmentation)
        share = -(-batch_size // world_size)
        self._processes = Processes(reading, workers, ahead=max(2, -(-share // (TASK * max(1, workers)))))
        self._plan: _Plan | None = None

    def _batches(self, epoch: int, steps: Sequence[int]) -> Iterator[Batch]:
        if not steps:
            return
        plan = self._planned(epoch)
        parts = [self._part(step) for step in steps]
        held: deque[Draws] = deque()
        with closing(self._processes.results(self._tasks(plan, [positions for _, positions in parts], held))) as results:
            for size, positions in parts:
                indices = plan.indices[positions]
                images = self._collected(results, indices).to(self._device, non_blocking=True)
                if self._on_device and self._framed.augmentation is not None and len(indices):
                    images = self._framed.augmentation.apply(images, held.popleft())
                labels = to_device(self._labels[indices], self._device)
                yield Batch(self._normalise(images), labels, to_device(indices, self._device), size)

    def _tasks(self, plan: _Plan, parts: Sequence[slice], held: deque[Draws]) -> Generator[Task, None, None]:
        """The tasks of these parts of the epoch order; what is drawn for the device goes to `held`, part by part."""
        for positions in parts:
            indices = plan.indices[positions]
            if not len(indices):
                continue
            framing, augmentation = plan.draws(positions).parts
            if self._on_device:
                held.append(augmentation)
                augmentation = Draws()
            for start in range(0, len(indices), TASK):
                some = slice(start, start + TASK)
                images = self._images.take(indices[some])
                yield Task(images.root, images.files, images.upright, framing[some], augmentation[some])

    def _collected(self, results: Iterator[Result], indices: Indices) -> Tensor:
        """The images at these indices as one batch on the host: uint8, shape (B, size, size, 3)."""
        size = self._framed.framing.size
        images = torch.empty((len(indices), size, size, 3), dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        done = 0
        while done < len(indices):
            result = next(results)
            if isinstance(result, BadImage):
                raise self._complaint(int(indices[done + result.at]), result.reason)
            images[done : done + len(result)] = result
            done += len(result)
        return images

    def _complaint(self, index: int, reason: str) -> UserError:
        (file,) = self._images.take(np.array([index])).files
        name = self._class_names[self._labels[index]]
        return UserError(
            f"{self._images.root / file} (class {name!r}) cannot be read: {reason}\n"
            "--on-bad-image skip leaves such images out and corrects the class counts"
        )

    def _planned(self, epoch: int) -> _Plan:
        """The epoch's plan, made once for as long as no other epoch is asked for."""
        if self._plan is None or self._plan.epoch != epoch:
            self._plan = _Plan(epoch, self._order(epoch), self._framed, self._randomness, self._stream)
        return self._plan


class _Plan:
    """What is fixed at the beginning of an epoch: the order, and the random numbers, drawn when they are needed."""

    def __init__(self, epoch: int, indices: Indices, framed: Framed, randomness: Randomness | None, stream: str) -> None:
        self.epoch = epoch
        self.indices = indices
        self._framed = framed
        self._randomness = randomness
        self._stream = stream
        self._last: tuple[int, Draws] | None = None

    def draws(self, positions: slice) -> Draws:
        """The random numbers at some positions of the epoch order, at least one; their parts are the framing's and the
        augmentation's."""
        first, last = positions.start // BLOCK, (positions.stop - 1) // BLOCK
        return _joined(
            [
                self._block(block)[max(0, positions.start - block * BLOCK) : positions.stop - block * BLOCK]
                for block in range(first, last + 1)
            ]
        )

    def _block(self, block: int) -> Draws:
        if self._last is None or self._last[0] != block:
            self._last = block, self._drawn(block)
        return self._last[1]

    def _drawn(self, block: int) -> Draws:
        if self._randomness is None:
            return Draws(parts=(Draws(), Draws()))
        rng = self._randomness.generator(self._stream, self.epoch, block)
        framing, augmentation = self._framed.framing, self._framed.augmentation
        drawn = framing.draw(rng, BLOCK)
        return Draws(parts=(drawn, Draws() if augmentation is None else augmentation.draw(rng, BLOCK, (framing.size,) * 2)))


def _joined(pieces: Sequence[Draws]) -> Draws:
    """The draws of all samples of the pieces, one piece after another."""
    if len(pieces) == 1:
        return pieces[0]
    values = {name: np.concatenate([piece.values[name] for piece in pieces]) for name in pieces[0].values}
    return Draws(values, tuple(_joined(parts) for parts in zip(*(piece.parts for piece in pieces), strict=True)))


def _framed(augmentation: Framed | None, image_size: int | None) -> Framed:
    if augmentation is None:
        if image_size is None:
            raise ValueError("images in files need an augmentation, or an image_size to be shown in")
        return Framed(CentreCrop(image_size))
    size = augmentation.framing.size, augmentation.framing.size
    if augmentation.augmentation is not None and augmentation.augmentation.output_size(size) != size:
        raise ValueError("what follows the framing keeps the size of the images")
    return augmentation
