"""Classifiers on top of a backbone."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail.errors import UserError


class CosineLinear(nn.Module):
    """Logits are cosines between a feature and each class's weight, in [-1, 1]; no bias, and the scale is left to the loss.

    Computed in float32 even under autocast: a loss that scales cosines by 30 would scale bfloat16's rounding with them. The
    cosine of a zero feature is 0.

    Args:
        in_features: D.
        out_features: C. The weight has shape (D, C), transposed against `nn.Linear`, as in published checkpoints.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = nn.Parameter(F.normalize(torch.empty(in_features, out_features).uniform_(-1, 1), dim=0))

    def forward(self, features: Tensor) -> Tensor:
        """Cosines, shape (B, C), float32 or better, of features of shape (B, D)."""
        with torch.autocast(features.device.type, enabled=False):
            dtype = torch.promote_types(features.dtype, torch.float32)
            return F.normalize(features.to(dtype), dim=1) @ F.normalize(self.weight.to(dtype), dim=0)

    def extra_repr(self) -> str:
        """The sizes, as `nn.Linear` prints them."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


HEADS: dict[str, Callable[[int, int], nn.Module]] = {"linear": nn.Linear, "cosine": CosineLinear}
"""Every head under its name: (D, C) -> module."""


def create_head(name: str, in_features: int, num_classes: int) -> nn.Module:
    """Make the head of this name, from features of width `in_features` to `num_classes` logits.

    Raises:
        UserError: no head has this name.
    """
    if name not in HEADS:
        raise UserError(f"no head is called {name!r}; choose one of {', '.join(HEADS)}")
    return HEADS[name](in_features, num_classes)
