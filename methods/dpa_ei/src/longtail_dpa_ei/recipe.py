"""DPA-EI on one screen: mixup first, then features that are augmented along a covariance that a balanced set corrects."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from longtail.backbones import Backbone, linear_classifier
from longtail.datasets.base import Indices
from longtail.distributed import gather_rows, stand_ins
from longtail.loading.base import Batch
from longtail.losses import LDAM, CrossEntropy, WeightedLoss, effective_number_weights, mixed_loss
from longtail.training.mixup import Mixing, blended
from longtail.training.recipe import Clock, Recipe, StepOutput
from longtail_dpa_ei.covariance import ClassCovariance
from longtail_dpa_ei.implicit import augmented
from longtail_dpa_ei.meta import LookAhead, MetaStep, by_forward_mode
from longtail_dpa_ei.mixing import mix_at
from longtail_dpa_ei.schedules import Timing


@dataclass(frozen=True)
class Augmentation:
    """The paper's settings.

    Args:
        strength: lambda_0, what the strength of implicit augmentation would reach after the last epoch.
        meta_rate: step size of the covariance's correction.
        rate: base learning rate of the look-ahead, that of training.
        timing: the fixed epochs.
        margins: label-distribution-aware margins in the implicit stage; the paper has them on CIFAR.
        diagonal: keep only the diagonals of the covariances.
    """

    strength: float = 0.5
    meta_rate: float = 0.1
    rate: float = 0.1
    timing: Timing = field(default_factory=Timing)
    margins: bool = True
    diagonal: bool = False


class DPAEI(Recipe):
    """Dual progressive augmentation from explicit and implicit perspectives (Zhao et al., 2025).

    Evaluation and mixup have plain cross entropy; class weights and margins belong to the implicit stage alone. Only its first
    batch begins to fill the covariances. Implicit epochs need a balanced batch as the `partner` of each batch.

    Args:
        backbone: the network; its classifier is linear.
        class_counts: training images per class, int64 (C,).
        settings: the paper's.
        mixing: draws the blends.
        meta_step: computes the gradient of the covariance.

    Raises:
        UserError: a class has no image.
    """

    backbone: Backbone
    part_names = ("meta_loss", "correction")

    def __init__(
        self,
        backbone: Backbone,
        class_counts: Indices,
        settings: Augmentation,
        mixing: Mixing = mix_at,
        meta_step: MetaStep = by_forward_mode,
    ) -> None:
        super().__init__(backbone, CrossEntropy(class_counts))
        self.settings = settings
        self.mixing = mixing
        self.meta_step = meta_step
        self.inner_rate = settings.timing.inner_learning_rate()
        self.implicit_loss = _implicit_loss(class_counts, margins=settings.margins)
        self.statistics = ClassCovariance(len(class_counts), backbone.num_features, diagonal=settings.diagonal)

    def forward(self, batch: Batch, clock: Clock) -> StepOutput:
        """The loss of the epoch's stage; training accuracy is measured against the labels of the unmixed images."""
        return self.implicit(batch, clock) if self.settings.timing.is_implicit(clock.epoch) else self.explicit(batch, clock)

    def explicit(self, batch: Batch, clock: Clock) -> StepOutput:
        """L_de = l CE(z, y) + (1 - l) CE(z, y') of images l x + (1 - l) x'."""
        mix = self.mixing(clock, batch.size)
        logits = self.backbone(blended(batch.images, mix))
        labels = gather_rows(batch.labels)
        loss = mixed_loss(self.loss, gather_rows(logits), labels, labels[mix.partners.to(labels.device)], mix.share)
        nothing = torch.zeros_like(loss)
        return StepOutput(loss, logits, batch.labels, dict.fromkeys(self.part_names, nothing))

    def implicit(self, batch: Batch, clock: Clock) -> StepOutput:
        """L_di = CE of the logits that are augmented along the corrected covariance, with weights and margins by class."""
        assert batch.partner is not None, "an implicit epoch needs meta batches"
        settings, covariance, labels = self.settings, self.statistics.covariance, gather_rows(batch.labels)
        ratio = settings.strength * clock.epoch / clock.epochs

        def loss_of(logits: Tensor, weight: Tensor, covariance: Tensor) -> Tensor:
            loss: Tensor = self.implicit_loss(augmented(logits, weight, covariance, labels, ratio), labels)
            return loss

        classifier = linear_classifier(self.backbone)
        features = self.represented(batch.images)
        own_logits, weight = classifier(features), classifier.weight
        logits = gather_rows(own_logits)

        # S' = S - beta dL2/dS, which serves this batch alone
        meta_labels = gather_rows(batch.partner.labels)
        ahead = LookAhead(
            *self.looked_ahead(batch, features),
            loss_of,
            lambda logits: self.loss(logits, meta_labels),
            settings.rate * self.inner_rate(clock.epoch),
        )
        meta = self.meta_step(ahead, logits, covariance)
        correction = -settings.meta_rate * meta.gradient
        loss = loss_of(logits, weight, covariance + correction)
        self.statistics.update(features, batch.labels)
        parts = {"meta_loss": meta.meta_loss, "correction": torch.linalg.vector_norm(correction)}
        return StepOutput(loss, own_logits, batch.labels, parts)

    def represented(self, images: Tensor) -> Tensor:
        """Features, shape (B, A), of the training pass."""
        # not by calling the backbone: `torch.compile` would allow only one backward pass through it
        return self.backbone.features(stand_ins(images))[: len(images)]

    def looked_ahead(self, batch: Batch, features: Tensor) -> tuple[Backbone, Tensor, Tensor]:
        """The network that the look-ahead changes, and what it sees of the training and of the meta batch.

        Args:
            batch: with its meta batch as partner.
            features: of the training images, as `represented` made them.
        """
        assert batch.partner is not None, "an implicit epoch needs meta batches"
        return self.backbone, batch.images, batch.partner.images


def _implicit_loss(class_counts: Indices, *, margins: bool) -> WeightedLoss:
    weights = effective_number_weights(class_counts)
    # the margins shift logits, not cosines, so nothing is scaled
    return LDAM(class_counts, scale=1.0, weight=weights) if margins else CrossEntropy(class_counts, weight=weights)
