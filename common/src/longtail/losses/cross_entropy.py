"""Cross entropy."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from longtail.losses.base import WeightedLoss, full_precision


class CrossEntropy(WeightedLoss):
    """-log softmax(z)_y.

    Args:
        class_counts: training images per class, shape (C,); only their number matters here.
        weight: weight per class, shape (C,), or None.
    """

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The cross entropy of each sample, shape (B,)."""
        return F.cross_entropy(full_precision(logits), labels, reduction="none")
