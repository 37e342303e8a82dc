"""The paper's fixed epochs: when implicit augmentation takes over, and what the learning rates do."""

from __future__ import annotations

from dataclasses import dataclass

from longtail.training.schedules import Schedule, stretched_epoch, warmup_steps

WRITTEN_FOR = 200
"""Epochs of the runs that the fixed epochs belong to."""
FIRST, SECOND = 0.01, 0.0001
"""The multiples of the base rate after each of the two drops."""


@dataclass(frozen=True)
class Timing:
    """The fixed epochs of a run, 0-based.

    Args:
        switch: the first epoch of implicit augmentation, and the first drop of the learning rates.
        decay: the second drop.
    """

    switch: int = 160
    decay: int = 180

    def fitted(self, epochs: int) -> Timing:
        """The same for a run of another number of epochs than 200."""
        return Timing(*(int(stretched_epoch(epoch, epochs, WRITTEN_FOR)) for epoch in (self.switch, self.decay)))

    def is_implicit(self, epoch: int) -> bool:
        """Whether the epoch augments implicitly, instead of by mixup."""
        return epoch >= self.switch

    def learning_rate(self) -> Schedule:
        """Of the training step, as a multiple of the base rate: the paper's code counts epochs from 1 here."""
        return _drops(self.switch - 1, self.decay - 1)

    def inner_learning_rate(self) -> Schedule:
        """Of the look-ahead, as a multiple of the base rate: each drop comes an epoch later, as in the paper's code."""
        return _drops(self.switch, self.decay)


def _drops(first: int, second: int) -> Schedule:
    return warmup_steps(0, ((first, FIRST), (second, SECOND)))
