"""Supervised contrastive loss."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from longtail.errors import UserError
from longtail.losses.base import full_precision
from longtail.losses.polar import lengths_and_directions

Anchors: TypeAlias = Literal["all", "with_positives"]
"""Which anchors the mean runs over."""


class SupCon(nn.Module):
    """Pulls features of one class together and pushes all others apart; it trains the features, never the classifier.

    With features a, A(i) the other samples of the batch and P(i) those of them that share the class of i, the loss of anchor i
    is tau / tau_base times the mean over p in P(i) of log(sum over k in A(i) of exp(a_i a_k / tau)) - a_i a_p / tau; it is 0
    where P(i) is empty. Khosla et al., Supervised Contrastive Learning, NeurIPS 2020 (arXiv 2004.11362), equation 2, with the
    factor of the published code. Use it beside a loss of the logits. Small batches of many classes leave most anchors without a
    positive.

    A second form is in circulation: the mean runs over the anchors with a positive only, and is multiplied by tau. That is
    `base_temperature=1, anchors="with_positives"`. Where no anchor has a positive it divides 0 by 0; here it is 0, with zero
    gradient.

    Under distributed training each rank contrasts the samples of its own part of the batch.

    Args:
        temperature: tau, > 0; the paper's code uses 0.07.
        base_temperature: tau_base, > 0; equal to tau it leaves the paper's equation.
        normalise: divide features by their L2 length first, as the equation assumes; otherwise they are taken as they come.
        anchors: "all" averages over every anchor, those without positive as 0; "with_positives" leaves these out.

    Raises:
        UserError: a temperature is not a positive finite number.
        ValueError: `anchors` is neither of the two.
    """

    def __init__(
        self, *, temperature: float = 0.07, base_temperature: float = 0.07, normalise: bool = True, anchors: Anchors = "all"
    ) -> None:
        super().__init__()
        if not (0 < temperature < math.inf and 0 < base_temperature < math.inf):
            raise UserError(f"SupCon: temperatures are numbers > 0, got {temperature} and {base_temperature}")
        if anchors not in get_args(Anchors):
            raise ValueError(f"anchors are one of {', '.join(get_args(Anchors))}, got {anchors!r}")
        self.temperature = temperature
        self.base_temperature = base_temperature
        self.normalise = normalise
        self.anchors = anchors

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """The mean loss, a scalar, float32 or better.

        Args:
            features: floating point, (B, D), or (B, V, D) for V views of each sample, which all are anchors and contrasts.
            labels: integers, (B,).

        Raises:
            ValueError: other shapes.
        """
        if features.ndim not in (2, 3) or labels.shape != features.shape[:1]:
            shapes = f"{tuple(features.shape)} and {tuple(labels.shape)}"
            raise ValueError(f"SupCon takes features (B, D) or (B, V, D) and labels (B,), got {shapes}")
        views = features.shape[1] if features.ndim == 3 else 1
        with torch.autocast(features.device.type, enabled=False):
            vectors = full_precision(features.flatten(0, -2))
            if self.normalise:
                _, vectors = lengths_and_directions(vectors)
            return self._mean_loss(vectors @ vectors.T / self.temperature, labels.repeat_interleave(views))

    def _mean_loss(self, similarities: Tensor, labels: Tensor) -> Tensor:
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        positives = (labels[:, None] == labels) & ~itself
        positive_counts = positives.sum(dim=1)
        # Not -inf: an anchor alone in its batch would have no finite logarithm, and NaN for its gradient.
        totals = similarities.masked_fill(itself, torch.finfo(similarities.dtype).min).logsumexp(dim=1)
        to_positives = torch.where(positives, similarities, 0.0).sum(dim=1) / positive_counts.clamp_min(1)
        losses = torch.where(positive_counts > 0, totals - to_positives, 0.0)
        averaged = max(len(losses), 1) if self.anchors == "all" else (positive_counts > 0).sum().clamp_min(1)
        return (self.temperature / self.base_temperature) * losses.sum() / averaged

    def extra_repr(self) -> str:
        """The options, as they were given."""
        return (
            f"temperature={self.temperature}, base_temperature={self.base_temperature}, "
            f"normalise={self.normalise}, anchors={self.anchors!r}"
        )
