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

    @property
    @abstractmethod
    def classifier(self) -> nn.Module:
        """The head: maps features (B, D) to logits (B, C)."""

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Pooled features, shape (B, D), of images of shape (B, 3, H, W)."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (B, C), of images of shape (B, 3, H, W)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


def linear_classifier(network: Backbone) -> nn.Linear:
    """The network's classifier.

    Raises:
        ValueError: it is not linear.
    """
    if not isinstance(network.classifier, nn.Linear):
        raise ValueError(f"a linear classifier is needed, this one is {type(network.classifier).__name__}")
    return network.classifier
