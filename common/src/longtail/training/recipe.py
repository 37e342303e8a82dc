"""What a paper's algorithm is to the training loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from longtail.loading.base import Batch
from longtail.losses import Loss
from longtail.metrics import Summary
from longtail.randomness import Randomness


@dataclass(frozen=True)
class Clock:
    """Where a run stands.

    Args:
        epoch: 0-based epoch.
        epochs: epochs that the run was planned for (`--max-epochs` ends it earlier and changes nothing else).
        step: 0-based batch within the epoch.
        steps: batches of an epoch.
        randomness: the run's source of random draws.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    randomness: Randomness


class StepOutput(NamedTuple):
    """What one training batch gives.

    loss: scalar, of the global batch.
    logits: shape (B, C), what training accuracy is measured on.
    labels: int64, shape (B,), what training accuracy is measured against.
    parts: named terms of the loss, scalars without gradient, for the log.
    """

    loss: Tensor
    logits: Tensor
    labels: Tensor
    parts: Mapping[str, Tensor]


class Recipe(nn.Module, ABC):
    """A paper's algorithm: what a batch costs, and what the network predicts.

    Whatever a run must remember (a teacher, class statistics) is a buffer or a submodule, so that checkpoints, devices and
    `DistributedDataParallel` need to know nothing about it. The network that is trained is always called `backbone`.

    Args:
        backbone: maps images (B, 3, H, W) to logits (B, C).
        loss: a scalar mean of logits (B, C) and labels (B,); also the loss that evaluation shows.
    """

    def __init__(self, backbone: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.backbone = backbone
        self.loss = loss

    def begin_epoch(self, clock: Clock) -> None:
        """Called before each epoch's first batch, and again on resuming in the middle of one."""

    @abstractmethod
    def forward(self, batch: Batch, clock: Clock) -> StepOutput:
        """The loss of one training batch."""

    def evaluated(self, result: Summary, clock: Clock) -> None:
        """Called after each evaluation, before the checkpoint is written."""

    def predict(self, images: Tensor) -> Tensor:
        """Logits, shape (B, C), of images (B, 3, H, W)."""
        logits: Tensor = self.backbone(images)
        return logits

    def evaluation_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss that evaluation shows: the training criterion, as a mean over the batch."""
        value: Tensor = self.loss(logits, labels)
        return value
