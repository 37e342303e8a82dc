"""Augmentations of colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
from torch import Tensor

from longtail.datasets.base import Indices
from longtail.loading import pixels, transfer
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
        self.spread = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}

    def draw(self, rng: np.random.Generator, count: int, _size: Size) -> Draws:
        """The factors, the shift, and the order: which of the four comes first, second, ..., shape (count, 4)."""
        *factors, (_, turns) = self.spread.items()
        values = {name: rng.uniform(max(0.0, 1 - spread), 1 + spread, count) for name, spread in factors}
        order = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
        return Draws({**values, "hue": rng.uniform(-turns, turns, count), "order": order})

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The jittered images."""
        # as the eight-bit hue channel sees the shift: cut off towards zero
        parameters = {**draws.values, "hue": (draws.values["hue"] * 255).astype(np.int64)}
        jittered = images.clone()
        for rows, names in self._groups(draws.values["order"], transfer.on_host(images.device)):
            change_rows(jittered, rows, partial(_jitter, names=names, parameters=parameters))
        return jittered

    def _groups(self, order: Indices, on_host: bool) -> Iterator[tuple[Indices, tuple[str, ...]]]:
        """Images that share operations, and the operations; those without a spread are left out.

        A processor does all operations of an image while its cache holds it. An accelerator does better with few and large
        groups: one operation after another.
        """
        active = [code for code, name in enumerate(_OPERATIONS) if self.spread[name]]
        order = order[np.isin(order, active)].reshape(len(order), len(active))
        for slots in (order,) if on_host else order.T[..., None]:
            for codes in np.unique(slots, axis=0):
                yield np.flatnonzero((slots == codes).all(1)), tuple(_NAMES[code] for code in codes)


_OPERATIONS: dict[str, Callable[[Tensor, Numbers], Tensor]] = {
    "brightness": pixels.brighten_planes,
    "contrast": pixels.contrast_planes,
    "saturation": pixels.saturate_planes,
    "hue": pixels.rotate_hue_planes,
}
_NAMES = tuple(_OPERATIONS)


def _jitter(images: Tensor, rows: Indices, names: tuple[str, ...], parameters: Mapping[str, Numbers]) -> Tensor:
    if names == ("brightness",):  # all that does without planes
        return pixels.brightness(images, parameters["brightness"][rows])
    planes = pixels.to_planes(images)
    for name in names:
        planes = _OPERATIONS[name](planes, parameters[name][rows])
    return pixels.to_images(planes)


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
