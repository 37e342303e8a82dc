"""Gaussian blur of batches with a different strength for every image, equal to Pillow's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.datasets.base import Indices
from longtail.loading.augment import Draws, SameSize, Size
from longtail.loading.rows import change_rows, per_image

PASSES = 3
"""Box blurs in a row that stand for one Gaussian."""
PRECISION = 24
"""Fractional bits of the fixed-point weights."""


class GaussianBlur(SameSize):
    """A Gaussian blur whose standard deviation is uniform in an interval.

    Args:
        sigma: the interval, in pixels.

    Source: Chen et al., SimCLR, ICML 2020, in the form of MoCo v2: Pillow's blur, which is three box blurs with a
    fractional radius.
    """

    def __init__(self, sigma: tuple[float, float] = (0.1, 2.0)) -> None:
        self.sigma = sigma

    def draw(self, rng: np.random.Generator, count: int, _size: Size) -> Draws:
        """The standard deviations."""
        return Draws({"sigma": rng.uniform(*self.sigma, count)})

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The blurred images."""
        sigma = draws.values["sigma"]
        blurred = images.clone()
        # in order of strength, because a block costs what its widest box costs
        change_rows(blurred, np.argsort(sigma), lambda chosen, at: gaussian_blur(chosen, sigma[at]))
        return blurred


def gaussian_blur(images: Tensor, sigma: npt.NDArray[np.float64]) -> Tensor:
    """Every image blurred with its own standard deviation.

    Args:
        images: uint8, shape (B, H, W, 3), contiguous.
        sigma: in pixels, shape (B,).
    """
    weights = _box_weights(_box_radius(sigma))
    shares = [per_image(column, images, torch.int32) for column in weights.T]
    lines = images.view(images.shape[0], images.shape[1], -1)
    # Pillow goes along the rows first and rounds to bytes after every pass
    for axis, unit in ((2, 3), (1, 1)):
        for _ in range(PASSES):
            lines = _box_blur(lines, shares, axis, unit)
    return lines.view_as(images)


def _box_blur(lines: Tensor, shares: list[Tensor], axis: int, unit: int) -> Tensor:
    """One box blur along an axis on which neighbours are `unit` entries apart; the border repeats.

    The 32-bit sums of bytes times 24-bit weights use the sign bit too, which the mask after the shift undoes.
    """
    reach = (len(shares) - 1) * unit
    length = lines.shape[axis]
    first, last = lines.narrow(axis, 0, unit), lines.narrow(axis, length - unit, unit)
    border = len(shares) - 1
    padded = torch.cat([first] * border + [lines] + [last] * border, axis).to(torch.int32)
    total = padded.narrow(axis, reach, length) * shares[0]
    total += 1 << (PRECISION - 1)
    for distance, share in enumerate(shares[1:], start=1):
        pair = padded.narrow(axis, reach - distance * unit, length) + padded.narrow(axis, reach + distance * unit, length)
        total += pair.mul_(share)
    return total.bitwise_right_shift_(PRECISION).bitwise_and_(255).to(torch.uint8)


def _box_radius(sigma: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The fractional radius of the box whose `PASSES`-fold application has the variance sigma ** 2.

    Source: Gwosdek et al., Theoretical Foundations of Gaussian Convolution by Extended Box Filtering, SSVM 2011.
    """
    variance = np.square(sigma.astype(np.float32)) / np.float32(PASSES)
    length = np.sqrt(12.0 * variance.astype(np.float64) + 1.0).astype(np.float32)
    whole = np.floor((length.astype(np.float64) - 1.0) / 2.0).astype(np.float32)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) * (whole + 1)))
    radius: npt.NDArray[np.float32] = whole + part
    return radius


def _box_weights(radius: npt.NDArray[np.float32]) -> Indices:
    """The fixed-point weights at the distances 0, 1, ... from the centre: full ones inside the radius, one fractional at
    its edge.

    Returns:
        int64, shape (B, largest whole radius + 2).
    """
    whole = radius.astype(np.int64)
    full = ((1 << PRECISION) / (radius * 2 + 1)).astype(np.int64)
    edge = ((1 << PRECISION) - (2 * whole + 1) * full) // 2
    distance = np.arange(whole.max() + 2)
    inside, at_edge = distance <= whole[:, None], distance == whole[:, None] + 1
    return np.where(inside, full[:, None], np.where(at_edge, edge[:, None], 0))
