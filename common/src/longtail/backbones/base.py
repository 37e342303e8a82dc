"""What every backbone offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

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


class StagedBackbone(Backbone, ABC):
    """A backbone that is a stem, some stages one after another, a pooling, and the classifier.

    Methods can branch off between two stages, or put something in there.

    Attributes:
        stage_widths: channels that each stage gives.
    """

    stage_widths: tuple[int, ...]

    @property
    @abstractmethod
    def stages(self) -> Sequence[nn.Module]:
        """What turns the stem's output into what is pooled, one after another; each maps a hidden state to the next.

        A hidden state is a map (B, channels, H, W) in a convolutional network, and tokens (B, N, channels) in a transformer.
        """

    @abstractmethod
    def stem(self, images: Tensor) -> Tensor:
        """What the first stage sees of images of shape (B, 3, H, W)."""

    @abstractmethod
    def pooled(self, hidden: Tensor) -> Tensor:
        """Features, shape (B, D), of the last stage's output."""

    def features(self, images: Tensor) -> Tensor:
        """Pooled features, shape (B, D), of images of shape (B, 3, H, W)."""
        hidden = self.stem(images)
        for stage in self.stages:
            hidden = stage(hidden)
        return self.pooled(hidden)


def linear_classifier(network: Backbone) -> nn.Linear:
    """The network's classifier.

    Raises:
        ValueError: it is not linear.
    """
    if not isinstance(network.classifier, nn.Linear):
        raise ValueError(f"a linear classifier is needed, this one is {type(network.classifier).__name__}")
    return network.classifier
