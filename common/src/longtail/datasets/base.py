"""What a data set is to the rest of the core: images, labels, class names; and a long-tailed one: train, val, test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
"""Sample indices or integer labels, int64, shape (N,)."""


class Images(Protocol):
    """A sequence of images that can be narrowed to some of its members."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def take(self, indices: Indices) -> Images:
        """The images at `indices`, in that order."""
        ...


@dataclass(frozen=True)
class ArrayImages:
    """Images of one size, all in memory.

    Args:
        array: uint8, shape (N, H, W, 3), RGB.
    """

    array: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Raises ValueError for another type or shape."""
        if self.array.dtype != np.uint8 or self.array.ndim != 4 or self.array.shape[-1] != 3:
            raise ValueError(f"images are uint8 of shape (N, H, W, 3), got {self.array.dtype} {self.array.shape}")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.array)

    def take(self, indices: Indices) -> ArrayImages:
        """The images at `indices`, in that order, as a copy."""
        return ArrayImages(self.array[indices])


@dataclass(frozen=True)
class FileImages:
    """Images of any size, each in a file.

    Args:
        root: folder that the paths are relative to.
        paths: N paths with forward slashes; the same file may occur more than once.
        upright: turn a picture as its EXIF orientation says. The papers' data sets show pixels as they are stored, because
            published numbers were made so.
        flat: folder whose files lie side by side, although the paths name folders in it: the image `FLAT/CLASS/NAME` is the
            file `FLAT/NAME`. What an image is called, for instance in a fingerprint, does not depend on it. Empty for none.
    """

    root: Path
    paths: tuple[str, ...]
    upright: bool = False
    flat: str = ""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.paths)

    @property
    def files(self) -> tuple[str, ...]:
        """Where the images lie below the root."""
        if not self.flat:
            return self.paths
        start = f"{self.flat}/"
        return tuple(start + path.rpartition("/")[2] if path.startswith(start) else path for path in self.paths)

    def take(self, indices: Indices) -> FileImages:
        """The images at `indices`, in that order."""
        return replace(self, paths=tuple(self.paths[index] for index in indices.tolist()))


@dataclass(frozen=True)
class ImageData:
    """Images with their labels.

    Args:
        images: N images.
        labels: int64, shape (N,), values in [0, C).
        class_names: C names; their number is the number of classes, also where a class has no image.
    """

    images: Images
    labels: Indices
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for labels that do not fit the images or the classes."""
        if self.labels.dtype != np.int64 or self.labels.shape != (len(self.images),):
            raise ValueError(f"labels are int64 of shape ({len(self.images)},), got {self.labels.dtype} {self.labels.shape}")
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.class_names):
            raise ValueError(f"labels lie in [0, {len(self.class_names)}), got {self.labels.min()} to {self.labels.max()}")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """Number of classes C, with or without images."""
        return len(self.class_names)

    @property
    def class_counts(self) -> Indices:
        """Images per class, int64, shape (C,)."""
        return np.bincount(self.labels, minlength=self.num_classes).astype(np.int64)

    def subset(self, indices: Indices | Sequence[int]) -> ImageData:
        """The samples at `indices`, in that order, with the same classes."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(self, images=self.images.take(chosen), labels=self.labels[chosen])


PARTS = ("train", "val", "test")
"""What the parts of a data set are called."""


@dataclass(frozen=True)
class Drawn:
    """Images that were drawn out of a training set to judge on.

    Args:
        fraction: part of each class.
        seed: of the draw.
        images: their paths; none of images in memory.
    """

    fraction: float
    seed: int
    images: tuple[str, ...]

    @classmethod
    def of(cls, part: ImageData, fraction: float, seed: int) -> Drawn:
        """The note of a part that was drawn so."""
        return cls(fraction, seed, part.images.paths if isinstance(part.images, FileImages) else ())


@dataclass(frozen=True)
class LongTailData:
    """A long-tailed training set with what it is judged on.

    Args:
        name: the data set's name, as on the command line.
        train: the long-tailed training images.
        val: images held out for selection, or None.
        test: the test images.
        image_size: side in pixels that the network sees.
        mean, std: per-channel normalisation of images scaled to [0, 1].
        left_out: files that were left out because they cannot be read (`--on-bad-image skip`).
        meta: a small training set with as many images of each class, which a method tunes something else on than the network,
            or None. Whether its images are in `train` as well is the data set's affair; it is never evaluated on.
        counts: int64, shape (C,), the images per class that losses, priors and shot groups go by where those of `train` are not
            meant, or None.
        drawn: of data of one's own the parts that were drawn out of the training set, by name.
    """

    name: str
    train: ImageData
    val: ImageData | None
    test: ImageData
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    left_out: tuple[str, ...] = ()
    meta: ImageData | None = None
    counts: Indices | None = None
    drawn: Mapping[str, Drawn] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """Number of classes C, with or without images."""
        return self.train.num_classes

    @property
    def class_counts(self) -> Indices:
        """Training images per class, int64, shape (C,)."""
        return self.train.class_counts if self.counts is None else self.counts
