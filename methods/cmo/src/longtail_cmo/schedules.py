"""The paper's learning rates: fixed epochs that do not depend on `--epochs` (the published behaviour), and a cosine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from longtail.training.schedules import Schedule, stretched, stretched_epoch, warmup_steps

STRONG_EPOCHS = 400
"""The epochs that the recipe with strong augmentation is published with."""
LR_STEPS = (120, 160)
"""The default of `--lr_steps`."""


@dataclass(frozen=True)
class Published:
    """What one of the paper's scripts fixes about time.

    Args:
        steps: learning rate without strong augmentation, as a multiple of the base rate.
        deferral: 0-based epoch at which DRW starts.
        epochs: the number of epochs that these belong to.
    """

    steps: Schedule
    deferral: int
    epochs: int


def cifar_strong(epoch: float) -> float:
    """The 400-epoch recipe on CIFAR: ten epochs of warm-up whose last step overshoots to 1.1, then steps after 320 and 360."""
    whole = math.floor(epoch)
    if whole <= 10:
        return (whole + 1) / 10
    if whole > 360:
        return 0.01
    return 0.1 if whole > 320 else 1.0


# iNaturalist's second step and deferral lie beyond the 100 epochs of the published command: they belong to a 200-epoch run
PUBLISHED = {
    "cifar": Published(warmup_steps(5, ((160, 0.01), (180, 0.0001))), deferral=160, epochs=200),
    "imagenet": Published(warmup_steps(5, ((60, 0.1), (80, 0.01))), deferral=80, epochs=100),
    "inat": Published(warmup_steps(5, ((75, 0.1), (160, 0.01))), deferral=160, epochs=200),
}
"""By the data set that the paper's script trains on."""


def strong_steps(milestones: Sequence[int]) -> Schedule:
    """Ten epochs of warm-up, then a tenth from each milestone on."""
    return warmup_steps(10, tuple((epoch, 0.1**count) for count, epoch in enumerate(sorted(milestones), 1)))


def strong_cosine(epochs: int) -> Schedule:
    """Ten epochs of warm-up, then half a cosine that starts with the last of them and reaches 0 at `epochs`."""

    def schedule(epoch: float) -> float:
        whole = math.floor(epoch)
        if whole < 10:
            return (whole + 1) / 10
        return 0.5 * (1 + math.cos(math.pi * (whole - 9) / (epochs - 9)))

    return schedule


@dataclass(frozen=True)
class Timing:
    """The paper's fixed epochs in a run of any length.

    Args:
        family: a key of `PUBLISHED`.
        strong: with strong augmentation.
        epochs: of the run.
        fit: stretch the fixed epochs to `epochs` instead of keeping them.
        cosine, milestones: of the schedule with strong augmentation, outside CIFAR.
    """

    family: str
    strong: bool
    epochs: int
    fit: bool
    cosine: bool = False
    milestones: Sequence[int] = LR_STEPS

    @property
    def written_for(self) -> int:
        """The number of epochs that the fixed epochs belong to."""
        return STRONG_EPOCHS if self.strong else PUBLISHED[self.family].epochs

    @property
    def deferral(self) -> int:
        """The 0-based epoch of the run at which DRW starts."""
        return self.fitted(PUBLISHED[self.family].deferral)

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the learning rate follows `epochs` by itself."""
        return self.strong and self.cosine and self.family != "cifar"

    def fitted(self, epoch: int) -> int:
        """One of the paper's fixed epochs, in this run."""
        return int(stretched_epoch(epoch, self.epochs, self.written_for)) if self.fit else epoch

    def schedule(self) -> Schedule:
        """The learning rate as a multiple of the base rate."""
        if self.depends_on_epochs:
            return strong_cosine(self.epochs)
        steps = PUBLISHED[self.family].steps
        if self.strong:
            steps = cifar_strong if self.family == "cifar" else strong_steps(self.milestones)
        return stretched(steps, self.written_for, self.epochs) if self.fit else steps
