"""Resizing a different box of every image to one size, bilinear with antialiasing, equal to Pillow's.

Enlarging is exact. Where a side shrinks, Pillow may go along the columns first, and values differ by one at most.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.datasets.base import Indices
from longtail.loading.transfer import to_device

PRECISION = 22
"""Fractional bits of Pillow's fixed-point weights for eight-bit images."""


def resize_boxes(images: Tensor, top: Indices, left: Indices, height: Indices, width: Indices, size: tuple[int, int]) -> Tensor:
    """The box of each image, resized to `size`.

    Args:
        images: uint8, shape (B, H, W, 3), contiguous.
        top, left, height, width: the boxes in pixels, int64, shape (B,), inside the images.
        size: height and width of the result.

    Returns:
        uint8, shape (B, *size, 3), contiguous.
    """
    # Pillow goes along the rows first and rounds to bytes in between
    columns_first = images.transpose(1, 2).contiguous()
    narrowed = _resize_lines(columns_first, left, width, size[1])
    return _resize_lines(narrowed.transpose(1, 2).contiguous(), top, height, size[0])


def _resize_lines(images: Tensor, start: Indices, length: Indices, size: int) -> Tensor:
    """The lines `start` to `start + length` of the second axis, resized to `size` lines.

    Integer arithmetic, so that the result does not depend on the device or on which images share a batch.
    """
    batch, lines, across, _ = images.shape
    first, weights = _taps(lines, size)
    taps = weights.shape[-1]
    base = (np.arange(batch) * lines + start)[:, None]
    last = base + length[:, None] - 1
    rows = images.view(batch * lines, across * 3)
    total = torch.full((batch * size, across * 3), 1 << (PRECISION - 1), dtype=torch.int32, device=images.device)
    for tap in range(taps):
        source = np.minimum(base + first[length] + tap, last).reshape(-1)
        values = rows.index_select(0, to_device(source, images.device)).to(torch.int32)
        total += values.mul_(to_device(weights[length, :, tap].reshape(-1, 1), images.device))
    return total.bitwise_right_shift_(PRECISION).to(torch.uint8).view(batch, size, across, 3)


@lru_cache(maxsize=16)
def _taps(longest: int, size: int) -> tuple[Indices, npt.NDArray[np.int32]]:
    """Which lines each output line mixes, for every input length up to `longest`.

    Returns:
        The first line, int64, shape (longest + 1, size), and the fixed-point weights of it and the next ones, int32, shape
        (longest + 1, size, taps); the weights beyond the last line needed are zero.
    """
    taps = 2 * math.ceil(max(1.0, longest / size))
    first = np.zeros((longest + 1, size), dtype=np.int64)
    weights = np.zeros((longest + 1, size, taps), dtype=np.int32)
    for length in range(1, longest + 1):
        scale = length / size
        reach = max(1.0, scale)
        for line in range(size):
            centre = (line + 0.5) * scale
            begin, end = max(0, int(centre - reach + 0.5)), min(length, int(centre + reach + 0.5))
            share = [max(0.0, 1.0 - abs((at - centre + 0.5) / reach)) for at in range(begin, end)]
            total = sum(share)
            first[length, line] = begin
            weights[length, line, : end - begin] = [int(0.5 + part / total * (1 << PRECISION)) for part in share]
    return first, weights
