"""From pictures of any size to squares of one size: what happens to a file's picture before pictures form a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate

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
            uint8, shape (size, size, 3), contiguous; it may share the picture's memory.
        """
        ...


@dataclass(frozen=True)
class Framed:
    """An augmentation of pictures of any size: a square of each, then whatever else happens to the batch.

    Args:
        framing: makes the squares.
        augmentation: of the batch of squares; keeps their size. None leaves them as they are.
        on_host: the augmentation needs the host, also where an accelerator could do it.
    """

    framing: Framing
    augmentation: Augmentation | None = None
    on_host: bool = False


class CentreCrop:
    """The central square of the picture whose shorter side was resized: what evaluation shows.

    Equal to torchvision's Resize and CenterCrop on Pillow's images, where a value may differ by one.

    Args:
        size: side of the square in pixels.
        resize: the shorter side before the cut, at least `size`; None is the usual 256 for a `size` of 224, in proportion.
        keep_aspect: False brings both sides to `resize`, so that all of the picture is near the centre, distorted if it is no
            square.
    """

    def __init__(self, size: int, resize: int | None = None, *, keep_aspect: bool = True) -> None:
        self.size = size
        self.keep_aspect = keep_aspect
        self.resize = round(size * 256 / 224) if resize is None else resize
        if not 1 <= size <= self.resize:
            raise ValueError(f"cannot cut {size} x {size} pixels out of pictures whose shorter side is {self.resize}")

    def draw(self, _rng: np.random.Generator, _count: int) -> Draws:
        """Nothing: the centre is no choice."""
        return Draws()

    def frame(self, picture: Tensor, _draws: Draws) -> Tensor:
        """The square."""
        height = width = self.resize
        if self.keep_aspect:
            shorter = min(picture.shape[0], picture.shape[1])
            height, width = (int(self.resize * side / shorter) for side in picture.shape[:2])
        # where an odd number of lines is left over, torchvision rounds the half to even
        top, left = (round((side - self.size) / 2) for side in (height, width))
        return resized(picture, height, width)[top : top + self.size, left : left + self.size].contiguous()


def resized(picture: Tensor, height: int, width: int) -> Tensor:
    """The picture in another size, bilinear with antialiasing: within one of Pillow's pixels.

    Args:
        picture: uint8, shape (H, W, 3); may be a part of a larger one.
        height, width: of the result, in pixels.

    Returns:
        uint8, shape (height, width, 3); the picture itself if it has that size.
    """
    if picture.shape[:2] == (height, width):
        return picture
    # a contiguous picture that looks like a channels_last batch of one: anything else costs two to four times as much
    batch = picture.contiguous()[None].permute(0, 3, 1, 2)
    return interpolate(batch, (height, width), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
