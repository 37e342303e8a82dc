"""Accuracy on test sets whose classes are distributed otherwise than in the one that was evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Shares = npt.NDArray[np.float64]
"""The part of each class in a set, float64, shape (C,), >= 0, with sum 1."""

RATIOS = (50, 25, 10, 5, 2)
"""Largest class / smallest class of the long-tailed test sets of Zhang et al."""


class Distribution(NamedTuple):
    """How the classes of a test set are distributed.

    direction: `forward` (as in training, large classes are large), `uniform` or `backward` (large classes are small).
    ratio: largest class / smallest class.
    """

    direction: str
    ratio: int

    def __str__(self) -> str:
        return self.direction if self.ratio == 1 else f"{self.direction} {self.ratio}"


DISTRIBUTIONS = (
    *(Distribution("forward", ratio) for ratio in RATIOS),
    Distribution("uniform", 1),
    *(Distribution("backward", ratio) for ratio in reversed(RATIOS)),
)
"""The test distributions of Zhang et al., Self-Supervised Aggregation of Diverse Experts for Test-Agnostic Long-Tailed
Recognition (SADE), NeurIPS 2022 (arXiv 2107.09249), section 5."""


def shares_of(distribution: Distribution, class_counts: npt.ArrayLike) -> Shares:
    """The part of each class: ratio^(-k / (C - 1)) for the class that is number k by size, from 0, normalised.

    Args:
        distribution: forward, uniform or backward.
        class_counts: training images per class, shape (C,), by which classes are ordered; equal ones keep their order.
    """
    counts = np.asarray(class_counts)
    size = np.arange(len(counts)) / max(1, len(counts) - 1)
    falling = float(distribution.ratio) ** -(size if distribution.direction == "forward" else 1 - size)
    shares = np.empty(len(counts))
    shares[np.argsort(-counts, kind="stable")] = falling / falling.sum()
    return shares


def accuracy_under(shares: npt.ArrayLike, per_class_accuracy: Sequence[float | None]) -> float:
    """Accuracy on a test set with these parts of the classes: the mean of the class accuracies, weighted by them.

    It is what a test set drawn to that distribution from the same images has on average, without the noise of the draw. Classes
    that were not evaluated are left out, and the others' parts grow in proportion.

    Args:
        shares: shape (C,), >= 0.
        per_class_accuracy: as in `Summary`, C values.

    Raises:
        ValueError: no class with a part was evaluated.
    """
    known = np.array([value is not None for value in per_class_accuracy])
    weights = np.where(known, np.asarray(shares, dtype=np.float64), 0.0)
    if not weights.sum() > 0:
        raise ValueError("none of these classes was evaluated")
    values = np.array([0.0 if value is None else value for value in per_class_accuracy])
    return float((weights * values).sum() / weights.sum())
