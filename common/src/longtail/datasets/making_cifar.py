"""CIFAR-10-LT and CIFAR-100-LT as image files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from longtail.datasets.base import ArrayImages, ImageData, Indices
from longtail.datasets.cifar import ARCHIVES, read_cifar
from longtail.datasets.contents import Contents, Sample
from longtail.datasets.fake_size import generated
from longtail.datasets.splits import class_counts, long_tailed_subset
from longtail.errors import UserError


class _Picture(NamedTuple):
    """An image of one of the published sets: which, and the number in its order."""

    part: str
    number: int


@dataclass(frozen=True)
class CifarLT:
    """A long tail cut from CIFAR, and a balanced set to validate and to test on.

    Args:
        name: `cifar10` or `cifar100`.
        imbalance_factor, profile: see `splits.class_counts`.
        split_seed: see `splits.long_tailed_subset`; None keeps the first images of each class.
        holdout_val: images of each class to validate on: a number, or a part of the class in (0, 1). They are the last ones of
            the published training set, and the long tail is cut from the others, whose number the largest class then has. None
            validates on the test images.
    """

    name: str
    imbalance_factor: float = 0.01
    profile: str = "exp"
    split_seed: int | None = None
    holdout_val: float | None = None

    def contents(self, source: Path, *, in_place: bool = False) -> Contents:
        """The images of each part; the archive is fetched into the source where it is missing.

        Raises:
            UserError: for missing, damaged or altered files and for impossible splits.
        """
        stored = read_cifar(self.name, source)
        labels = stored.train.labels
        held_out = _last_of_each_class(labels, self._per_class(stored.train.class_counts))
        left = np.setdiff1d(np.arange(len(labels)), held_out)
        largest = int(np.bincount(labels[left]).max())
        counts = class_counts(stored.train.num_classes, largest, self.imbalance_factor, self.profile)
        kept = left[long_tailed_subset(labels[left], counts, self.split_seed)]
        test = np.argsort(stored.test.labels, kind="stable")
        chosen = {
            "train": ("train", kept),
            "val": ("train", held_out) if self.holdout_val is not None else ("test", test),
            "test": ("test", test),
        }
        names = stored.train.class_names
        data = {"train": stored.train, "test": stored.test}
        parts = {part: _samples(origin, indices, data[origin], names) for part, (origin, indices) in chosen.items()}
        pixels = {
            origin: _Pixels.of(data[origin], [indices for each, indices in chosen.values() if each == origin])
            for origin in data
        }

        def write(picture: _Picture, path: Path) -> None:
            # level 1 of the compression: a fifth larger and twice as fast
            Image.fromarray(pixels[picture.part][picture.number]).save(path, format="PNG", compress_level=1)

        folders = (source, source / ARCHIVES[self.name].folder)
        which = "the first ones of each class" if self.split_seed is None else f"drawn with split seed {self.split_seed}"
        return Contents(names, parts, write, any(generated(folder) is not None for folder in folders), which)

    def _per_class(self, counts: Indices) -> Indices:
        """Images of each class to validate on."""
        if self.holdout_val is None:
            return np.zeros_like(counts)
        value, smallest = self.holdout_val, int(counts.min())
        number = np.maximum(1, np.rint(value * counts)).astype(np.int64) if value < 1 else np.full_like(counts, int(value))
        if value <= 0 or (value >= 1 and value != int(value)) or (number >= counts).any():
            raise UserError(
                f"{value:g} images of each class cannot be held out: give a part in (0, 1), or a number less than {smallest}, "
                "the images of the smallest class"
            )
        return number


def _last_of_each_class(labels: Indices, counts: Indices) -> Indices:
    members = (np.flatnonzero(labels == c) for c in range(len(counts)))
    return np.concatenate([of_class[len(of_class) - count :] for of_class, count in zip(members, counts.tolist(), strict=True)])


def _samples(origin: str, indices: Indices, data: ImageData, names: tuple[str, ...]) -> list[Sample]:
    labels = data.labels[indices].tolist()
    return [
        Sample(label, f"images/{names[label]}/{origin}_{number:05d}.png", _Picture(origin, number))
        for label, number in zip(labels, indices.tolist(), strict=True)
    ]


class _Pixels:
    """The pixels of some images by their number in the data set."""

    def __init__(self, array: npt.NDArray[np.uint8], rows: dict[int, int]) -> None:
        self._array = array
        self._rows = rows

    @classmethod
    def of(cls, data: ImageData, chosen: list[Indices]) -> _Pixels:
        numbers = np.unique(np.concatenate(chosen))
        images = data.images.take(numbers)
        assert isinstance(images, ArrayImages)
        return cls(images.array, {number: row for row, number in enumerate(numbers.tolist())})

    def __getitem__(self, number: int) -> npt.NDArray[np.uint8]:
        pixels: npt.NDArray[np.uint8] = self._array[self._rows[number]]
        return pixels
