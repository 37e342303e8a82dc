"""Translation, rotation and shear of batches, equal to Pillow's affine transform on every image.

Images are uint8, shape (B, H, W, 3), contiguous. One call moves all its images alike: where each output pixel comes from is
worked out once on the host and kept. Output pixel (x, y) reads the input at (a x' + b y' + c, d x' + e y' + f) with x' = x
+ 1/2, y' = y + 1/2.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.datasets.base import Indices
from longtail.loading.transfer import to_device

Matrix = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f)."""


def translate(images: Tensor, right: float, down: float, fill: int) -> Tensor:
    """Output pixel (x, y) shows the input at (x + `right`, y + `down`), nearest; outside there is `fill`."""
    return _nearest(images, (1.0, 0.0, right, 0.0, 1.0, down), fill)


def rotate(images: Tensor, degrees: float, fill: int) -> Tensor:
    """Turned counter-clockwise about the centre, nearest; the exposed corners are `fill`."""
    angle = -math.radians(degrees % 360.0)
    # Pillow rounds the sine and the cosine like this, so that right angles come out exact
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = images.shape[2] / 2, images.shape[1] / 2
    return _nearest(images, (cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y), fill)


def shear_x(images: Tensor, slope: float, fill: int) -> Tensor:
    """Output pixel (x, y) shows the input at (x' + `slope` y', y'), bicubic along the row; outside there is `fill`."""
    return _bicubic(images, slope, 1, fill)


def shear_y(images: Tensor, slope: float, fill: int) -> Tensor:
    """Output pixel (x, y) shows the input at (x', y' + `slope` x'), bicubic along the column; outside there is `fill`."""
    return _bicubic(images, slope, 0, fill)


def _nearest(images: Tensor, matrix: Matrix, fill: int) -> Tensor:
    batch, height, width, _ = images.shape
    source, outside = _nearest_sources(matrix, height, width)
    pixels = images.view(batch, height * width, 3).index_select(1, to_device(source, images.device))
    return _filled(pixels, outside, fill).view_as(images)


def _filled(pixels: Tensor, outside: Indices, fill: int) -> Tensor:
    """The pixels, (B, H * W, 3), with `fill` at the positions `outside`."""
    if len(outside):
        pixels.index_fill_(1, to_device(outside, pixels.device), fill)
    return pixels


@lru_cache(maxsize=256)
def _nearest_sources(matrix: Matrix, height: int, width: int) -> tuple[Indices, Indices]:
    """The flat input position of every output pixel, and the output positions that have none."""
    a, b, c, d, e, f = matrix
    x, y = np.arange(width)[None, :], np.arange(height)[:, None]
    if b == d == 0:
        column, row = np.floor(a * (x + 0.5) + c + 0 * y), np.floor(e * (y + 0.5) + f + 0 * x)
    else:  # Pillow steps through a turned image in fixed point
        first_column, first_row = _fixed(c + a / 2 + b / 2), _fixed(f + d / 2 + e / 2)
        column = (first_column + _fixed(a) * x + _fixed(b) * y) >> 16
        row = (first_row + _fixed(d) * x + _fixed(e) * y) >> 16
    return _flat_positions(column, row, height, width)


def _fixed(value: float) -> int:
    return math.floor(value * 65536 + 0.5)


def _flat_positions(column: npt.NDArray[Any], row: npt.NDArray[Any], height: int, width: int) -> tuple[Indices, Indices]:
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    source = np.where(inside, row * width + column, 0).astype(np.int64)
    return source.reshape(-1), np.flatnonzero(~inside)


def _bicubic(images: Tensor, slope: float, axis: int, fill: int) -> Tensor:
    batch, height, width, _ = images.shape
    taps, fraction, outside = _bicubic_sources(slope, axis, height, width)
    pixels = images.view(batch, height * width, 3)
    before, here, after, beyond = (pixels.index_select(1, to_device(tap, images.device)).to(torch.int16) for tap in taps)
    linear = after - before
    quadratic = (before - here).mul_(2).add_(after).sub_(beyond)
    cubic = here.sub(before).sub_(after).add_(beyond)
    distance = to_device(fraction, images.device)[:, None]
    values = distance * cubic
    values = values.add_(quadratic).mul_(distance).add_(linear).mul_(distance).add_(here)
    return _filled(values.clamp_(0, 255).to(torch.int32).to(torch.uint8), outside, fill).view_as(images)


@lru_cache(maxsize=256)
def _bicubic_sources(
    slope: float, axis: int, height: int, width: int
) -> tuple[tuple[Indices, ...], npt.NDArray[np.float64], Indices]:
    """Four flat input positions for every output pixel, its place between the middle two, and the output positions outside."""
    centre = [np.arange(height)[:, None] + 0.5 + np.zeros((1, width)), np.arange(width)[None, :] + 0.5 + np.zeros((height, 1))]
    size = (height, width)[axis]
    place = centre[axis] + slope * centre[1 - axis]
    outside = np.flatnonzero((place < 0) | (place >= size))
    place = place - 0.5
    first = np.floor(place)
    other = np.floor(centre[1 - axis]).astype(np.int64)
    taps = []
    for step in range(-1, 3):
        along = np.clip(first + step, 0, size - 1).astype(np.int64)
        row, column = (along, other) if axis == 0 else (other, along)
        taps.append((row * width + column).reshape(-1))
    return tuple(taps), (place - first).reshape(-1), outside
