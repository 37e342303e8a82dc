"""Working on some images of a batch, in blocks that a processor's cache holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.datasets.base import Indices
from longtail.loading import transfer
from longtail.loading.transfer import to_device

HOST_BLOCK = 192 << 10
"""Bytes of images that a CPU works on at a time: larger blocks leave its cache and cost up to five times as much an image."""

Change = Callable[[Tensor, Indices], Tensor]
"""Makes new images of some images and of their positions, which find the parameters that belong to them."""


def blocks(images: Tensor, rows: Indices) -> Iterator[Indices]:
    """The rows in blocks; all at once where an accelerator wants few and large operations. No rows make no block."""
    if not len(rows):
        return
    size = max(1, HOST_BLOCK // images[0].numel()) if transfer.on_host(images.device) else len(rows)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def take_rows(images: Tensor, rows: Indices) -> Tensor:
    """A copy of the images at `rows`."""
    return images.index_select(0, to_device(rows, images.device))


def put_rows(images: Tensor, rows: Indices, changed: Tensor) -> None:
    """Overwrite the images at `rows`, which must be distinct."""
    if transfer.on_host(images.device):
        # torch copies indexed bytes one by one, about twenty times slower than numpy's copies of whole images
        images.numpy()[rows] = changed.numpy()
    else:
        images.index_copy_(0, to_device(rows, images.device), changed)


def change_rows(images: Tensor, rows: Indices, change: Change) -> None:
    """Overwrite the images at `rows`, which must be distinct, with what `change` makes of them."""
    for block in blocks(images, rows):
        put_rows(images, block, change(take_rows(images, block), block))


def change_all(images: Tensor, size: tuple[int, int], change: Change) -> Tensor:
    """What `change` makes of all images: uint8, shape (B, *size, 3)."""
    result = images.new_empty((len(images), *size, 3))
    for block in blocks(images, np.arange(len(images))):
        span = slice(int(block[0]), int(block[-1]) + 1)
        result[span] = change(images[span], block)
    return result


def per_image(array: npt.NDArray[Any], images: Tensor, dtype: torch.dtype) -> Tensor:
    """One number an image, on the images' device, in a shape that broadcasts against their lines: (B, 1, 1)."""
    return to_device(array, images.device).to(dtype).view(-1, 1, 1)
