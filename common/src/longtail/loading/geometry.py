"""Augmentations that choose, mirror or erase a part of the image."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from longtail.datasets.base import Indices
from longtail.loading import transfer
from longtail.loading.augment import Draws, SameSize, Size
from longtail.loading.framing import resized
from longtail.loading.resample import resize_boxes
from longtail.loading.rows import change_all, change_rows
from longtail.loading.transfer import to_device


class RandomCrop:
    """A square cut from the padded image at a uniform place.

    Args:
        size: side of the square in pixels.
        padding: pixels added on every side before.
        mode: what the padding shows: "zeros" (black) or "reflect" (the image mirrored at its border pixels).
    """

    def __init__(self, size: int, padding: int = 0, mode: Literal["zeros", "reflect"] = "zeros") -> None:
        if mode not in ("zeros", "reflect"):
            raise ValueError(f"a crop is padded with 'zeros' or 'reflect', got {mode!r}")
        self.size = size
        self.padding = padding
        self.mode = mode

    def output_size(self, size: Size) -> Size:
        """The square's size; a ValueError if the padded image is smaller than that or cannot be mirrored that far."""
        if min(size) + 2 * self.padding < self.size:
            raise ValueError(f"cannot cut {self.size} x {self.size} pixels from images of {size} padded by {self.padding}")
        if self.mode == "reflect" and self.padding >= min(size):
            raise ValueError(f"cannot mirror {self.padding} pixels of images of {size}")
        return self.size, self.size

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Draws:
        """The squares' first rows and columns in the padded image."""
        self.output_size(size)
        free_rows, free_columns = (side + 2 * self.padding - self.size + 1 for side in size)
        return Draws({"top": rng.integers(free_rows, size=count), "left": rng.integers(free_columns, size=count)})

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The squares."""
        top, left = draws.values["top"], draws.values["left"]
        on_host = transfer.on_host(images.device)
        if self.mode == "reflect":
            cut_mirrored = _cut_mirrored_on_host if on_host else _cut_mirrored
            return cut_mirrored(images, top - self.padding, left - self.padding, self.size)
        padded = _pad(images, self.padding) if self.padding else images
        return (_cut_on_host if on_host else _cut)(padded, top, left, self.size)


def _pad(images: Tensor, padding: int) -> Tensor:
    batch, height, width, _ = images.shape
    padded = images.new_zeros((batch, height + 2 * padding, width + 2 * padding, 3))
    padded[:, padding:-padding, padding:-padding] = images
    return padded


def _cut_on_host(padded: Tensor, top: Indices, left: Indices, size: int) -> Tensor:
    """A loop over the images: copying lines beats any vectorised indexing of three-byte pixels by a factor of three."""
    source = padded.flatten(2).numpy()
    squares = np.empty((len(source), size, size * 3), dtype=np.uint8)
    for square, lines, y, x in zip(squares, source, top.tolist(), (3 * left).tolist(), strict=True):
        square[...] = lines[y : y + size, x : x + 3 * size]
    return torch.from_numpy(squares.reshape(-1, size, size, 3))


def _cut(padded: Tensor, top: Indices, left: Indices, size: int) -> Tensor:
    batch, height, width, _ = padded.shape
    first = to_device((np.arange(batch) * height + top) * width + left, padded.device)
    line, pixel = torch.arange(size, device=padded.device) * width, torch.arange(size, device=padded.device)
    positions = first.view(-1, 1, 1) + line.view(1, -1, 1) + pixel
    return padded.view(-1, 3).index_select(0, positions.view(-1)).view(batch, size, size, 3)


def _cut_mirrored_on_host(images: Tensor, top: Indices, left: Indices, size: int) -> Tensor:
    """As `_cut_mirrored`: first the columns, for all images at once whose squares begin in the same one, then the rows.

    Pixels of three bytes are slow to copy one by one, so that it matters that only those wanted in the margins are.
    """
    batch, height, width, _ = images.shape
    source = images.flatten(2).numpy()
    cut = np.empty((batch, height, size * 3), dtype=np.uint8)
    pixels = cut.view("V3")
    order = np.argsort(left, kind="stable")
    begins, starts = np.unique(left[order], return_index=True)
    for begin, start, stop in zip(begins.tolist(), starts.tolist(), [*starts[1:].tolist(), batch], strict=False):
        chosen = source[order[start:stop]]
        first, end = min(max(0, -begin), size), max(min(size, width - begin), 0)
        cut[start:stop, :, 3 * first : 3 * end] = chosen[:, :, 3 * (begin + first) : 3 * (begin + end)]
        for margin, count in ((0, first), (end, size - end)):
            if count:
                after = _inside(begin + margin, width) + 1
                mirrored = chosen.view("V3")[:, :, after - count : after]
                pixels[start:stop, :, margin : margin + count] = mirrored[:, :, ::-1]
    rows = (np.argsort(order) * height)[:, None] + _inside(top[:, None] + np.arange(size), height)
    squares = cut.reshape(batch * height, size * 3).take(rows.ravel(), axis=0)
    return torch.from_numpy(squares.reshape(batch, size, size, 3))


def _cut_mirrored(images: Tensor, top: Indices, left: Indices, size: int) -> Tensor:
    """Squares that may reach over the border of the images, beyond which they see these mirrored."""
    batch, height, width, _ = images.shape
    device = images.device
    corners = to_device(np.stack((top, left)), device)
    rows, columns = corners[:, :, None] + torch.arange(size, device=device)
    image = torch.arange(batch, device=device)[:, None] * height
    positions = (image + _inside(rows, height))[:, :, None] * width + _inside(columns, width)[:, None, :]
    return images.reshape(-1, 3).index_select(0, positions.view(-1)).view(batch, size, size, 3)


_Places = TypeVar("_Places", int, Tensor, Indices)


def _inside(places: _Places, length: int) -> _Places:
    """Where places that are less than `length` outside of [0, length) come to lie in the mirror."""
    last = length - 1
    return last - abs(last - abs(places))


class HorizontalFlip(SameSize):
    """Left and right exchanged in some of the images.

    Args:
        probability: that an image is flipped.
    """

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = probability

    def draw(self, rng: np.random.Generator, count: int, _size: Size) -> Draws:
        """Which images are flipped."""
        return Draws({"flipped": rng.random(count) < self.probability})

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The images, some of them flipped."""
        result = images.clone()
        change_rows(result, np.flatnonzero(draws.values["flipped"]), lambda chosen, _: chosen.flip(2))
        return result


class Cutout(SameSize):
    """Black squares at uniform places; what lies outside the image is clipped.

    Images are still bytes here, so that a hole is black and, after normalisation, not the mean colour.

    Args:
        length: side of a square in pixels, even.
        holes: squares an image.

    Source: DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017.
    """

    def __init__(self, length: int = 16, holes: int = 1) -> None:
        self.length = length
        self.holes = holes

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> Draws:
        """The centres of the holes, shape (count, holes): a hole covers its centre minus to plus half its length, the end
        excluded."""
        y = rng.integers(size[0], size=(count, self.holes))
        x = rng.integers(size[1], size=(count, self.holes))
        return Draws({"y": y, "x": x})

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The images with their holes."""
        return change_all(images, (images.shape[1], images.shape[2]), lambda block, at: self._erase(block, draws[at]))

    def _erase(self, images: Tensor, draws: Draws) -> Tensor:
        batch, height, width, _ = images.shape
        lines = images.view(batch, height, width * 3)
        column = torch.arange(width, device=images.device).repeat_interleave(3)
        row = torch.arange(height, device=images.device)
        for hole in range(self.holes):
            rows_kept = ~self._covered(row, draws.values["y"][:, hole], images.device)
            columns_kept = ~self._covered(column, draws.values["x"][:, hole], images.device)
            lines = lines * (rows_kept[:, :, None] | columns_kept[:, None, :]).view(torch.uint8)
        return lines.view_as(images)

    def _covered(self, places: Tensor, centres: Indices, device: torch.device) -> Tensor:
        """Which places lie within half a length of each image's centre, shape (B, places)."""
        distance = places - to_device(centres, device)[:, None]
        return (distance >= -(self.length // 2)) & (distance < self.length // 2)


class Box(NamedTuple):
    """A box in an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


class RandomResizedCrop:
    """A random box of the image, resized to a square with antialiasing; for a batch in memory and for single pictures.

    Args:
        size: side of the square in pixels.
        scale: least and largest share of the image's area in the box.
        ratio: least and largest width / height of the box.

    Source: torchvision's transform of this name, whose distribution of boxes it has.
    """

    ATTEMPTS = 10
    """Boxes tried before the central one is taken, as in torchvision."""

    def __init__(
        self, size: int, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)
    ) -> None:
        self.size = size
        self.scale = scale
        self.ratio = ratio

    def output_size(self, _size: Size) -> Size:
        """The square's size."""
        return self.size, self.size

    def draw(self, rng: np.random.Generator, count: int, _size: Size | None = None) -> Draws:
        """Shares of the area and logarithms of width / height to try, and a box's place among all that are possible, in [0, 1).

        The size of the images plays no part, because nobody knows it before a file is read.
        """
        ratios = math.log(self.ratio[0]), math.log(self.ratio[1])
        return Draws(
            {
                "share": rng.uniform(*self.scale, (count, self.ATTEMPTS)),
                "log_ratio": rng.uniform(*ratios, (count, self.ATTEMPTS)),
                "row": rng.random(count),
                "column": rng.random(count),
            }
        )

    def boxes(self, draws: Draws, sizes: Iterable[Size]) -> list[Box]:
        """The first box of those to try that fits into its image, else the largest central one with an admissible ratio.

        Args:
            draws: the random numbers of B images.
            sizes: of the images, B of them.
        """
        values = (draws.values[name].tolist() for name in ("share", "log_ratio", "row", "column"))
        return [self._box(size, *own) for size, *own in zip(sizes, *values, strict=True)]

    def _box(self, size: Size, shares: list[float], log_ratios: list[float], row: float, column: float) -> Box:
        for share, log_ratio in zip(shares, log_ratios, strict=True):
            area, ratio = share * size[0] * size[1], math.exp(log_ratio)
            height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < height <= size[0] and 0 < width <= size[1]:
                return Box(int(row * (size[0] - height + 1)), int(column * (size[1] - width + 1)), height, width)
        height, width = self._central(size)
        return Box((size[0] - height) // 2, (size[1] - width) // 2, height, width)

    def _central(self, size: Size) -> Size:
        """Height and width of the image's largest box with an admissible ratio."""
        height, width = size
        if width / height < self.ratio[0]:
            height = max(1, round(width / self.ratio[0]))
        elif width / height > self.ratio[1]:
            width = max(1, round(height * self.ratio[1]))
        return height, width

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The resized boxes of a batch."""
        sizes = [(images.shape[1], images.shape[2])] * len(images)
        top, left, height, width = np.array(self.boxes(draws, sizes), dtype=np.int64).reshape(-1, 4).T
        size = (self.size, self.size)
        return change_all(images, size, lambda block, at: resize_boxes(block, top[at], left[at], height[at], width[at], size))

    def frame(self, picture: Tensor, draws: Draws) -> Tensor:
        """The resized box of one picture."""
        ((top, left, height, width),) = self.boxes(draws, [(picture.shape[0], picture.shape[1])])
        return resized(picture[top : top + height, left : left + width], self.size, self.size).contiguous()
