"""From pictures of any size to squares of one size: what happens to a file's picture before pictures form a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from longtail.loading.augment import Augmentation, Draws


class Framing(Protocol):
    """Makes a square of one size out of a picture of any size."""

    @property
    def size(self) -> int:
        """Side of the square in pixels."""
        ...

    def draw(self, rng: np.random.Generator, count: int, /) -> Draws:
        """The random numbers for `count` pictures, whose sizes are not known yet."""
        ...

    def frame(self, picture: Tensor, draws: Draws, /) -> Tensor:
        """The square.

        Args:
            picture: uint8, shape (H, W, 3), contiguous.
            draws: the random numbers of this one picture, each of shape (1, ...).

        Returns:
            uint8, shape (size, size, 3).
        """
        ...


@dataclass(frozen=True)
class Framed:
    """An augmentation of pictures of any size: a square of each, then whatever else happens to the batch.

    Args:
        framing: makes the squares.
        augmentation: of the batch of squares; keeps their size. None leaves them as they are.
    """

    framing: Framing
    augmentation: Augmentation | None = None
