"""Anybody's own images with labels, for a network that knows its classes already."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from longtail.datasets.base import ArrayImages, FileImages, ImageData, LongTailData
from longtail.datasets.folder import ClassFolders
from longtail.errors import UserError

_NAMED = 3
"""Classes that a message names before it only counts them."""


def load_labelled(path: str | Path, class_names: Sequence[str], *, upright: bool = True) -> ImageData:
    """The images of a folder or of a table, with the labels of a network's classes.

    A folder has `test/CLASS/...`, or class folders directly. A table has a header, which is not read, and a line `path,label`
    for each image, the path relative to the table's folder, the label a class's name or its number.

    Args:
        path: the folder, or the table.
        class_names: the network's C classes; not each of them needs an image.
        upright: see `FileImages`.

    Raises:
        UserError: there is nothing, no image, or a class that the network does not know.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return _table(path, class_names, upright)
    if not path.is_dir():
        raise UserError(f"there is no folder or table {path}")
    part = "test" if (path / "test").is_dir() and "test" not in class_names else ""
    found = ClassFolders.read(path, part)
    if not found.classes:
        raise UserError(f"there is no image in the class folders of {path / part}; expected {path / part}/CLASS/...")
    files = {name: paths for name, paths in sorted(found.by_class.items()) if paths}
    _check_known(tuple(files), class_names, path / part)
    labels = np.array([class_names.index(name) for name, paths in files.items() for _ in paths], dtype=np.int64)
    images = FileImages(path, tuple(each for paths in files.values() for each in paths), upright=upright)
    return ImageData(images, labels, tuple(class_names))


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
    there = [name for name, count in zip(data.class_names, data.class_counts, strict=True) if count]
    _check_known(there, class_names, where)
    place = {name: index for index, name in enumerate(class_names)}
    new = np.array([place.get(name, -1) for name in data.class_names], dtype=np.int64)
    return replace(data, labels=new[data.labels], class_names=tuple(class_names))


def only_readable(data: ImageData) -> ImageData:
    """The images without those that cannot be read, see `leave_out_unreadable`; a class may lose all of its images.

    Raises:
        UserError: none can be read.
    """
    from longtail.datasets.readable import leave_out_unreadable  # brings Pillow

    nothing = ImageData(ArrayImages(np.zeros((0, 1, 1, 3), dtype=np.uint8)), np.zeros(0, dtype=np.int64), data.class_names)
    return leave_out_unreadable(LongTailData("", nothing, None, data, 1, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))).test


def _table(path: Path, class_names: Sequence[str], upright: bool) -> ImageData:
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = [(number, line) for number, line in enumerate(csv.reader(file), 1) if number > 1 and any(line)]
    except (OSError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    short = next((number for number, line in lines if len(line) < 2 or not line[0].strip()), None)
    if short is not None or not lines:
        where = f"line {short}" if short is not None else "no line"
        raise UserError(
            f"{path}: expected a header and a line `path,label` for each image, {where} has {'not ' if short else ''}one"
        )
    paths, labels = zip(*((line[0].strip(), line[1].strip()) for _, line in lines), strict=True)
    numbers = {str(index): index for index in range(len(class_names))}
    by_name = {name: index for index, name in enumerate(class_names)}
    known = numbers if not set(labels) <= set(by_name) and set(labels) <= set(numbers) else by_name
    _check_known(list(dict.fromkeys(labels)), tuple(known), path)
    images = FileImages(path.parent, paths, upright=upright)
    return ImageData(images, np.array([known[label] for label in labels], dtype=np.int64), tuple(class_names))


def _check_known(there: Sequence[str], class_names: Sequence[str], where: str | Path) -> None:
    known = set(class_names)
    unknown = [name for name in there if name not in known]
    if unknown:
        its_own = ", ".join(class_names[: 2 * _NAMED]) + (", ..." if len(class_names) > 2 * _NAMED else "")
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise UserError(
            f"{where}: the run knows no class {', '.join(map(repr, unknown[:_NAMED]))}{more}; "
            f"it was trained on {len(class_names)}: {its_own}"
        )
