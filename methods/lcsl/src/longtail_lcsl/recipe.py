"""LCSL on one screen: mixup, and a second label for the mixed images that a teacher is sure to show a rare class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from longtail.backbones import Backbone, linear_classifier
from longtail.datasets.base import Indices
from longtail.distributed import gather_rows
from longtail.loading.base import Batch
from longtail.losses import CrossEntropy
from longtail.losses.base import full_precision
from longtail.metrics import Summary
from longtail.training.mixup import Mixing, blended
from longtail.training.recipe import Clock, Predict, Recipe, StepOutput
from longtail_lcsl.classifier import normalise_classifier, tau_normalised
from longtail_lcsl.mixing import mix_at

FINAL_TAU = 1.9
"""The power of the classifier's row lengths in the final evaluation."""


def minority_classes(class_counts: Indices) -> npt.NDArray[np.bool_]:
    """M: the classes with fewer training images than the average class, bool (C,); empty where all have as many."""
    minority: npt.NDArray[np.bool_] = class_counts < class_counts.mean()
    return minority


@dataclass(frozen=True)
class SelfLabelling:
    """The paper's settings.

    Args:
        alpha, beta: weights of the mixup loss and of the self-labelling loss.
        tau: temperature of the teacher's confidence.
        confidence: least confidence of a label that the teacher gives (the paper's conf).
        normalise_teacher: give the rows of the teacher's classifier length 1.
    """

    alpha: float = 1.0
    beta: float = 1.0
    tau: float = 1.0
    confidence: float = 0.5
    normalise_teacher: bool = True


class LCSL(Recipe):
    """Long-tailed classification via self-labelling (Vu et al., 2024).

    The teacher T is the student S as it was after the best epoch so far, its classifier's rows normalised; it follows whatever
    chooses the run's best epoch. Before the first of them there is no teacher, and nothing is labelled. The paper's code has a
    random network until then, whose confidence on its own networks is about 1 / C, too little to matter; on networks with
    other initial weights it would label every image alike.

    Args:
        backbone: the student, which is trained.
        teacher: the same network again, its weights do not matter; None where no label of its could count, see `needs_teacher`.
        class_counts: training images per class, int64 (C,).
        settings: the paper's.
        mixing: draws the blends.
    """

    backbone: Backbone
    part_names = ("mixup_loss", "self_labelling_loss", "self_labelled")
    minority: Tensor
    can_teach: Tensor

    def __init__(
        self,
        backbone: Backbone,
        teacher: Backbone | None,
        class_counts: Indices,
        settings: SelfLabelling,
        mixing: Mixing = mix_at,
    ) -> None:
        super().__init__(backbone, CrossEntropy(class_counts))
        self.settings = settings
        self.mixing = mixing
        self.teacher = teacher
        self.register_buffer("minority", torch.from_numpy(minority_classes(class_counts)), persistent=False)
        self.register_buffer("can_teach", torch.tensor(False))
        self._teaches = False
        if teacher is not None:
            teacher.requires_grad_(False).eval()

    @staticmethod
    def needs_teacher(class_counts: Indices, settings: SelfLabelling) -> bool:
        """Whether self-labelling can change the loss: it has a weight, and there is a class that it is for."""
        return settings.beta != 0 and bool(minority_classes(class_counts).any())

    def train(self, mode: bool = True) -> LCSL:
        """As for every module, but the teacher always stays in evaluation mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    def begin_epoch(self, clock: Clock) -> None:
        """Find out whether there is a teacher yet; once an epoch, since it waits for the device."""
        self._teaches = self.teacher is not None and bool(self.can_teach)

    def forward(self, batch: Batch, clock: Clock) -> StepOutput:
        """alpha L_mix + beta L_SL of the global batch; training accuracy is that of the images as they are."""
        mix = self.mixing(clock, batch.size)
        mixed = blended(batch.images, mix)
        own_labels, selected = self.self_labels(mixed) if self._teaches else (None, None)
        # the student sees the clean images first: for training accuracy, and batch normalisation counts them too
        with torch.no_grad():
            clean_logits = self.backbone(batch.images)
        # torch 2.9's autocast would hand the second pass the first one's copies of the weights, which know no gradient
        torch.clear_autocast_cache()
        logits = gather_rows(self.backbone(mixed))

        # L_mix = mean of lambda CE(z, y_a) + (1 - lambda) CE(z, y_b)
        labels, loss_of = gather_rows(batch.labels), self.loss.per_sample
        other_labels = labels[mix.partners.to(labels.device)]
        mixup_loss = (mix.share * loss_of(logits, labels) + (1 - mix.share) * loss_of(logits, other_labels)).mean()
        loss, own_loss, share = self.settings.alpha * mixup_loss, torch.zeros_like(mixup_loss), torch.zeros_like(mixup_loss)
        if own_labels is not None and selected is not None:
            # L_SL = 1/B sum of m CE(z, y^), over all B images, not over those that m selects
            chosen = gather_rows(selected)
            own_loss = (chosen * loss_of(logits, gather_rows(own_labels))).mean()
            loss, share = loss + self.settings.beta * own_loss, chosen.mean()
        parts = dict(zip(self.part_names, (mixup_loss.detach(), own_loss.detach(), share), strict=True))
        return StepOutput(loss, clean_logits, batch.labels, parts)

    @torch.no_grad()
    def self_labels(self, mixed: Tensor) -> tuple[Tensor, Tensor]:
        """The teacher's labels y^ and the mask m, 1 where it is sure of a minority class: int64 (B,) and float (B,).

        z_T = (T(x~) + T(mirrored x~)) / 2, p = softmax(z_T / tau), y^ = arg max p, m = [max p >= conf and y^ in M].
        """
        assert self.teacher is not None
        logits = full_precision(mirrored_mean(self.teacher, mixed))
        confidence, labels = F.softmax(logits / self.settings.tau, dim=1).max(dim=1)
        return labels, ((confidence >= self.settings.confidence) & self.minority[labels]).to(confidence.dtype)

    def evaluated(self, result: Summary, clock: Clock, *, is_best: bool) -> None:
        """The teacher becomes the student of the best epoch so far."""
        if is_best and result.balanced_accuracy > 0:
            self.refresh_teacher(self.backbone.state_dict())

    def refresh_teacher(self, weights: Mapping[str, Tensor]) -> None:
        """Give the teacher a student's `state_dict`, batch-norm statistics included."""
        if self.teacher is not None:
            self.teacher.load_state_dict(weights)
            if self.settings.normalise_teacher:
                normalise_classifier(self.teacher)
            self.can_teach.fill_(True)

    def networks(self) -> list[Backbone]:
        """Student and teacher."""
        return [self.backbone] if self.teacher is None else [self.backbone, self.teacher]

    def final_predictors(self) -> dict[str, Predict]:
        """What the paper's script evaluates at the end: the mean with the mirror image, and a tau-normalised classifier."""
        return {
            "flip": lambda images: mirrored_mean(self.backbone, images),
            "tau_normalised": self.predict_tau_normalised,
            "tau_normalised_flip": lambda images: mirrored_mean(self.predict_tau_normalised, images),
        }

    def predict_tau_normalised(self, images: Tensor) -> Tensor:
        """Logits, shape (B, C), of the student with the rows of its classifier divided by their length to the power 1.9."""
        classifier = linear_classifier(self.backbone)
        return F.linear(self.backbone.features(images), tau_normalised(classifier.weight, FINAL_TAU), classifier.bias)


def mirrored_mean(predict: Predict, images: Tensor) -> Tensor:
    """The mean of the logits of images (B, 3, H, W) and of their mirror images, which form one batch of 2 B."""
    first, second = predict(torch.cat([images, images.flip(-1)])).chunk(2)
    return 0.5 * (first + second)
