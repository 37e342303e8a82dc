"""Labelled images of anybody's own, for a network that knows its classes already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from longtail.datasets.base import ArrayImages, FileImages, ImageData, LongTailData
from longtail.datasets.findings import ERROR, examples, shown
from longtail.datasets.gathered import UNDIVIDED, Gathered, part_of
from longtail.datasets.own_folders import gather_folder
from longtail.datasets.own_table import gather_table
from longtail.errors import UserError

_JUDGED = ("test", "val", UNDIVIDED)
"""The parts to judge on; the first of them that is there."""


def load_labelled(path: str | Path, class_names: Sequence[str], *, upright: bool = True) -> ImageData:
    """The images in a folder of class folders or in a table, with the labels that their classes have in a network.

    Of images that are divided the test images count, or the validation images; otherwise all do. Where classes are called by
    numbers that are no names of the network's, they are those of its classes, from 0.

    Args:
        path: see `gather_folder` and `gather_table`; also a folder of `test/CLASS/...` alone.
        class_names: the network's C classes; not each of them needs an image.
        upright: see `FileImages`.

    Raises:
        UserError: there is nothing, no image to judge on, or a class that the network does not know.
    """
    gathered = _gathered(Path(path).expanduser(), class_names)
    images = next((gathered.parts[part] for part in _JUDGED if gathered.parts.get(part)), None)
    if images is None:
        wrong = next((finding.message for finding in gathered.findings if finding.level == ERROR), "")
        raise UserError(wrong or f"{shown(path)} has training images alone; there is nothing to judge on")
    places = {name: index for index, name in enumerate(class_names)}
    there = dict.fromkeys(name for _, name in images)
    if gathered.numbered and not there.keys() <= places.keys():
        places = {str(index): index for index in range(len(class_names))}
    _demand_known([name for name in there if name not in places], class_names, str(path))
    paths = tuple(each for each, _ in images)
    labels = np.array([places[name] for _, name in images], dtype=np.int64)
    return ImageData(FileImages(gathered.root, paths, upright=upright), labels, tuple(class_names))


def _gathered(path: Path, class_names: Sequence[str]) -> Gathered:
    if path.is_file():
        return gather_table(path)
    if not path.is_dir():
        raise UserError(f"there is no folder or table {shown(path)}")
    parts = {part_of(entry.name): entry for entry in path.iterdir() if entry.is_dir() and entry.name not in class_names}
    alone = "test" in parts and "train" not in parts
    return gather_folder(parts["test"] if alone else path)


def relabelled(data: ImageData, class_names: Sequence[str], where: str) -> ImageData:
    """The images with the labels that their classes have in a network.

    Args:
        data: the images, with classes of their own.
        class_names: the network's.
        where: what messages call the data.

    Raises:
        UserError: an image is of a class that the network does not know.
    """
    if data.class_names == tuple(class_names):
        return data
    place = {name: index for index, name in enumerate(class_names)}
    there = [name for name, count in zip(data.class_names, data.class_counts, strict=True) if count]
    _demand_known([name for name in there if name not in place], class_names, where)
    new = np.array([place.get(name, -1) for name in data.class_names], dtype=np.int64)
    return replace(data, labels=new[data.labels], class_names=tuple(class_names))


def only_readable(data: ImageData) -> ImageData:
    """The images without those that cannot be read, see `leave_out_unreadable`; a class may lose all of its images.

    Raises:
        UserError: none can be read.
    """
    from longtail.datasets.readable import leave_out_unreadable  # brings Pillow

    # images in memory are all readable: one of those stands where the training set would be
    one = ImageData(ArrayImages(np.zeros((1, 1, 1, 3), dtype=np.uint8)), np.zeros(1, dtype=np.int64), data.class_names)
    return leave_out_unreadable(LongTailData("", one, None, data, 1, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))).test


def _demand_known(unknown: Sequence[str], class_names: Sequence[str], where: str) -> None:
    if unknown:
        raise UserError(
            f"{shown(where)} has classes that the run does not know: {examples(unknown)}\n"
            f"it was trained on {len(class_names)}: {examples(class_names)}"
        )
