"""Which batches are mixed, and where the box lies: CMO's random draws (paper, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from longtail.randomness import Randomness


class Box(NamedTuple):
    """A rectangle of an image and the share of the area outside it.

    top, bottom: rows [top, bottom); left, right: columns [left, right). kept: background's share of the area, lambda.
    """

    top: int
    left: int
    bottom: int
    right: int
    kept: float


def centred_box(height: int, width: int, ratio: float, row: int, column: int) -> Box:
    """The box around a centre that covers 1 - `ratio` of the image, clipped to it, with lambda from its real area.

    Half a side is rounded down on both sides of the centre, so an odd side loses a pixel and a side of 1 gives an empty box.
    """
    share = np.sqrt(1.0 - ratio)
    half_height, half_width = int(height * share) // 2, int(width * share) // 2
    top, bottom = (min(max(edge, 0), height) for edge in (row - half_height, row + half_height))
    left, right = (min(max(edge, 0), width) for edge in (column - half_width, column + half_width))
    return Box(top, left, bottom, right, 1 - (bottom - top) * (right - left) / (height * width))


def draw_box(rng: np.random.RandomState, height: int, width: int, *, probability: float, beta: float) -> Box | None:
    """Draw for one batch: mix or not, lambda ~ Beta(beta, beta), then the centre; None where the batch stays as it is."""
    if not rng.rand() < probability:
        return None
    ratio = rng.beta(beta, beta)
    row = rng.randint(height)
    column = rng.randint(width)
    return centred_box(height, width, ratio, row, column)


@dataclass(frozen=True)
class MixPlan:
    """For every batch of a run, the box that is pasted into it, or None; a pure function of (epoch, step).

    The recipe and the loader both ask it, so a foreground batch is loaded only where it is used.

    Args:
        randomness: of the run.
        height, width: of the images, pixels.
        steps: batches of an epoch.
        after: mixing starts after this 0-based epoch.
        before: mixing ends before this 0-based epoch.
        probability: that a batch is mixed.
        beta: lambda is drawn from Beta(beta, beta).
    """

    randomness: Randomness
    height: int
    width: int
    steps: int
    after: int
    before: int
    probability: float = 0.5
    beta: float = 1.0

    def active(self, epoch: int) -> bool:
        """Whether batches of this epoch may be mixed."""
        return self.after < epoch < self.before

    def box(self, epoch: int, step: int) -> Box | None:
        """The box of one batch."""
        return _boxes(self, epoch)[step] if self.active(epoch) else None

    def mixes(self, epoch: int, step: int) -> bool:
        """Whether this batch needs a foreground."""
        return self.box(epoch, step) is not None


@lru_cache(maxsize=2)
def _boxes(plan: MixPlan, epoch: int) -> tuple[Box | None, ...]:
    rng = plan.randomness.legacy("cmo", epoch)
    return tuple(
        draw_box(rng, plan.height, plan.width, probability=plan.probability, beta=plan.beta) for _ in range(plan.steps)
    )
