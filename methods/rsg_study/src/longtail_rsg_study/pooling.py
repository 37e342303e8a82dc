"""A convolution of which only the mean over positions is needed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def convolved_mean(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The mean over positions of a 3x3 convolution with zero padding 1, shape (B, D), without the convolution.

    Mean and convolution are both linear: each of the nine taps meets the sum of the map less the row, the column, or both, that
    it pushes over the edge. So nine sums per channel and one matrix product take the place of a convolution at every position;
    the result differs by rounding alone.

    Args:
        maps: shape (B, C, H, W); summed in float32 or better.
        weight: shape (D, C, 3, 3).
        bias: shape (D,).
    """
    sums = _shifted_sums(_shifted_sums(maps, 3), 2).transpose(2, 3)
    return F.linear(sums.flatten(1) / maps.shape[2:].numel(), weight.flatten(1), bias)


def _shifted_sums(maps: Tensor, dim: int) -> Tensor:
    """Sums along a dimension as the three taps of a padded convolution see it, in a new last dimension."""
    total = maps.sum(dim, dtype=torch.promote_types(maps.dtype, torch.float32))
    return torch.stack([total - maps.select(dim, -1), total, total - maps.select(dim, 0)], dim=-1)
