"""What every backbone offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """A network with a classifier on top: `forward(images)` gives logits (B, C), `features(images)` what the classifier sees.

    Attributes:
        num_features: D, the width of the features.
    """

    num_features: int

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Pooled features, shape (B, D), of images of shape (B, 3, H, W)."""
