"""Focal loss."""

from __future__ import annotations

import math

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from longtail.errors import UserError
from longtail.losses.base import WeightedLoss, full_precision
from longtail.losses.class_counts import ClassCounts


class Focal(WeightedLoss):
    """(1 - p_y)^gamma times -log p_y, p = softmax(z): easy samples count less. With gamma 0 it is cross entropy.

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017 (arXiv 1708.02002), equations 4 and 5 with a softmax for the
    sigmoid. Their alpha_t is the class weight here, and averaged like every weight of this package, over the sum of weights.

    Args:
        class_counts: training images per class, shape (C,); only their number matters here.
        gamma: focusing exponent, >= 0; the paper's value is 2.
        weight: weight per class (alpha), shape (C,), or None.

    Raises:
        UserError: gamma is negative or not finite.
    """

    def __init__(self, class_counts: ClassCounts, *, gamma: float = 2.0, weight: npt.ArrayLike | Tensor | None = None) -> None:
        super().__init__(class_counts, weight=weight)
        if not 0 <= gamma < math.inf:
            raise UserError(f"focal loss: gamma is a number >= 0, got {gamma}")
        self.gamma = gamma

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The focal loss of each sample, shape (B,)."""
        losses = F.cross_entropy(full_precision(logits), labels, reduction="none")
        # 1 - p without cancellation. Below gamma 1 the power has an infinite slope at 0, which the clamp cuts off: a sample
        # that is certain and right has neither loss nor gradient.
        miss = -torch.expm1(-losses)
        return miss.clamp_min(torch.finfo(losses.dtype).tiny).pow(self.gamma) * losses
