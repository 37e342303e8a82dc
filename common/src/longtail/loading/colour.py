"""Augmentations of colour."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from longtail.datasets.base import Indices
from longtail.loading import pixels
from longtail.loading.augment import Draws, SameSize, Size
from longtail.loading.pixels import Numbers
from longtail.loading.rows import change_rows


class ColorJitter(SameSize):
    """Brightness, contrast, saturation and hue changed at random, in an order drawn for each image.

    Args:
        brightness, contrast, saturation: the factor is uniform in [max(0, 1 - value), 1 + value]; 1 leaves the image as it is.
        hue: the shift is uniform in [-hue, hue], in turns of the colour circle, at most a half.

    Source: torchvision's transform of this name on Pillow images.
    """

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0) -> None:
        if min(brightness, contrast, saturation) < 0 or not 0 <= hue <= 0.5:
            raise ValueError("jitter is not negative, and hue at most 0.5")
        self.spread = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        self.hue = hue

    def draw(self, rng: np.random.Generator, count: int, _size: Size) -> Draws:
        """The factors, the shift, and the order: which of the four comes first, second, ..., shape (count, 4)."""
        values = {name: rng.uniform(max(0.0, 1 - spread), 1 + spread, count) for name, spread in self.spread.items()}
        order = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
        return Draws({**values, "hue": rng.uniform(-self.hue, self.hue, count), "order": order})

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The jittered images."""
        # as the eight-bit hue channel sees the shift: cut off towards zero
        parameters = {**draws.values, "hue": (draws.values["hue"] * 255).astype(np.int64)}
        operations = (
            ("brightness", pixels.brightness, self.spread["brightness"]),
            ("contrast", pixels.contrast, self.spread["contrast"]),
            ("saturation", pixels.saturation, self.spread["saturation"]),
            ("hue", pixels.rotate_hue, self.hue),
        )
        images = images.clone()
        for which in draws.values["order"].T:
            for code, (name, operation, spread) in enumerate(operations):
                if spread:
                    _change(images, np.flatnonzero(which == code), operation, parameters[name])
        return images


def _change(images: Tensor, rows: Indices, operation: Callable[[Tensor, Numbers], Tensor], parameters: Numbers) -> None:
    change_rows(images, rows, lambda chosen, at: operation(chosen, parameters[at]))


class Grayscale(SameSize):
    """Some images without their colours.

    Args:
        probability: that an image is made grey.
    """

    def __init__(self, probability: float = 0.2) -> None:
        self.probability = probability

    def draw(self, rng: np.random.Generator, count: int, _size: Size) -> Draws:
        """Which images are made grey."""
        return Draws({"grey": rng.random(count) < self.probability})

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The images, some of them grey."""
        result = images.clone()
        change_rows(result, np.flatnonzero(draws.values["grey"]), lambda chosen, _: pixels.grayscale(chosen))
        return result
