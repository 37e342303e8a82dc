"""Label-distribution-aware margin loss."""

from __future__ import annotations

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from longtail.errors import UserError
from longtail.losses.base import WeightedLoss, full_precision
from longtail.losses.class_counts import ClassCounts, occupied_counts


class LDAM(WeightedLoss):
    """Cross entropy of s (z - m_y at the true class), with margins m_c proportional to n_c^(-1/4): rare classes get wide ones.

    Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019 (arXiv 1906.07413), section
    3.2. Meant for logits that are cosines: pair it with a cosine head, which leaves the scale to this loss.

    Args:
        class_counts: training images per class, shape (C,), all > 0.
        max_margin: margin of the rarest class, >= 0; the paper's value is 0.5.
        scale: s, > 0; the paper's code uses 30.
        weight: weight per class, shape (C,), or None; the paper defers weights to the last epochs.

    Raises:
        UserError: a class has no image, the margin is negative or the scale not positive.
    """

    margins: Tensor

    def __init__(
        self,
        class_counts: ClassCounts,
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
        weight: npt.ArrayLike | Tensor | None = None,
    ) -> None:
        super().__init__(class_counts, weight=weight)
        if not (max_margin >= 0 and scale > 0):
            raise UserError(f"LDAM: the margin is >= 0 and the scale > 0, got {max_margin} and {scale}")
        rarity = occupied_counts(class_counts) ** -0.25
        margins = torch.from_numpy(max_margin * rarity / rarity.max()).to(torch.float32)
        self.register_buffer("margins", margins, persistent=False)
        self.scale = scale

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each sample, shape (B,)."""
        cosines = full_precision(logits)
        at_label = labels[:, None] == torch.arange(self.num_classes, device=labels.device)
        return F.cross_entropy(self.scale * (cosines - at_label * self.margins.to(cosines.dtype)), labels, reduction="none")
