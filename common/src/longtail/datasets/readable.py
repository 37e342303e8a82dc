"""Leaving out images that cannot be read, so that class counts say what is trained on."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from longtail.datasets.base import FileImages, ImageData, LongTailData
from longtail.datasets.decode import UnreadableImage, read_image
from longtail.errors import UserError

_BLOCK = 256
"""Files that a thread reads before it looks for more work."""
_EXAMPLES = 3
"""Files left out that are told by name."""

logger = logging.getLogger(__name__)


class _File(NamedTuple):
    root: Path
    path: str
    upright: bool


def leave_out_unreadable(data: LongTailData, *, threads: int | None = None) -> LongTailData:
    """The data set without the images that are missing or cannot be read, whose paths are in `left_out`.

    Reads every file once, which for the large data sets takes minutes. Images in memory are all readable.

    Args:
        data: the data set.
        threads: how many files are read at the same time; None takes as many as this process has cores.

    Raises:
        UserError: a class would lose all of its training images, or a part all of its images.
    """
    parts = {name: part for name in ("train", "val", "test", "meta") if (part := getattr(data, name)) is not None}
    files = list(dict.fromkeys(file for part in parts.values() for file in _files(part)))
    if not files:
        return data
    logger.warning("reading %d images once, to leave out those that cannot be read", len(files))
    reasons = _reasons(files, threads)
    if not reasons:
        return data
    kept = {name: _readable(name, part, reasons) for name, part in parts.items()}
    _check_classes(data.train, kept["train"], reasons)
    examples = "; ".join(_told(file, reasons) for file in list(reasons)[:_EXAMPLES])
    more = "; ..." if len(reasons) > _EXAMPLES else ""
    logger.warning("left out %d of %d images, which cannot be read: %s%s", len(reasons), len(files), examples, more)
    left_out = data.left_out + tuple(file.path for file in reasons)
    val, meta = kept.get("val"), kept.get("meta")
    return replace(data, train=kept["train"], val=val, test=kept["test"], meta=meta, left_out=left_out)


def _readable(name: str, part: ImageData, reasons: Mapping[_File, str]) -> ImageData:
    files = _files(part)
    kept = part.subset([i for i, file in enumerate(files) if file not in reasons]) if files else part
    if not len(kept):
        raise UserError(f"none of the {len(part)} images of {name} can be read; the first is {_told(files[0], reasons)}")
    return kept


def _files(part: ImageData) -> list[_File]:
    """The files of a part in its order; none for images in memory."""
    images = part.images
    return [_File(images.root, file, images.upright) for file in images.files] if isinstance(images, FileImages) else []


def _reasons(files: Sequence[_File], threads: int | None) -> dict[_File, str]:
    """Why each of the unreadable ones is unreadable, in the order of `files`."""
    blocks = [files[first : first + _BLOCK] for first in range(0, len(files), _BLOCK)]
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        return {file: reason for found in pool.map(_unreadable, blocks) for file, reason in found}


def _unreadable(files: Sequence[_File]) -> list[tuple[_File, str]]:
    found = []
    for file in files:
        try:
            read_image(file.root / file.path, upright=file.upright)
        except UnreadableImage as reason:
            found.append((file, str(reason)))
    return found


def _told(file: _File, reasons: Mapping[_File, str]) -> str:
    return f"{file.root / file.path} ({reasons[file]})"


def _check_classes(before: ImageData, after: ImageData, reasons: Mapping[_File, str]) -> None:
    lost = np.flatnonzero((before.class_counts > 0) & (after.class_counts == 0))
    if len(lost):
        first = _files(before)[int(np.argmax(before.labels == lost[0]))]
        raise UserError(
            f"class {before.class_names[lost[0]]!r} would lose all of its {before.class_counts[lost[0]]} training images, "
            f"because none can be read; the first is {_told(first, reasons)}"
        )
