"""Learning rates, as multiples of the base rate."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]
"""Maps the epoch (0-based; fractions are allowed and mean "within the epoch") to a multiple of the base learning rate."""


def warmup_steps(warmup: int, milestones: tuple[tuple[int, float], ...]) -> Schedule:
    """Linear warm-up by whole epochs, (e + 1) / `warmup`, then 1, then each milestone's factor from its epoch on.

    Args:
        warmup: epochs of warm-up, 0 for none.
        milestones: pairs (epoch, factor of the base rate), ascending.
    """

    def schedule(epoch: float) -> float:
        whole = math.floor(epoch)
        if whole < warmup:
            return (whole + 1) / warmup
        factor = 1.0
        for milestone, value in milestones:
            if whole >= milestone:
                factor = value
        return factor

    return schedule


def warmup_cosine(warmup: int, epochs: int) -> Schedule:
    """Linear warm-up by whole epochs, then half a cosine from 1 at the end of the warm-up to 0 at `epochs`."""

    def schedule(epoch: float) -> float:
        whole = math.floor(epoch)
        if whole < warmup:
            return (whole + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (whole - warmup) / max(1, epochs - warmup)))

    return schedule


def stretched(schedule: Schedule, written_for: int, epochs: int) -> Schedule:
    """A schedule that was written for so many epochs, stretched or compressed to another number of them."""
    return lambda epoch: schedule(stretched_epoch(epoch, written_for, epochs))


def stretched_epoch(epoch: float, written_for: int, epochs: int) -> float:
    """The epoch of a plan of `written_for` epochs that epoch `epoch` of a run of `epochs` corresponds to, rounded down."""
    return math.floor(epoch) * written_for // epochs
