"""CADEL on one screen: three heads in cascade, each weighting its loss by how sure it and the shallower ones are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from longtail.datasets.base import Indices
from longtail.distributed import gather_rows, own_slice
from longtail.errors import UserError
from longtail.loading.base import Batch
from longtail.losses import CrossEntropy
from longtail.losses.base import full_precision
from longtail.training.mixup import Mixing, blended
from longtail.training.recipe import Clock, Predict, Reading, Recipe, StepOutput
from longtail_cadel.losses import BinaryCrossEntropy, Weighting, cascade_binary_cross_entropy, cascade_cross_entropy
from longtail_cadel.prior import corrected, prior_shift, reading_name
from longtail_cadel.samplers import Priorities

NUM_HEADS = 3
"""K: two auxiliary heads and the network's own."""
_COMPARED = {"last_head": "last", "all_heads": "all"}


def head_numbers(heads: str | Sequence[int]) -> tuple[int, ...]:
    """The 0-based numbers of the heads that are meant, for `corrected`.

    Args:
        heads: "last", "all", or some of the numbers 1 to 3, where 1 is the shallowest: a list, or with commas between them.

    Raises:
        UserError: it is nothing of that.
    """
    if heads == "all":
        return tuple(range(NUM_HEADS))
    numbers = [NUM_HEADS] if heads == "last" else heads.split(",") if isinstance(heads, str) else heads
    known = {str(number + 1): number for number in range(NUM_HEADS)}
    texts = [str(number).strip() for number in numbers]
    if not texts or not known.keys() >= set(texts) or len(set(texts)) < len(texts):
        raise UserError(f"heads to evaluate are last, all, or some of {', '.join(known)}, each once; got {heads!r}")
    return tuple(known[text] for text in texts)


@dataclass(frozen=True)
class Cascading:
    """The paper's settings.

    Args:
        binary: binary cross entropies, as for vision transformers, instead of cross entropy, as for CNNs.
        weighting: of the samples.
        heads: what predicts, by 0-based numbers.
        tau: strength of the prior correction in every evaluation; 0 for CNNs, 1 for vision transformers.
        taus: strengths of the second stage, among which validation decides when training is over.
    """

    binary: bool = False
    weighting: Weighting = field(default_factory=Weighting)
    heads: tuple[int, ...] = (NUM_HEADS - 1,)
    tau: float = 0.0
    taus: tuple[float, ...] = ()


class CADEL(Recipe):
    """Long-tailed classification via cascaded deep ensemble learning (Chen et al., 2023).

    Several heads predict with the mean of their logits. The authors' code takes their sum, and a third of a CNN's last head;
    the predicted class is the same, but only the mean has the heads' own confidence, loss and calibration.

    Args:
        backbone: the network with its heads; maps images (B, 3, H, W) to logits (B, 3, C), the shallowest head first.
        class_counts: training images per class, int64 (C,).
        settings: the paper's.
        mixing: draws the blends; None for images as they are.
        priorities: what a sampler remembers of the images, or None; the last head's logits tell it.

    Raises:
        UserError: a class has no image.
    """

    part_names = tuple(f"head{number + 1}_loss" for number in range(NUM_HEADS))
    shift: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        class_counts: Indices,
        settings: Cascading,
        mixing: Mixing | None = None,
        priorities: Priorities | None = None,
    ) -> None:
        super().__init__(backbone, BinaryCrossEntropy(class_counts) if settings.binary else CrossEntropy(class_counts))
        self.settings = settings
        self.mixing = mixing
        self.priorities = priorities
        self.cascade_loss = cascade_binary_cross_entropy if settings.binary else cascade_cross_entropy
        self.register_buffer("shift", prior_shift(class_counts), persistent=False)

    def begin_epoch(self, clock: Clock) -> None:
        """Fix what the epoch's images are drawn by."""
        if self.priorities is not None:
            self.priorities.begin_epoch(clock)

    def forward(self, batch: Batch, clock: Clock) -> StepOutput:
        """L = L^1 + L^2 + L^3 of the global batch; training accuracy is that of all heads, against the labels y alone."""
        # T falls from epoch to epoch, and is 0 in the last
        plain, weighting = 1 - (clock.epoch + 1) / clock.epochs, self.settings.weighting
        if self.mixing is None:
            logits = self.backbone(batch.images)
            losses = self.cascade_loss(logits, batch.labels, plain, weighting)
        else:
            # L^k = lambda L^k(z, y) + (1 - lambda) L^k(z, y'), each with the confidences in its own labels
            mix = self.mixing(clock, batch.size)
            logits = self.backbone(blended(batch.images, mix))
            partners = mix.partners[own_slice(batch.size)].to(batch.labels.device, non_blocking=True)
            other_labels = gather_rows(batch.labels)[partners]
            losses = mix.share * self.cascade_loss(logits, batch.labels, plain, weighting)
            losses = losses + (1 - mix.share) * self.cascade_loss(logits, other_labels, plain, weighting)
        if self.priorities is not None:
            self.priorities.update(batch.indices, logits.detach()[:, -1], batch.labels)
        parts = dict(zip(self.part_names, losses.detach().unbind(), strict=True))
        return StepOutput(losses.sum(), full_precision(logits.detach()).sum(dim=1), batch.labels, parts)

    def outputs(self, images: Tensor) -> Tensor:
        """Logits of the chosen heads, shape (B, H, C), of images (B, 3, H, W)."""
        return self._logits_of(self.settings.heads, images)

    def _logits_of(self, heads: Sequence[int], images: Tensor) -> Tensor:
        only_last = tuple(heads) == (NUM_HEADS - 1,)
        logits: Tensor = self.backbone(images, only_last=only_last)
        return logits if only_last else torch.stack([logits[:, head] for head in heads], dim=1)

    def predict(self, images: Tensor) -> Tensor:
        """Logits, shape (B, C), of images (B, 3, H, W): the mean over the chosen heads of z^k + tau delta."""
        return self.reading(self.settings.tau)(self.outputs(images))

    @property
    def learnt_prior(self) -> str:
        """A correction of strength 1 takes the training set's prior out."""
        return "uniform" if self.settings.tau == 1 else super().learnt_prior

    def reading(self, tau: float) -> Reading:
        """What reads logits of some heads (B, H, C) with a prior correction."""
        return lambda outputs: corrected(outputs, tau, range(outputs.shape[1]), self.shift) / outputs.shape[1]

    def readings(self) -> dict[str, Reading]:
        """The second stage: prior corrections of several strengths."""
        return {reading_name(tau): self.reading(tau) for tau in self.settings.taus}

    def final_predictors(self) -> dict[str, Predict]:
        """The last head and all of them, as far as they are not the chosen: the authors' scripts differ in what predicts."""
        others = {name: head_numbers(heads) for name, heads in _COMPARED.items()}
        return {
            name: partial(self._predict_with, heads) for name, heads in others.items() if heads != tuple(self.settings.heads)
        }

    def _predict_with(self, heads: Sequence[int], images: Tensor) -> Tensor:
        return self.reading(self.settings.tau)(self._logits_of(heads, images))
