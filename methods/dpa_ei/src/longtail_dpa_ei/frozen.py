"""DPA-EI where the features stay as they are: only the classifier is trained, augmented from the first epoch on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from longtail.backbones import Backbone, linear_classifier
from longtail.loading.base import Batch
from longtail_dpa_ei.recipe import DPAEI


class OnFeatures(Backbone):
    """A classifier as a network whose images are features already.

    Args:
        classifier: maps features (B, A) to logits (B, C).
    """

    def __init__(self, classifier: nn.Linear) -> None:
        super().__init__()
        self.fc = classifier
        self.num_features = classifier.in_features

    @property
    def classifier(self) -> nn.Linear:
        """The head."""
        return self.fc

    def features(self, images: Tensor) -> Tensor:
        """The features as they are."""
        return images


class FrozenDPAEI(DPAEI):
    """DPA-EI on fixed features, as the paper's code does on ImageNet-LT and iNaturalist 2018.

    The network below the classifier is in evaluation mode and has no gradient; batches may also bring its features, shape
    (B, A), in place of images. The look-ahead is one of the classifier.
    """

    def train(self, mode: bool = True) -> FrozenDPAEI:
        """As for every module, but the network always stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def represented(self, images: Tensor) -> Tensor:
        """Features, shape (B, A), without gradient; under autocast too in the precision of the classifier."""
        if images.dim() == 2:
            return images
        with torch.no_grad():
            return self.backbone.features(images).to(linear_classifier(self.backbone).weight.dtype)

    def looked_ahead(self, batch: Batch, features: Tensor) -> tuple[Backbone, Tensor, Tensor]:
        """The classifier alone, and the features of both batches."""
        assert batch.partner is not None, "an implicit epoch needs meta batches"
        return OnFeatures(linear_classifier(self.backbone)), features, self.represented(batch.partner.images)

    def predict(self, images: Tensor) -> Tensor:
        """Logits, shape (B, C), of images (B, 3, H, W) or of features (B, A)."""
        logits: Tensor = self.backbone.classifier(self.represented(images))
        return logits


def freeze(network: Backbone) -> Backbone:
    """Let nothing of a network be trained but its classifier; returns it."""
    network.requires_grad_(False)
    network.classifier.requires_grad_(True)
    return network
