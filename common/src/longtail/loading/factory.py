"""The loader that fits the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from longtail.datasets.base import ArrayImages, ImageData
from longtail.errors import UserError
from longtail.loading.augment import Augmentation
from longtail.loading.base import RandomAccessLoader
from longtail.loading.framing import Framed
from longtail.loading.memory import InMemoryLoader
from longtail.loading.orders import Order
from longtail.randomness import Randomness

LOADERS: dict[type, Callable[..., RandomAccessLoader]] = {ArrayImages: InMemoryLoader}
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
        image_size: side in pixels that images in files are brought to where no augmentation does it; those in memory keep theirs.
        randomness: the run's source of randomness; needed if there is an augmentation.
        augmentation: None shows the images as they are.
        stream: the name under which the augmentation draws.
        device: where the batches are wanted.
        rank, world_size: which part of every global batch is yielded.
        drop_last: leave out the last batch of an epoch if it is smaller than the others.
        workers: processes that read files; images in memory need none.

    Raises:
        UserError: there is no loader for this kind of images, or no batch is left.
    """
    kind = type(data.images)
    if kind not in LOADERS:
        names = ", ".join(sorted(known.__name__ for known in LOADERS))
        raise UserError(f"there is no loader for {kind.__name__}; images can be given as {names}")
    return LOADERS[kind](
        data,
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
