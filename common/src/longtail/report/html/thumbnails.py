"""Small pictures inside the page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from longtail.datasets.base import ArrayImages, FileImages, Images
from longtail.datasets.decode import UnreadableImage, read_image

SIDE = 96
"""Longest side in pixels."""


def data_uri(images: Images, index: int) -> str | None:
    """One of the images, at most `SIDE` pixels wide and high, as the address of an HTML image; None if it cannot be read."""
    if isinstance(images, FileImages):
        try:
            pixels = read_image(Path(images.root, images.files[index]), upright=images.upright)
        except UnreadableImage:
            return None
    elif isinstance(images, ArrayImages):
        pixels = images.array[index]
    else:
        return None
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    # JPEG blurs pictures of a few pixels, for which PNG is small as well
    if max(picture.size) <= SIDE // 2:
        picture.save(content, "PNG", optimize=True)
        kind = "png"
    else:
        picture.save(content, "JPEG", quality=80)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
