"""What all losses share: float32 or better inside, one loss per sample, and a mean that may be weighted by class."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from longtail.losses.class_counts import ClassCounts, checked_counts


def full_precision(logits: Tensor) -> Tensor:
    """The logits in float32, or in float64 where they came so; a softmax over bfloat16 loses too much."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class Loss(nn.Module, ABC):
    """A loss of logits (B, C) against integer labels (B,), averaged over the batch.

    Subclasses give `per_sample`. Whatever a loss derives from the class counts is a non-persistent buffer: it follows `.to()`,
    and stays out of the state dict because the data determine it. An empty batch (a rank without samples) has loss 0.

    Args:
        class_counts: training images per class, integers, shape (C,).
    """

    def __init__(self, class_counts: ClassCounts) -> None:
        super().__init__()
        self.num_classes = len(checked_counts(class_counts))

    @abstractmethod
    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each sample, shape (B,), float32 (float64 for float64 logits), without any class weight."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss, a scalar; `logits` is floating point (B, C), `labels` int64 (B,)."""
        losses = self.per_sample(logits, labels)
        return losses.sum() / max(len(losses), 1)


class WeightedLoss(Loss):
    """A loss whose mean may be weighted by class: sum of w_y times loss, over sum of w_y.

    The weights are a buffer that always exists, ones where nothing is weighted, and that is overwritten in place: one code
    path, nothing to recompile when weights change between epochs. With ones the weighted mean is the plain mean.

    Args:
        class_counts: training images per class, integers, shape (C,).
        weight: weight per class, non-negative, shape (C,), or None for none; only ratios matter.
    """

    weight: Tensor

    def __init__(self, class_counts: ClassCounts, *, weight: npt.ArrayLike | Tensor | None = None) -> None:
        super().__init__(class_counts)
        self.register_buffer("weight", torch.ones(self.num_classes), persistent=False)
        self.set_class_weights(weight)

    @torch.no_grad()
    def set_class_weights(self, weight: npt.ArrayLike | Tensor | None) -> None:
        """Weight the classes from now on by `weight`, non-negative, shape (C,); None weights all of them alike.

        Raises:
            ValueError: another shape, or a value that is negative or not finite.
        """
        if weight is None:
            self.weight.fill_(1.0)
            return
        values = weight.detach() if isinstance(weight, Tensor) else torch.from_numpy(np.array(weight, dtype=np.float64))
        if values.shape != self.weight.shape:
            raise ValueError(f"class weights have shape ({self.num_classes},), got {tuple(values.shape)}")
        if not bool(torch.isfinite(values).all()) or bool((values < 0).any()):
            raise ValueError("class weights are finite and non-negative")
        self.weight.copy_(values)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The weighted mean loss, a scalar; `logits` is floating point (B, C), `labels` int64 (B,)."""
        losses = self.per_sample(logits, labels)
        weights = self.weight.to(losses.dtype)[labels]
        return (weights * losses).sum() / weights.sum().clamp_min(torch.finfo(losses.dtype).tiny)
