"""How urgently each image wants to be shown again: less, the better the network knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail.distributed import gather_rows
from longtail.losses.base import full_precision
from longtail.training.recipe import Clock
from longtail_cadel.samplers.drawing import FloatArray


class Kind(NamedTuple):
    """A way to tell the priority of an image.

    of: maps logits (B, C) and labels (B,) to priorities (B,), with p = softmax(logits).
    initial: of an image that was not yet shown, and the largest.
    """

    of: Callable[[Tensor, Tensor], Tensor]
    initial: float


def _doubt(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - p_y."""
    return 1 - logits.softmax(dim=1).gather(1, labels[:, None]).squeeze(1)


def _entropy(logits: Tensor, _labels: Tensor) -> Tensor:
    """-sum p log p."""
    terms: Tensor = torch.special.entr(logits.softmax(dim=1))
    return terms.sum(dim=1)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p_y."""
    return F.cross_entropy(logits, labels, reduction="none")


# 6.9 is about log 1000: what a network without a clue has on ImageNet
PRIORITIES = {"score": Kind(_doubt, 1.0), "entropy": Kind(_entropy, 6.9), "CE": Kind(_cross_entropy, 6.9)}


class Priorities(nn.Module):
    """The priority of every image, as it is and as it was when the epoch began.

    In the authors' code an epoch's later draws see the priorities that its first batches have changed, but how many batches are
    drawn ahead is up to the loader's processes. Here the draws of an epoch see the priorities that it began with, so that they
    can be made again: that is what the second of the two is kept for. Under several ranks all of them hold the same.

    Args:
        size: N, images of the training set.
        ptype: what a priority is, a name of `PRIORITIES`.
        momentum: share of a priority's last change in its next one.

    Attributes:
        current: shape (N,).
        at_start: shape (N,).
        velocity: the last change of each priority, shape (N,), or (0,) without momentum.
    """

    current: Tensor
    at_start: Tensor
    velocity: Tensor

    def __init__(self, size: int, ptype: str = "score", momentum: float = 0.0) -> None:
        super().__init__()
        self.kind = PRIORITIES[ptype]
        self.momentum = momentum
        self.register_buffer("current", torch.full((size,), self.kind.initial))
        self.register_buffer("at_start", self.current.clone())
        self.register_buffer("velocity", torch.zeros(size if momentum else 0))

    def begin_epoch(self, clock: Clock) -> None:
        """Keep the priorities that an epoch begins with; those of an epoch that is continued are kept already."""
        if clock.step == 0:
            self.at_start.copy_(self.current)

    @torch.no_grad()
    def update(self, indices: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Take in the network's output for this rank's slice of a batch.

        Args:
            indices: of the images in the training set, int64, shape (B,).
            logits: shape (B, C); no gradient goes through here.
            labels: int64, shape (B,).
        """
        values = self.kind.of(full_precision(logits.detach()), labels)
        self.update_weights(gather_rows(indices), gather_rows(values))

    @torch.no_grad()
    def update_weights(self, indices: Tensor, weights: Tensor) -> None:
        """Give images new priorities, shape (B,), which are cut to what a priority can be."""
        new = weights.to(self.current.dtype).clamp(0, self.kind.initial)
        # of an image that is there twice the last counts; all get its value, so that in whichever order a GPU writes is all one
        positions = torch.arange(len(indices), device=indices.device)
        last = torch.where(indices[:, None] == indices, positions, -1).amax(dim=1)
        if self.momentum:
            old = self.current[indices]
            change = self.momentum * self.velocity[indices] + (1 - self.momentum) * (new - old)
            self.velocity[indices] = change[last]
            new = old + change
        self.current[indices] = new[last]

    def of_epoch(self) -> FloatArray:
        """The priorities that the epoch began with, shape (N,)."""
        values: FloatArray = self.at_start.double().cpu().numpy()
        # with momentum a priority can swing below 0
        return values.clip(min=0)
