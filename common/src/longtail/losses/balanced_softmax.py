"""Balanced softmax."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from longtail.losses.base import Loss, full_precision
from longtail.losses.class_counts import ClassCounts, log_prior


class BalancedSoftmax(Loss):
    """Cross entropy of z + log(n_c / N): the network learns what remains once the class prior is accounted for.

    Ren et al., Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS 2020 (arXiv 2007.10740), theorem 1. No class
    weights: the prior already does their work.

    Args:
        class_counts: training images per class, shape (C,), all > 0.

    Raises:
        UserError: a class has no image.
    """

    log_prior: Tensor

    def __init__(self, class_counts: ClassCounts) -> None:
        super().__init__(class_counts)
        self.register_buffer("log_prior", log_prior(class_counts), persistent=False)

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each sample, shape (B,)."""
        return F.cross_entropy(full_precision(logits) + self.log_prior, labels, reduction="none")
