"""The classifier that every head of a cascade ends with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SquashedCosine(nn.Module):
    """Logits are cosines between a feature and each class's weight, shrunk for short features, times a scale; no bias.

    The logit of class c is scale * |x| / (1 + |x|) * cos(x, w_c): the cosine classifier of Liu et al., Large-Scale Long-Tailed
    Recognition in an Open World, CVPR 2019 (arXiv 1904.05160). Computed in float32 even under autocast, for the scale would
    multiply bfloat16's rounding as well. The logits of a zero feature are 0.

    Initialised from torch's current generator.

    Args:
        in_features: D. The weight has shape (C, D), as in published checkpoints.
        num_classes: C.
        scale: the largest logit.
    """

    def __init__(self, in_features: int, num_classes: int, *, scale: float = 30.0) -> None:
        super().__init__()
        self.in_features = in_features
        self.num_classes = num_classes
        self.scale = scale
        bound = in_features**-0.5
        self.weight = nn.Parameter(torch.empty(num_classes, in_features).uniform_(-bound, bound))

    def forward(self, features: Tensor) -> Tensor:
        """Logits, shape (B, C), float32 or better, of features of shape (B, D)."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(torch.promote_types(features.dtype, torch.float32))
            squashed = features / (1 + torch.linalg.vector_norm(features, dim=1, keepdim=True))
            return self.scale * F.linear(squashed, F.normalize(self.weight.to(features.dtype), dim=1))

    def extra_repr(self) -> str:
        """The sizes, as `nn.Linear` prints them, and the scale."""
        return f"in_features={self.in_features}, num_classes={self.num_classes}, scale={self.scale}"
