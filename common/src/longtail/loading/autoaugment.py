"""AutoAugment with the policy found on CIFAR-10, as the long-tailed papers use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from longtail.datasets.base import Indices
from longtail.loading import affine, pixels
from longtail.loading.augment import Draws, SameSize, Size
from longtail.loading.rows import change_rows

GREY = 128
"""What geometric operations show outside the image."""
LEVELS = 10
"""Magnitudes an operation has."""


class Step(NamedTuple):
    """An operation with the probability that it happens and the index of its magnitude, 0 to 9."""

    probability: float
    operation: str
    level: int


CIFAR10_POLICY: tuple[tuple[Step, Step], ...] = tuple(
    (Step(*first), Step(*second))
    for first, second in (
        ((0.1, "invert", 7), (0.2, "contrast", 6)),
        ((0.7, "rotate", 2), (0.3, "translate_x", 9)),
        ((0.8, "sharpness", 1), (0.9, "sharpness", 3)),
        ((0.5, "shear_y", 8), (0.7, "translate_y", 9)),
        ((0.5, "autocontrast", 8), (0.9, "equalize", 2)),
        ((0.2, "shear_y", 7), (0.3, "posterize", 7)),
        ((0.4, "color", 3), (0.6, "brightness", 7)),
        ((0.3, "sharpness", 9), (0.7, "brightness", 9)),
        ((0.6, "equalize", 5), (0.5, "equalize", 1)),
        ((0.6, "contrast", 7), (0.6, "sharpness", 5)),
        ((0.7, "color", 7), (0.5, "translate_x", 8)),
        ((0.3, "equalize", 7), (0.4, "autocontrast", 8)),
        ((0.4, "translate_y", 3), (0.2, "sharpness", 6)),
        ((0.9, "brightness", 6), (0.2, "color", 8)),
        ((0.5, "solarize", 2), (0.0, "invert", 3)),
        ((0.2, "equalize", 0), (0.6, "autocontrast", 0)),
        ((0.2, "equalize", 8), (0.6, "equalize", 4)),
        ((0.9, "color", 9), (0.6, "equalize", 6)),
        ((0.8, "autocontrast", 4), (0.2, "solarize", 8)),
        ((0.1, "brightness", 3), (0.7, "color", 0)),
        ((0.4, "solarize", 5), (0.9, "autocontrast", 3)),
        ((0.9, "translate_y", 9), (0.7, "translate_y", 9)),
        ((0.9, "autocontrast", 2), (0.8, "solarize", 3)),
        ((0.8, "equalize", 8), (0.1, "invert", 3)),
        ((0.7, "translate_y", 9), (0.9, "autocontrast", 1)),
    )
)
"""The 25 sub-policies, two steps each (Cubuk et al., AutoAugment, CVPR 2019)."""

_FRACTIONS = np.arange(LEVELS) / (LEVELS - 1)

MAGNITUDES: dict[str, npt.NDArray[np.float64]] = {
    "shear_x": 0.3 * _FRACTIONS,
    "shear_y": 0.3 * _FRACTIONS,
    "translate_x": 150 / 331 * _FRACTIONS,
    "translate_y": 150 / 331 * _FRACTIONS,
    "rotate": 30.0 * _FRACTIONS,
    "color": 0.9 * _FRACTIONS,
    "contrast": 0.9 * _FRACTIONS,
    "sharpness": 0.9 * _FRACTIONS,
    "brightness": 0.9 * _FRACTIONS,
    "posterize": np.array((8, 8, 7, 7, 6, 6, 5, 5, 4, 4), dtype=np.float64),
    "solarize": 256.0 - 256.0 * _FRACTIONS,
}
"""Magnitudes by level: slopes, shares of the image's side (150 of 331 pixels at most), degrees, distances of a factor from
1, bits, thresholds. Operations that are not listed have none."""

Numbers = npt.NDArray[np.float64]

# magnitudes and signs, one for each image, make the operation's parameter
_PER_IMAGE: dict[str, Callable[[Tensor, Numbers, Numbers], Tensor]] = {
    "color": lambda images, magnitude, sign: pixels.saturation(images, 1 + magnitude * sign),
    "contrast": lambda images, magnitude, sign: pixels.contrast(images, 1 + magnitude * sign),
    "sharpness": lambda images, magnitude, sign: pixels.sharpness(images, 1 + magnitude * sign),
    "brightness": lambda images, magnitude, sign: pixels.brightness(images, 1 + magnitude * sign),
    "posterize": lambda images, magnitude, _: pixels.posterize(images, magnitude),
    "solarize": lambda images, magnitude, _: pixels.solarize(images, magnitude),
    "autocontrast": lambda images, *_: pixels.autocontrast(images),
    "equalize": lambda images, *_: pixels.equalize(images),
    "invert": lambda images, *_: pixels.invert(images),
}

# the same movement for all images of a call; a rotation has no random sign, which is how the published results were made
_PER_GROUP: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "shear_x": lambda images, magnitude, sign: affine.shear_x(images, magnitude * sign, GREY),
    "shear_y": lambda images, magnitude, sign: affine.shear_y(images, magnitude * sign, GREY),
    "translate_x": lambda images, magnitude, sign: affine.translate(images, magnitude * images.shape[2] * sign, 0.0, GREY),
    "translate_y": lambda images, magnitude, sign: affine.translate(images, 0.0, magnitude * images.shape[1] * sign, GREY),
    "rotate": lambda images, magnitude, _: affine.rotate(images, magnitude, GREY),
}


class AutoAugment(SameSize):
    """One of several pairs of operations, drawn for each image; each of the two happens with its own probability.

    Args:
        policy: the pairs.

    Unlike torchvision's, rotations have no random sign, exposed areas are grey, shears are bicubic and thresholds start at
    256: so the published results were made.

    Source: Cubuk et al., AutoAugment, CVPR 2019.
    """

    def __init__(self, policy: tuple[tuple[Step, Step], ...] = CIFAR10_POLICY) -> None:
        unknown = {step.operation for pair in policy for step in pair} - set(_PER_IMAGE) - set(_PER_GROUP)
        if unknown:
            raise ValueError(f"unknown operations {sorted(unknown)}; there are {sorted(_PER_IMAGE | _PER_GROUP)}")
        self.policy = policy

    def draw(self, rng: np.random.Generator, count: int, _size: Size) -> Draws:
        """The pair, two uniform numbers that decide whether its steps happen, and two signs (some steps ignore theirs)."""
        pair = rng.integers(len(self.policy), size=count)
        return Draws({"pair": pair, "u": rng.random((count, 2)), "sign": rng.choice((-1.0, 1.0), (count, 2))})

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The images after their two steps."""
        images = images.clone()
        for slot in (0, 1):
            self._apply_slot(images, slot, draws.values["pair"], draws.values["u"][:, slot], draws.values["sign"][:, slot])
        return images

    def _apply_slot(self, images: Tensor, slot: int, pair: Indices, u: Numbers, sign: Numbers) -> None:
        """All first or all second steps, in groups of images that share an operation."""
        steps = [steps[slot] for steps in self.policy]
        happens = u < np.array([step.probability for step in steps])[pair]
        level = np.array([step.level for step in steps])[pair]
        for name in sorted({step.operation for step in steps}):
            has_operation = np.array([step.operation == name for step in steps])[pair]
            rows = np.flatnonzero(happens & has_operation)
            magnitude = MAGNITUDES.get(name, np.zeros(LEVELS))[level]
            if name in _PER_IMAGE:
                _change_each(images, name, rows, magnitude, sign)
            else:
                _change_groups(images, name, rows, magnitude, sign)


def _change_each(images: Tensor, name: str, rows: Indices, magnitude: Numbers, sign: Numbers) -> None:
    change_rows(images, rows, lambda chosen, at: _PER_IMAGE[name](chosen, magnitude[at], sign[at]))


def _change_groups(images: Tensor, name: str, rows: Indices, magnitude: Numbers, sign: Numbers) -> None:
    for size in np.unique(magnitude[rows]).tolist():
        for direction in (-1.0, 1.0):
            _change_group(images, name, rows[(magnitude[rows] == size) & (sign[rows] == direction)], size, direction)


def _change_group(images: Tensor, name: str, rows: Indices, magnitude: float, sign: float) -> None:
    change_rows(images, rows, lambda chosen, _: _PER_GROUP[name](chosen, magnitude, sign))
