"""The loader that fits the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from longtail.datasets.base import ArrayImages, FileImages, ImageData
from longtail.errors import UserError
from longtail.loading.augment import Augmentation
from longtail.loading.base import RandomAccessLoader
from longtail.loading.framing import Framed
from longtail.loading.memory import InMemoryLoader
from longtail.loading.orders import Order
from longtail.randomness import Randomness


def _in_memory(
    data: ImageData, order: Order, augmentation: Augmentation | Framed | None, common: dict[str, Any], _own: dict[str, Any]
) -> RandomAccessLoader:
    if isinstance(augmentation, Framed):
        raise ValueError("images in memory have one size already; a Framed augmentation is for images in files")
    return InMemoryLoader(data, order, augmentation=augmentation, **common)


def _in_files(
    data: ImageData, order: Order, augmentation: Augmentation | Framed | None, common: dict[str, Any], own: dict[str, Any]
) -> RandomAccessLoader:
    # only whoever has images in files pays for what reads them
    from longtail.loading.files import FileLoader

    if augmentation is not None and not isinstance(augmentation, Framed):
        raise ValueError("images in files have any size; their augmentation is Framed, which says how they get one")
    return FileLoader(data, order, augmentation=augmentation, **common, **own)


LOADERS: dict[type, Callable[..., RandomAccessLoader]] = {ArrayImages: _in_memory, FileImages: _in_files}
"""The loader of each kind of images."""


def create_loader(
    data: ImageData,
    order: Order,
    *,
    batch_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    image_size: int | None = None,
    randomness: Randomness | None = None,
    augmentation: Augmentation | Framed | None = None,
    stream: str = "augment",
    device: torch.device | str = "cpu",
    rank: int = 0,
    world_size: int = 1,
    drop_last: bool = False,
    workers: int = 0,
) -> RandomAccessLoader:
    """A loader for the kind of images that `data` has.

    Args:
        data: the data set.
        order: the epoch orders, of indices into `data`.
        batch_size: images of a global batch, over all ranks.
        mean, std: per-channel normalisation of values in [0, 1].
        image_size: side in pixels of what is shown of images in files without an augmentation; those in memory keep their size.
        randomness: the run's source of randomness; needed if there is an augmentation.
        augmentation: None shows images in memory as they are, and the centre of those in files (see `CentreCrop`).
        stream: the name under which the augmentation draws.
        device: where the batches are wanted.
        rank, world_size: which part of every global batch is yielded.
        drop_last: leave out the last batch of an epoch if it is smaller than the others.
        workers: processes that read files; images in memory need none.

    Raises:
        UserError: there is no loader for this kind of images, or no batch is left.
        ValueError: the augmentation is for the other kind of images.
    """
    kind = type(data.images)
    if kind not in LOADERS:
        names = ", ".join(sorted(known.__name__ for known in LOADERS))
        raise UserError(f"there is no loader for {kind.__name__}; images can be given as {names}")
    common = {
        "batch_size": batch_size,
        "mean": mean,
        "std": std,
        "randomness": randomness,
        "stream": stream,
        "device": device,
        "rank": rank,
        "world_size": world_size,
        "drop_last": drop_last,
    }
    return LOADERS[kind](data, order, augmentation, common, {"image_size": image_size, "workers": workers})
