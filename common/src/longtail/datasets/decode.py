"""A picture out of a file: the pixels that Pillow shows, JPEGs in less time, and a reason where there is none."""

from __future__ import annotations

import errno
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
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
    silence()
    if not upright:
        pixels = _decode_jpeg(content)
        if pixels is not None:
            return pixels
    with reasons(lambda: bytes(content[:_START_LENGTH])), Image.open(io.BytesIO(content.data), formats=FORMATS) as image:
        return _pixels(image, content, upright)


@contextmanager
def reasons(start: Callable[[], bytes]) -> Iterator[None]:
    """Makes what Pillow raises at a damaged file the reason in a few words.

    Args:
        start: returns how the file begins, where Pillow does not know it.

    Raises:
        UnreadableImage: instead of anything but a lack of memory.
    """
    try:
        yield
    except (UnreadableImage, MemoryError):
        raise
    except UnidentifiedImageError:
        raise UnreadableImage(_what_else(start())) from None
    except Image.DecompressionBombError:
        raise _too_large("more pixels than twice") from None
    except Exception as error:  # damaged files fail in any operation of Pillow: SyntaxError, struct.error, ValueError, ...
        raise UnreadableImage(" ".join(str(error).split()) or type(error).__name__) from error


_START_LENGTH = 64


def _too_large(size: str) -> UnreadableImage:
    """A picture of this size, in words, has too many pixels."""
    return UnreadableImage(f"{size} the {Image.MAX_IMAGE_PIXELS} that are safe to decode; make the picture smaller")


def _what_else(start: bytes) -> str:
    """What a file is that is no picture that can be read, by its first bytes."""
    if start[4:8] == b"ftyp" and start[8:12].lower() in (
        b"heic",
        b"heix",
        b"hevc",
        b"heim",
        b"mif1",
        b"msf1",
        b"avif",
        b"avis",
    ):
        kind = "AVIF" if start[8:11].lower() == b"avi" else "HEIC"
        return f"a picture of the format {kind}, whatever its name says; convert it to JPEG"
    if start.lstrip()[:9].lower() == b"<!doctype" or start.lstrip()[:5].lower() == b"<html":
        return "a web page instead of a picture; download it again"
    if start.startswith(b"version https://git-lfs"):
        return "a placeholder of Git LFS instead of a picture; fetch it with git lfs pull"
    return f"no picture of the formats {', '.join(FORMATS)}, or its beginning is damaged"


def _bytes_of(path: str | Path) -> Pixels:
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        if error.errno in OF_THE_MACHINE:
            raise
        raise UnreadableImage(error.strerror or str(error)) from error
    if not len(content):
        raise UnreadableImage("the file is empty")
    return content


def silence() -> None:
    """Keeps warnings about single files from flooding the terminal, for the rest of the process.

    Not with `catch_warnings`, which mixes up the filters when several threads read.
    """
    for category, module in ((Warning, r"PIL\."), (DeprecationWarning, r"torchvision\.io\.")):
        if not any(entry[0] == "ignore" and getattr(entry[3], "pattern", None) == module for entry in warnings.filters):
            warnings.filterwarnings("ignore", category=category, module=module)


def _pixels(image: Image.Image, content: Pixels, upright: bool) -> Pixels:
    check_size(image)
    if upright and _turn(image) is None:
        fast = _decode_jpeg(content)
        if fast is not None:
            return fast
    return pixels_of(image, upright=upright)


def check_size(image: Image.Image) -> None:
    """An UnreadableImage if it would take too much memory; Pillow only warns up to twice its limit."""
    if not _is_safe(image.height, image.width):
        raise _too_large(f"{image.width} x {image.height} pixels, more than")


def pixels_of(image: Image.Image, *, upright: bool = False) -> Pixels:
    """What `read_image` makes of a picture that Pillow has opened.

    Args:
        image: of any mode.
        upright: see `read_image`.

    Raises:
        UnreadableImage: nothing tells how bright its pixels are.
    """
    # Reading first: it is then that Pillow turns TIFFs itself and takes their tag away, and that PNG shows a tag at its end.
    image.load()
    turn = _turn(image) if upright else None
    picture = _eight_bits(image).convert("RGB")
    return np.array(picture if turn is None else picture.transpose(turn))


def _is_safe(height: int, width: int) -> bool:
    return Image.MAX_IMAGE_PIXELS is None or height * width <= Image.MAX_IMAGE_PIXELS


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
    """The same pixels as Pillow's in three quarters of the time, or None where it is no plain JPEG and Pillow shall decide."""
    size = _jpeg_size(content.data)
    if size is None or not _is_safe(*size):
        return None
    decode = _jpeg_decoder()
    try:
        planes = None if decode is None else decode(content)
    except RuntimeError:  # also for files that Pillow reads, such as those without the two bytes that end a JPEG
        return None
    if planes is None or len(planes) not in (1, 3):
        return None
    pixels = planes.transpose(1, 2, 0)
    return np.repeat(pixels, 3, axis=2) if len(planes) == 1 else np.ascontiguousarray(pixels)


_START, _FRAMES, _NO_FRAMES = b"\xff\xd8", range(0xC0, 0xD0), (0xC4, 0xC8, 0xCC)
"""Of ITU-T T.81, table B.1: the marker that a JPEG starts with, and those of frame headers with the exceptions among them."""


def _jpeg_size(content: memoryview) -> tuple[int, int] | None:
    """Height and width of a JPEG with eight bits and one or three components, from its header, which is several times as fast
    as to let Pillow look; None for anything else."""
    if content[:2] != _START:
        return None
    at = 2
    while at + 9 < len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _FRAMES and marker not in _NO_FRAMES:
            bits, components = content[at + 4], content[at + 9]
            height, width = (int.from_bytes(content[at + side : at + side + 2], "big") for side in (5, 7))
            return (height, width) if bits == 8 and components in (1, 3) else None
        # a marker may be preceded by any number of bytes 0xFF
        at += 1 if marker == 0xFF else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None


@cache
def _jpeg_decoder() -> Callable[[Pixels], Pixels] | None:
    """A function from a file's bytes to uint8 of shape (1, 3 or 4, H, W)."""
    try:
        import torch
        from torchvision.io import decode_jpeg  # type: ignore[import-untyped]
    except ImportError:  # torchvision means to give its decoders up
        return None
    return lambda content: decode_jpeg(torch.from_numpy(content)).numpy()
