"""A few pictures from their files to bytes of one size: the work that a loader of files hands to other processes.

A task carries everything that its pictures need, so that the process that does the work holds no part of the data set.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from longtail.datasets.decode import UnreadableImage, read_image
from longtail.loading.augment import Augmentation, Draws
from longtail.loading.framing import Framing


class Task(NamedTuple):
    """Some pictures and what happens to them.

    root, paths, upright: the files, as the `root`, `files` and `upright` of `FileImages`.
    framing, augmentation: the random numbers of these pictures.
    """

    root: Path
    paths: tuple[str, ...]
    upright: bool
    framing: Draws
    augmentation: Draws


class BadImage(NamedTuple):
    """The first of a task's files that cannot be read.

    at: its number in the task.
    reason: in a few words.
    """

    at: int
    reason: str


class NoSharedMemory(NamedTuple):
    """The result of a task could not be handed over; in the system's words."""

    reason: str


class Reading:
    """Carries out tasks.

    What goes wrong is a result like any other, because an exception would reach the main process as a traceback in a string.

    Args:
        framing: makes the squares.
        augmentation: changes them, or None.
    """

    def __init__(self, framing: Framing, augmentation: Augmentation | None) -> None:
        self._framing = framing
        self._augmentation = augmentation

    def __getitem__(self, task: Task) -> Tensor | BadImage | NoSharedMemory:
        """The pictures of a task: uint8, shape (B, size, size, 3), contiguous."""
        size = self._framing.size
        images = torch.empty((len(task.paths), size, size, 3), dtype=torch.uint8)
        for at, path in enumerate(task.paths):
            try:
                picture = read_image(task.root / path, upright=task.upright)
            except UnreadableImage as error:
                return BadImage(at, str(error))
            images[at] = self._framing.frame(torch.from_numpy(picture), task.framing[at : at + 1])
        if self._augmentation is not None:
            images = self._augmentation.apply(images, task.augmentation)
        return images if get_worker_info() is None else _shared(images)


def _shared(images: Tensor) -> Tensor | NoSharedMemory:
    """The images in memory that the main process can see.

    Left to the queue between the processes, this would fail in a thread of which nobody hears, and the main process would
    wait for ever.
    """
    try:
        images.share_memory_()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        return NoSharedMemory(str(error).splitlines()[0])
    return images
