"""Augmentation of whole batches: the contract, and how augmentations are put together.

All random numbers of an epoch are drawn at once on the host, one row for each position of the epoch order, and a batch uses
the rows of its positions. What happens to a sample therefore depends on the seed, the stream, the epoch and the position,
and neither on the batch size nor on the rank nor on the step at which a run was resumed. Pixels never travel back to the
host, so that a GPU never waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from longtail.datasets.base import Indices
from longtail.loading.rows import put_rows, take_rows

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Draws:
    """The random numbers of some samples.

    Args:
        values: arrays by name; their first axis counts the samples.
        parts: draws of the augmentations that this one is made of, for the same samples.
    """

    values: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    parts: tuple[Draws, ...] = ()

    def __getitem__(self, rows: slice | Indices) -> Draws:
        """The draws of the samples at `rows`."""
        return Draws({name: array[rows] for name, array in self.values.items()}, tuple(part[rows] for part in self.parts))


class Augmentation(Protocol):
    """A random change of images, made for many images at once."""

    def output_size(self, size: Size, /) -> Size:
        """The size of the images that come out when images of `size` go in."""
        ...

    def draw(self, rng: np.random.Generator, count: int, size: Size, /) -> Draws:
        """The random numbers for `count` images of `size`."""
        ...

    def apply(self, images: Tensor, draws: Draws, /) -> Tensor:
        """The changed images.

        Args:
            images: uint8, shape (B, H, W, 3), contiguous; left as they are.
            draws: the random numbers of these B images.

        Returns:
            uint8, shape (B, h, w, 3), contiguous.
        """
        ...


class SameSize:
    """The part that augmentations share which keep the size of the images."""

    def output_size(self, size: Size) -> Size:
        """The size as it is."""
        return size


class Compose:
    """Augmentations one after another."""

    def __init__(self, *augmentations: Augmentation) -> None:
        self.augmentations = augmentations

    def output_size(self, size: Size) -> Size:
        """The size after the last augmentation."""
        for augmentation in self.augmentations:
            size = augmentation.output_size(size)
        return size

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Draws:
        """The draws of every augmentation, in order."""
        parts = []
        for augmentation in self.augmentations:
            parts.append(augmentation.draw(rng, count, size))
            size = augmentation.output_size(size)
        return Draws(parts=tuple(parts))

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The images after the last augmentation."""
        for augmentation, part in zip(self.augmentations, draws.parts, strict=True):
            images = augmentation.apply(images, part)
        return images


class RandomChoice:
    """One of two augmentations for each image.

    Args:
        first: applied where u < probability, with u uniform in [0, 1).
        second: applied elsewhere.
        probability: of the first.
    """

    def __init__(self, first: Augmentation, second: Augmentation, probability: float = 0.5) -> None:
        self.first = first
        self.second = second
        self.probability = probability

    def output_size(self, size: Size) -> Size:
        """The size on which both agree; a ValueError if they do not."""
        first, second = self.first.output_size(size), self.second.output_size(size)
        if first != second:
            raise ValueError(f"both choices must give images of one size, got {first} and {second}")
        return first

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Draws:
        """The choices, and the draws of both augmentations for all images."""
        chosen = rng.random(count) < self.probability
        return Draws({"first": chosen}, (self.first.draw(rng, count, size), self.second.draw(rng, count, size)))

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """Every image after its own augmentation."""
        chosen = draws.values["first"]
        height, width = self.output_size((images.shape[1], images.shape[2]))
        result = images.new_empty((len(images), height, width, 3))
        for augmentation, part, rows in zip(
            (self.first, self.second), draws.parts, (np.flatnonzero(chosen), np.flatnonzero(~chosen)), strict=True
        ):
            if len(rows):
                put_rows(result, rows, augmentation.apply(take_rows(images, rows), part[rows]))
        return result


class RandomApply:
    """An augmentation for some of the images.

    Args:
        augmentation: keeps the size of the images.
        probability: that an image is changed.
    """

    def __init__(self, augmentation: Augmentation, probability: float) -> None:
        self.augmentation = augmentation
        self.probability = probability

    def output_size(self, size: Size) -> Size:
        """The size as it is; a ValueError if the augmentation changes it."""
        if self.augmentation.output_size(size) != size:
            raise ValueError("an augmentation that changes the size cannot be applied to only some of the images")
        return size

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Draws:
        """Which images are changed, and the augmentation's draws for all of them."""
        return Draws({"applied": rng.random(count) < self.probability}, (self.augmentation.draw(rng, count, size),))

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The images, some of them changed."""
        rows = np.flatnonzero(draws.values["applied"])
        result = images.clone()
        if len(rows):
            put_rows(result, rows, self.augmentation.apply(take_rows(images, rows), draws.parts[0][rows]))
        return result
