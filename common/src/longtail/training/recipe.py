"""What a paper's algorithm is to the training loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from longtail.loading.base import Batch
from longtail.losses import BalancedSoftmax, LogitAdjustment, Loss
from longtail.metrics import Summary
from longtail.randomness import Randomness

Predict = Callable[[Tensor], Tensor]
"""Maps images (B, 3, H, W) to logits (B, C)."""

Reading = Callable[[Tensor], Tensor]
"""Maps what a recipe computes of images, see `Recipe.outputs`, to logits (B, C)."""


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
    parts: what else the log tells of a batch, by the names of `Recipe.part_names`: means over the global batch, scalars without
        gradient.
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

    Attributes:
        part_names: the keys of every `StepOutput.parts`.
        idle_parameters: whether there are batches that some parameters get no gradient from, which several ranks must know.
    """

    backbone: nn.Module
    part_names: Sequence[str] = ()
    idle_parameters: bool = False

    def __init__(self, backbone: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.backbone = backbone
        self.loss = loss

    def begin_epoch(self, clock: Clock) -> None:
        """Called before each epoch's first batch, and again on resuming in the middle of one."""

    @abstractmethod
    def forward(self, batch: Batch, clock: Clock) -> StepOutput:
        """The loss of one training batch."""

    def evaluated(self, result: Summary, clock: Clock, *, is_best: bool) -> None:
        """Called after each evaluation, before the checkpoint is written.

        Args:
            result: of the set that the best epoch is chosen on.
            clock: the epoch's end.
            is_best: whether this epoch is the best so far by the run's selection rule.
        """

    def networks(self) -> Sequence[nn.Module]:
        """The networks that see images during training, the one that is trained first."""
        return [self.backbone]

    def final_predictors(self) -> Mapping[str, Predict]:
        """Other ways than `predict` to predict with the network that training has chosen; at the end each is judged on the test
        set, with the best epoch's weights in `backbone`. Where one of several is to be chosen, they are `readings`."""
        return {}

    def readings(self) -> Mapping[str, Reading]:
        """Ways to predict among which the validation set decides when training is over, with the best epoch's weights.

        Only the chosen one meets the test set, if there is a validation set. All read the same `outputs`, computed once.
        """
        return {}

    def predictors(self) -> dict[str, Predict]:
        """All ways besides `predict` to predict with the trained network, by name: final predictors and readings."""
        return {**self.final_predictors(), **{name: partial(self._read, read) for name, read in self.readings().items()}}

    def _read(self, read: Reading, images: Tensor) -> Tensor:
        return read(self.outputs(images))

    @property
    def learnt_prior(self) -> str:
        """Class shares that `predict` answers for: `train`, or `uniform` where the loss takes those of training out."""
        losses = (BalancedSoftmax, LogitAdjustment)
        return "uniform" if any(isinstance(each, losses) for each in self.modules()) else "train"

    def outputs(self, images: Tensor) -> Tensor:
        """What predictions are read from, of images (B, 3, H, W): where there are several ways to read, computed but once."""
        value: Tensor = self.backbone(images)
        return value

    def predict(self, images: Tensor) -> Tensor:
        """Logits, shape (B, C), of images (B, 3, H, W)."""
        return self.outputs(images)

    def evaluation_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss that evaluation shows: the training criterion, as a mean over the batch."""
        value: Tensor = self.loss(logits, labels)
        return value
