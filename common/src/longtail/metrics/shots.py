"""Many, medium and few: classes grouped by how many training images they have."""

from __future__ import annotations

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
