"""Differences between two methods over seeds that both were trained with, and how far the seeds leave them uncertain."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class PairedDifference:
    """The mean of paired differences, with Student's t interval around it.

    Args:
        mean: of the differences.
        half_width: the interval is `mean` plus and minus this; None for a single pair.
        pairs: how many there were.
    """

    mean: float
    half_width: float | None
    pairs: int

    @property
    def is_beyond_noise(self) -> bool:
        """Whether the interval leaves out zero; never of a single pair."""
        return self.half_width is not None and abs(self.mean) > self.half_width


def paired_difference(
    values: Sequence[float], baseline: Sequence[float], *, confidence: float = CONFIDENCE
) -> PairedDifference:
    """The mean of `values[i] - baseline[i]`.

    Pairs take out what a seed does to both methods alike, such as the order of the images.

    Args:
        values, baseline: one number for each seed, in the same order.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: there are no pairs, their numbers differ, or the confidence is none.
    """
    if not values or len(values) != len(baseline):
        raise ValueError(f"pairs need as many values on both sides, at least one, got {len(values)} and {len(baseline)}")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, got {confidence}")
    differences = [value - base for value, base in zip(values, baseline, strict=True)]
    mean, pairs = statistics.fmean(differences), len(differences)
    if pairs == 1:
        return PairedDifference(mean, None, 1)
    # rounding alone must not make equal differences differ, nor methods that agree
    spread = max(statistics.stdev(differences), 1e-12)
    return PairedDifference(mean, t_quantile(0.5 + confidence / 2, pairs - 1) * spread / math.sqrt(pairs), pairs)


def t_quantile(share: float, freedom: int) -> float:
    """The value that Student's t with so many degrees of freedom stays below with this probability."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]  # scikit-learn stands on scipy

    return float(stdtrit(freedom, share))
