"""A picture out of a file: the pixels that Pillow shows, JPEGs in less time, and a reason where there is none."""

from __future__ import annotations

import errno
import io
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

Pixels = npt.NDArray[np.uint8]
"""uint8, shape (H, W, 3), contiguous, RGB."""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP", "TIFF")
"""Pillow knows many more; among them are some, such as PostScript, that start other programs."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture upright, by the value of its EXIF orientation."""

_OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Failures that say nothing about the file."""


class UnreadableImage(Exception):
    """A file that yields no picture; the text is the reason in a few words, without the file's name."""


def read_image(path: str | Path, *, upright: bool = False) -> Pixels:
    """The picture in a file as uint8 RGB, shape (H, W, 3), contiguous and writable.

    Grey becomes three equal channels, CMYK and palettes become what Pillow makes of them, transparency is dropped, an animation
    shows its first frame. Of 16 bits the upper eight count, also where Pillow would clip the values to white.

    Args:
        path: the file; its name does not matter.
        upright: turn the picture as its EXIF orientation says; otherwise pixels come as they are stored.

    Raises:
        UnreadableImage: the file is missing, damaged, too large (Pillow's limit against decompression bombs) or no picture.
    """
    content = _bytes_of(path)
    _silence()
    try:
        with Image.open(io.BytesIO(content.data), formats=FORMATS) as image:
            return _pixels(image, content, upright)
    except (UnreadableImage, MemoryError):
        raise
    except UnidentifiedImageError:
        raise UnreadableImage(f"no picture of the formats {', '.join(FORMATS)}, or its beginning is damaged") from None
    except Exception as error:  # damaged files fail in any operation of Pillow: SyntaxError, struct.error, ValueError, ...
        raise UnreadableImage(" ".join(str(error).split()) or type(error).__name__) from error


def _bytes_of(path: str | Path) -> Pixels:
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        if error.errno in _OF_THE_MACHINE:
            raise
        raise UnreadableImage(error.strerror or str(error)) from error
    if not len(content):
        raise UnreadableImage("the file is empty")
    return content


def _silence() -> None:
    """Keeps warnings about single files from flooding the terminal, for the rest of the process.

    Not with `catch_warnings`, which mixes up the filters when several threads read.
    """
    for category, module in ((Warning, r"PIL\."), (DeprecationWarning, r"torchvision\.io\.")):
        if not any(entry[0] == "ignore" and getattr(entry[3], "pattern", None) == module for entry in warnings.filters):
            warnings.filterwarnings("ignore", category=category, module=module)


def _pixels(image: Image.Image, content: Pixels, upright: bool) -> Pixels:
    # Pillow only warns up to twice its limit, and torchvision has none.
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise UnreadableImage(f"{image.width} x {image.height} pixels, more than the {Image.MAX_IMAGE_PIXELS} that are safe")
    if image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB") and (not upright or _turn(image) is None):
        fast = _decode_jpeg(content)
        if fast is not None:
            return fast
    # Reading first: it is then that Pillow turns TIFFs itself and takes their tag away, and that PNG shows a tag at its end.
    image.load()
    turn = _turn(image) if upright else None
    picture = _eight_bits(image).convert("RGB")
    return np.array(picture if turn is None else picture.transpose(turn))


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF that cannot be read says nothing about the orientation
        return None


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnreadableImage("its pixels are floating-point numbers, and nothing tells which of them is white")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() >= 1 << 16:
        raise UnreadableImage(f"its pixels run from {values.min()} to {values.max()}, which is more than 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _decode_jpeg(content: Pixels) -> Pixels | None:
    """The same pixels as Pillow's in three quarters of the time, or None where Pillow shall decide."""
    decode = _jpeg_decoder()
    try:
        planes = None if decode is None else decode(content)
    except RuntimeError:  # also for files that Pillow reads, such as those without the two bytes that end a JPEG
        return None
    if planes is None or len(planes) not in (1, 3):
        return None
    pixels = planes.transpose(1, 2, 0)
    return np.repeat(pixels, 3, axis=2) if len(planes) == 1 else np.ascontiguousarray(pixels)


@cache
def _jpeg_decoder() -> Callable[[Pixels], Pixels] | None:
    """A function from a file's bytes to uint8 of shape (1, 3 or 4, H, W)."""
    try:
        import torch
        from torchvision.io import decode_jpeg  # type: ignore[import-untyped]
    except ImportError:  # torchvision means to give its decoders up
        return None
    return lambda content: decode_jpeg(torch.from_numpy(content)).numpy()
