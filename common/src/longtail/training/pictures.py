"""Pictures from anywhere, as squares of bytes of the size that a network sees."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.datasets.decode import UnreadableImage, pixels_of, read_image
from longtail.errors import UserError
from longtail.loading.augment import Draws
from longtail.loading.framing import CentreCrop

if TYPE_CHECKING:
    from PIL import Image

Picture: TypeAlias = "str | Path | Image.Image | npt.NDArray[np.uint8]"
"""A file, a picture that Pillow has opened, or uint8 RGB of shape (H, W, 3)."""

Pictures: TypeAlias = "Picture | Iterable[Picture]"
"""One picture or several; an array of shape (N, H, W, 3) is N of them."""


class Shower:
    """Brings pictures to the form in which a run showed its network the test images.

    Args:
        size: side of the squares in pixels.
        in_files: whether the run's images were files, of any size. Otherwise all were squares of this size: such a one stays
            as it is, another picture has its shorter side brought to it and the centre cut out, and arrays must fit.
        upright: turn pictures as their EXIF orientation says.
    """

    def __init__(self, size: int, *, in_files: bool, upright: bool) -> None:
        self._in_files = in_files
        self._upright = upright
        self.framing = CentreCrop(size) if in_files else CentreCrop(size, size)

    def show(self, picture: Picture) -> Tensor:
        """The square: uint8, shape (size, size, 3), contiguous.

        Raises:
            UnreadableImage: a file that yields no picture.
            UserError: an array that does not fit.
        """
        if isinstance(picture, str | Path):
            pixels = read_image(picture, upright=self._upright)
        elif isinstance(picture, np.ndarray):
            pixels = self._checked(picture)
        elif hasattr(picture, "convert"):
            pixels = pixels_of(picture, upright=self._upright)
        else:
            raise UserError(f"pictures are paths, Pillow's images or arrays, not {type(picture).__name__}")
        return self.framing.frame(torch.from_numpy(pixels), Draws())

    def show_all(self, pictures: Sequence[Picture]) -> list[Tensor | UnreadableImage]:
        """The squares of several pictures, in place of those that cannot be read the reason."""
        if not any(isinstance(each, str | Path) for each in pictures):
            return [self._attempt(each) for each in pictures]
        return next(self.show_batches([pictures]))

    def show_batches(self, batches: Sequence[Sequence[Picture]]) -> Iterator[list[Tensor | UnreadableImage]]:
        """`show_all` of batch after batch of files; while one is in use, the next is read."""
        with ThreadPoolExecutor(_cores()) as pool:
            ahead: Iterator[Tensor | UnreadableImage] | None = None
            for batch in (*batches, ()):
                ready, ahead = ahead, pool.map(self._attempt, batch)
                if ready is not None:
                    yield list(ready)

    def _attempt(self, picture: Picture) -> Tensor | UnreadableImage:
        try:
            return self.show(picture)
        except UnreadableImage as reason:
            return reason

    def _checked(self, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3 or not array.size:
            raise UserError(f"an array holds RGB as uint8 of shape (H, W, 3) or (N, H, W, 3), got {array.dtype} {array.shape}")
        size = self.framing.size
        if not self._in_files and array.shape[:2] != (size, size):
            raise UserError(
                f"this run's images are {size} x {size} pixels, got an array of {array.shape[0]} x {array.shape[1]}"
            )
        return np.require(array, requirements=("C_CONTIGUOUS", "WRITEABLE"))


def _cores() -> int:
    """Processor cores that this process may use, which in a container are often not all that there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def as_sequence(pictures: Pictures) -> list[Picture]:
    """One picture or several as a list."""
    if isinstance(pictures, np.ndarray):
        return list(pictures) if pictures.ndim == 4 else [pictures]
    if isinstance(pictures, str | Path) or hasattr(pictures, "convert"):
        return [pictures]  # type: ignore[list-item]
    return list(pictures)
