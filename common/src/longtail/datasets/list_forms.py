"""The forms of lists that name images with their labels, each read into the same thing."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from longtail.datasets.base import Indices
from longtail.datasets.mini_imagenet import FEW_SHOT
from longtail.errors import UserError

UNKNOWN_CLASSES = 1_000_000_000
"""The number of classes to read a list with whose labels are limited by nothing else."""


@dataclass(frozen=True)
class Places:
    """Where the images of a list stand in it.

    Args:
        word: what a place is called, with `{}` for its number.
        numbers: the number of each image's place.
    """

    word: str
    numbers: Sequence[int]

    def __getitem__(self, image: int) -> str:
        """The place of one image."""
        return self.word.format(self.numbers[image])


@dataclass(frozen=True)
class ImageList:
    """What a list holds.

    Args:
        paths: N paths with forward slashes, none of which leads out of the root.
        labels: int64, shape (N,).
        places: where in the list each image stands, in the words of its form.
    """

    paths: tuple[str, ...]
    labels: Indices
    places: Places


Entries = tuple[Sequence[int], list[list[str]]]
"""Numbers of places, and for each the image's path and label; where something is missing just what there is, or nothing."""


@dataclass(frozen=True)
class ListForm:
    """A form of lists.

    Args:
        entry: how an image is written.
        place: what its place is called, with `{}` for the number.
        nothing: what is told of a place without an image.
        split: takes a list's text apart; raises ValueError where that is impossible.
    """

    entry: str
    place: str
    nothing: str
    split: Callable[[str], Entries]

    def read(self, path: Path, num_classes: int) -> ImageList:
        """The images of a list.

        Args:
            path: the file.
            num_classes: labels lie in [0, num_classes), at most `UNKNOWN_CLASSES`.

        Raises:
            UserError: the file cannot be read or is empty, or names the file and the place where an image is malformed, has a
                label out of range, or a path that is not below the root.
        """
        try:
            numbers, entries = self.split(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read the list {path}: {error}") from error
        if not entries:
            raise UserError(f"{path} is empty; a list has {self.entry} for each image")
        places = Places(self.place, numbers)
        # All at once: 437,513 of them would otherwise take seconds. Where one is wrong there is time to search for it.
        if all(len(entry) == 2 and _is_count(entry[1]) and _stays_inside(entry[0]) for entry in entries):
            labels = [int(label) for _, label in entries]
            if max(labels) < num_classes:
                return ImageList(tuple(path for path, _ in entries), np.array(labels, dtype=np.int64), places)
        image, mistake = next(
            (image, mistake) for image, entry in enumerate(entries) if (mistake := self._mistake(entry, num_classes))
        )
        raise UserError(f"{path}, {places[image]}: {mistake}")

    def _mistake(self, entry: list[str], num_classes: int) -> str | None:
        """What is wrong with an entry, if anything is."""
        if not entry:
            return self.nothing
        if len(entry) == 1:
            return f"expected {self.entry}, found {entry[0]!r}"
        path, label = entry
        if not label.removeprefix("-").isdecimal():
            return f"the label {label!r} is not an integer"
        if not _is_count(label) or int(label) >= num_classes:
            return f"label {label} is outside [0, {num_classes})"
        return None if _stays_inside(path) else f"the path {path!r} is not below the data root"


def _is_count(label: str) -> bool:
    return label.isdecimal() and len(label) < 10


def _stays_inside(path: str) -> bool:
    return path[0] != "/" and "\0" not in path and (".." not in path or ".." not in path.split("/"))


def _lines(text: str) -> Entries:
    """A path ends where the last white space of its line begins; the last line may lack an end."""
    lines = text.rstrip().split("\n")
    entries = [] if lines == [""] else [line.rsplit(None, 1) for line in lines]
    return range(1, len(entries) + 1), entries


def _rows(text: str) -> Entries:
    """A path is made of the first three columns, whatever follows them; the label is the second. Blank lines are skipped."""
    return _from_columns(
        (number, line, ["/".join(row[:3]), row[1]] if len(row) >= 3 and all(row[:3]) else [])
        for number, line, row in columns(text)
    )


def _table(text: str) -> Entries:
    """A header, then rows whose first two columns are path and label. Blank lines are skipped.

    In published tables paths begin with `data/`, a folder that is not there: they begin at the root.
    """
    (_, first, header), *rows = columns(text) or [(1, "", [])]
    if len(header) > 1 and header[1].strip().isdecimal():
        raise ValueError(f"its first line is an image, {first.strip()!r}; a header such as `img,label` must come before it")
    if header and not rows:
        raise ValueError("it has a header, but names no image")
    if rows and len(rows[0][2]) > 1 and re.fullmatch(r"n\d{8}", rows[0][2][1].strip()):
        raise ValueError(f"its labels are WordNet ids, such as {rows[0][2][1].strip()}, not numbers. {FEW_SHOT}")
    return _from_columns(
        (number, line, [path, label] if (path := row[0].removeprefix("data/")) and (label := "".join(row[1:2]).strip()) else [])
        for number, line, row in rows
    )


def columns(text: str) -> list[tuple[int, str, list[str]]]:
    """Number, text and columns of each line of a table that is not blank.

    Raises:
        ValueError: a line's quotation marks do not match, with its number.
    """
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            # One by one: a quotation mark that nothing closes would otherwise take in all lines below it.
            rows.append((number, line, next(csv.reader([line], strict=True))))
        except csv.Error as error:
            raise ValueError(f"line {number}: {error}") from error
    return rows


def _from_columns(rows: Iterable[tuple[int, str, list[str]]]) -> Entries:
    """The entries of (number of the line, its text, path and label or nothing)."""
    numbers, entries = [], []
    for number, line, entry in rows:
        numbers.append(number)
        entries.append(entry or [line])
    return numbers, entries


def _images(text: str) -> Entries:
    """The `images` of an object, each with a `file_name`; it lies in a folder that is named by the label."""
    content = json.loads(text, object_hook=_file_name_or_images)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise ValueError("it has no list `images`")
    return range(len(images)), [_path_and_folder(image) for image in images]


def _path_and_folder(image: Any) -> list[str]:
    if not isinstance(image, tuple) or not isinstance(image[0], str):
        return []
    path: str = image[0]
    folders = path.split("/")
    return [path, folders[-2]] if len(folders) > 1 else folders


def _file_name_or_images(content: dict[str, Any]) -> tuple[Any] | dict[str, Any] | None:
    """Of an object only what is read: half a million annotations and photographers' names would take twice the memory.

    The file name comes in a tuple, which nothing else in JSON becomes.
    """
    if "file_name" in content:
        return (content["file_name"],)
    return content if "images" in content else None


LINES = ListForm("one line `path label`", "line {}", "the line is blank", _lines)
TABLE = ListForm("one line `path,label`", "line {}", "the line is blank", _table)
ROWS = ListForm("one line `split_folder,class_index,file_name`", "line {}", "the line is blank", _rows)
IMAGES = ListForm("one `file_name` FOLDER/LABEL/NAME", "images[{}]", "it has no `file_name`", _images)
