"""Drawing by weight, and in turn."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from longtail.datasets.base import Indices

FloatArray = npt.NDArray[np.float64]


class Draws(Protocol):
    """What samplers draw from: numpy's generators, and Python's, which the authors' code uses."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def shuffle(self, x: list[int], /) -> None:
        """Permute a list in place."""
        ...


class Wheel:
    """Leaves 0 to L - 1, each as likely as it has weight.

    It finds the leaf that the authors' code finds by going down a binary tree of sums, where node i has the children 2i + 1
    and 2i + 2, and the last L of 2L - 1 nodes are the leaves. From left to right, the leaves of such a tree begin with those of
    its deepest level; bisecting their running sums in that order comes to the same. The tree is for weights that change from
    draw to draw, and these do not.

    Args:
        weights: not negative, shape (L,), with at least one of them positive.
    """

    def __init__(self, weights: FloatArray) -> None:
        size = len(weights)
        deepest_level = (2 * size - 1).bit_length() - 1
        self._first = (1 << deepest_level) - size
        self._bounds: list[float] = np.cumsum(np.roll(weights, -self._first)).tolist()
        # a fraction just below 1 can round to the sum of all weights; it means the last leaf that has any
        self._last = bisect_left(self._bounds, self._bounds[-1])

    def leaf(self, fraction: float) -> int:
        """The leaf at a fraction, in [0, 1), of the sum of all weights."""
        position = min(bisect_right(self._bounds, fraction * self._bounds[-1]), self._last)
        return (position + self._first) % len(self._bounds)


def in_turn(items: Sequence[int], rng: Draws) -> Iterator[int]:
    """All items in shuffled order, shuffled anew whenever they are through; endless."""
    items = list(items)
    while True:
        rng.shuffle(items)
        yield from items


def members_of(labels: Indices) -> list[list[int]]:
    """The positions of each class's images in ascending order, of the classes that have any."""
    positions = np.argsort(labels, kind="stable")
    _, counts = np.unique(labels, return_counts=True)
    return [each.tolist() for each in np.split(positions, np.cumsum(counts)[:-1])]
