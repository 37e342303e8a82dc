"""What a picture's file is, from its header as far as that tells: format, mode, sides, and whether it can be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

from longtail.datasets.decode import FORMATS, OF_THE_MACHINE, UnreadableImage, check_size, pixels_of, reasons, silence


class Looks(NamedTuple):
    """What a picture's file is.

    format: in Pillow's words, such as `JPEG`.
    mode: of its pixels, in Pillow's words, such as `RGB`, `L` or `CMYK`.
    width, height: in pixels, as they are stored.
    animated: it has more pictures than the first.
    decoded: its pixels have been read as well.
    """

    format: str
    mode: str
    width: int
    height: int
    animated: bool
    decoded: bool


_ANIMATED = ("GIF", "WEBP", "PNG")
"""Formats whose further pictures are an animation; those of a JPEG or a TIFF are other views or pages."""

_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}
"""What a file ends with that nothing was cut off from."""

_TAIL = 64
_SHRINK = 8
"""Side of a JPEG divided by that of the picture which it is decoded to: all data are read, and few pixels made."""


def look_at(path: str | Path, *, decode: bool = False) -> Looks:
    """What the picture in a file is.

    Args:
        path: the file.
        decode: read the pixels, too. Files that seem to be cut off, or whose formats do not tell, are read in any case.

    Raises:
        UnreadableImage: `read_image` could not read it, as far as was looked.
    """
    silence()
    try:
        with Path(path).open("rb") as file:
            return _look(file, decode)
    except OSError as error:
        if error.errno in OF_THE_MACHINE:
            raise
        lost = isinstance(error, FileNotFoundError) and Path(path).is_symlink()
        raise UnreadableImage("a link to a file that is not there" if lost else error.strerror or str(error)) from error


def _look(file: BinaryIO, decode: bool) -> Looks:
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise UnreadableImage("the file is empty")
    with reasons(lambda: _start(file)), Image.open(file, formats=FORMATS) as image:
        check_size(image)
        kind, mode, (width, height) = image.format or "", image.mode, image.size
        animated = kind in _ANIMATED and bool(getattr(image, "is_animated", False))
        decoded = decode or mode[0] in "FI" or not _is_whole(file, kind, size)
        if decoded:
            _read_all(image)
    return Looks(kind, mode, width, height, animated, decoded)


def _start(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(_TAIL)


def _is_whole(file: BinaryIO, kind: str, size: int) -> bool:
    """Whether the file ends as its format asks for; False where that tells nothing."""
    before = file.tell()
    try:
        if kind == "WEBP":
            file.seek(4)
            return int.from_bytes(file.read(4), "little") + 8 <= size
        file.seek(max(0, size - _TAIL))
        return kind in _ENDS and file.read().rstrip(b"\0\r\n").endswith(_ENDS[kind])
    finally:
        file.seek(before)


def _read_all(image: Image.Image) -> None:
    if image.mode[0] in "FI":  # what `pixels_of` refuses
        pixels_of(image)
    image.draft(image.mode, (max(1, image.width // _SHRINK), max(1, image.height // _SHRINK)))
    image.load()
