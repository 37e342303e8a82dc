"""The loss of an image that shows two classes."""

from __future__ import annotations

from torch import Tensor

from longtail.losses.base import Loss


def mixed_loss(loss: Loss, logits: Tensor, labels: Tensor, other_labels: Tensor, lam: float | Tensor) -> Tensor:
    """lam L(z, y) + (1 - lam) L(z, y'), a scalar: the loss of mixup, CutMix and CMO.

    Each term is a mean of its own, so class weights are normalised, and margins applied, for its own labels.

    Args:
        loss: L.
        logits: z, shape (B, C), of the mixed images.
        labels, other_labels: y and y', int64, shape (B,).
        lam: share of y in [0, 1], a number or a scalar tensor.
    """
    first: Tensor = loss(logits, labels)
    second: Tensor = loss(logits, other_labels)
    return lam * first + (1 - lam) * second
