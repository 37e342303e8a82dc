"""Logit-adjusted cross entropy."""

from __future__ import annotations

import math

import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from longtail.errors import UserError
from longtail.losses.base import WeightedLoss, full_precision
from longtail.losses.class_counts import ClassCounts, log_prior


class LogitAdjustment(WeightedLoss):
    """Cross entropy of z + tau log(n_c / N); with tau 1 and no weights it is balanced softmax.

    Menon et al., Long-tail Learning via Logit Adjustment, ICLR 2021 (arXiv 2007.07314), equation 10.

    Args:
        class_counts: training images per class, shape (C,), all > 0.
        tau: strength of the adjustment, finite; the paper's value is 1.
        weight: weight per class, shape (C,), or None.

    Raises:
        UserError: a class has no image, or tau is not finite.
    """

    adjustment: Tensor

    def __init__(self, class_counts: ClassCounts, *, tau: float = 1.0, weight: npt.ArrayLike | Tensor | None = None) -> None:
        super().__init__(class_counts, weight=weight)
        if not math.isfinite(tau):
            raise UserError(f"logit adjustment: tau is a finite number, got {tau}")
        self.register_buffer("adjustment", tau * log_prior(class_counts), persistent=False)

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each sample, shape (B,)."""
        return F.cross_entropy(full_precision(logits) + self.adjustment, labels, reduction="none")
