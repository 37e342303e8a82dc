"""Many, medium and few: classes grouped by how many training images they have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from longtail.errors import UserError

Mask = npt.NDArray[np.bool_]


class ShotGroups(NamedTuple):
    """Which classes belong to which group: three boolean masks of shape (C,) that share no class and miss none."""

    many: Mask
    medium: Mask
    few: Mask


@dataclass(frozen=True)
class ShotThresholds:
    """Where the groups end: many above `many` training images, few below `few`, medium between.

    Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019 (arXiv 1904.05160), section 4.

    Args:
        many: classes with more images than this are many-shot.
        few: classes with fewer images than this are few-shot; at most `many`.
        few_inclusive: classes with exactly `few` images are few-shot too, not medium.

    Raises:
        UserError: not 0 <= few <= many.
    """

    many: int = 100
    few: int = 20
    few_inclusive: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.few <= self.many:
            raise UserError(f"shot thresholds are 0 <= few <= many, got few {self.few} and many {self.many}")

    def groups(self, class_counts: npt.ArrayLike) -> ShotGroups:
        """The groups of classes with these training counts, integers, shape (C,)."""
        counts = np.asarray(class_counts)
        many = counts > self.many
        few = (counts < self.few) | (self.few_inclusive & (counts == self.few) & ~many)
        return ShotGroups(many=many, medium=~many & ~few, few=few)


def adapted_thresholds(class_counts: npt.ArrayLike) -> ShotThresholds:
    """The usual thresholds where some class is many-shot by them, else those that cut the classes, by size, into thirds.

    Small data sets would be few-shot all over, and nothing could be told about their head. No size is cut in two: groups grow
    or shrink by the classes of a size, and classes of one size are all medium.

    Args:
        class_counts: training images per class, integers, shape (C,).
    """
    usual = ShotThresholds()
    sizes = np.sort(np.asarray(class_counts, dtype=np.int64))[::-1]
    cuts = np.flatnonzero(np.diff(sizes)) + 1
    if usual.groups(sizes).many.any():
        return usual
    if not len(cuts):
        return ShotThresholds(many=int(sizes.max(initial=0)), few=int(sizes.max(initial=0)))
    upper, lower = _thirds(cuts, len(sizes))
    many = min(_between(sizes, upper), int(sizes[upper - 1]) - 1)
    return ShotThresholds(many=many, few=min(many, _between(sizes, lower)))


def _thirds(cuts: npt.NDArray[np.int64], classes: int) -> tuple[int, int]:
    """Numbers of classes above the two cuts: those nearest to thirds, and different ones where there are two."""

    def nearest(candidates: npt.NDArray[np.int64], wanted: float) -> int:
        return int(candidates[np.argmin(np.abs(candidates - wanted))])

    upper = nearest(cuts[:-1] if len(cuts) > 1 else cuts, classes / 3)
    below = cuts[cuts > upper]
    return upper, nearest(below if len(below) else cuts, 2 * classes / 3)


def _between(sizes: npt.NDArray[np.int64], cut: int) -> int:
    """A number above the largest size after the cut, and at most the smallest one before it."""
    larger, smaller = int(sizes[cut - 1]), int(sizes[cut])
    return max(math.isqrt(larger * smaller), smaller + 1)
