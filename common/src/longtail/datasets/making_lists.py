"""Lists of images and files of class counts, for code that reads those and brings none."""

from __future__ import annotations

import io
import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from longtail.datasets.base import Indices
from longtail.datasets.fake_size import generated
from longtail.datasets.folder import ClassFolders
from longtail.datasets.list_forms import LINES, UNKNOWN_CLASSES, Entries, ImageList, ListForm
from longtail.datasets.made import MARKER, made
from longtail.datasets.mini_imagenet import FEW_SHOT
from longtail.datasets.published import LISTS, Extent
from longtail.datasets.tables import check_classes
from longtail.errors import UserError

COUNTS = "num_shots"
"""Name of the files of class counts, without the ending."""

_INAT18 = "iNaturalist18"
_NOT_ANEW = (
    "The lists of ImageNet-LT and Places-LT are published random choices, which cannot be made anew; they come with the code "
    "of the papers"
)

_UNLISTABLE = re.compile("[\n\r\ud800-\udfff]|\\s$")
"""In a path: line ends, bytes that are not UTF-8, white space that nobody tells from that before the label."""

logger = logging.getLogger(__name__)


class Listed(NamedTuple):
    """What a list holds.

    paths: N paths with forward slashes.
    labels: int64, shape (N,).
    """

    paths: Sequence[str]
    labels: Indices


@dataclass(frozen=True)
class Lists:
    """Lists before they are written.

    Args:
        counts: training images per class, int64, shape (C,).
        fake: the images were generated.
        train_list: name of the training list, which may be one that is there already.
        parts: what to write lists of, by part.
        start: what their names begin with, before `PART.txt`.
        instead: parts that are not there, each with the one whose images its list has.
    """

    counts: Indices
    fake: bool
    train_list: str
    parts: Mapping[str, Listed] = field(default_factory=dict)
    start: str = ""
    instead: Mapping[str, str] = field(default_factory=dict)

    @property
    def comes_last(self) -> tuple[str, ...]:
        """Without a training list nobody takes the others for a data set."""
        return (self.train_list,)

    def told(self) -> dict[str, str]:
        """What each list holds, in words."""
        told = {part: str(Extent.of(np.bincount(listed.labels))) for part, listed in self.parts.items()}
        told["train"] = f"{Extent.of(self.counts)}{self._remark()}"
        return told | {part: f"the images of {other}, for there is no folder {part}" for part, other in self.instead.items()}

    def _remark(self) -> str:
        """That the list goes by the name of a published one, and is another."""
        for name, known in LISTS.items():
            if not self.fake and self.train_list == known.files["train"] and Extent.of(self.counts) != known.sizes["train"]:
                return f"; not {known.title} as published, and `{name}` refuses it"
        return ""

    def files(self) -> dict[str, bytes]:
        """The content of each file by its name.

        Raises:
            UserError: a path cannot stand in a list.
        """
        lists = {f"{self.start}{part}.txt": _text(listed).encode() for part, listed in self.parts.items()}
        archive = io.BytesIO()
        np.savez(archive, num_per_class=self.counts.astype(np.float32))  # without a date: same counts, same bytes
        lines = "".join(f"{count}\n" for count in self.counts.tolist())
        return {**lists, f"{COUNTS}.npz": archive.getvalue(), f"{COUNTS}.txt": lines.encode()}

    def save(self, folder: Path, *, class_folders: bool = False) -> None:
        """Write the lists and the class counts.

        Args:
            folder: where to.
            class_folders: False; there are no images to write.

        Raises:
            UserError: a path cannot stand in a list.
        """
        assert not class_folders
        for name, content in self.files().items():
            (folder / name).write_bytes(content)

    def check(self, folder: Path) -> None:
        """Look whether the files in a folder are these: what was listed may have changed since.

        Raises:
            UserError: a file is missing or another one.
        """
        files = self.files()
        for name, content in files.items():
            path = folder / name
            if not path.is_file() or path.read_bytes() != content:
                found = "is not as it would be made now" if path.is_file() else "is missing"
                raise UserError(f"{path} {found}; delete what is there of {', '.join((*files, MARKER))}, and make them again")


def _text(listed: Listed) -> str:
    wrong = next((path for path in listed.paths if _UNLISTABLE.search(path)), None)
    if wrong is not None:
        raise UserError(
            f"no list can hold the name {wrong!r}: it has a line end in it, or white space at its end, or is not UTF-8; "
            "rename the file"
        )
    return "".join(f"{path} {label}\n" for path, label in zip(listed.paths, listed.labels.tolist(), strict=True))


@dataclass(frozen=True)
class ClassLists:
    """Lists of the images below `train/CLASS/`, `val/CLASS/` and `test/CLASS/`, labelled by the sorted names of the classes.

    Where `val` or `test` is not there, its list names the images of the other one.

    Args:
        prefix: with `ImageNet_LT`, the lists are called `ImageNet_LT_train.txt` and so on; None for `train.txt` and so on.
    """

    prefix: str | None = None

    def contents(self, source: Path, *, in_place: bool = False) -> Lists:
        """The images of each list.

        Args:
            source: folder of `train` and the others, which the paths begin at.
            in_place: the lists go into that folder.

        Raises:
            UserError: folders or images are missing, a class has nothing to train on, or the lists would join a training list
                that is there already.
        """
        start = "" if self.prefix is None else f"{_checked_name(self.prefix)}_"
        there = _training_lists(source) if in_place else []
        if there:
            raise UserError(
                f"{there[0]} is a training list already; `longtail data make num-shots` counts its classes, and other lists "
                "go to another folder"
            )
        folders = _part_folders(source)
        classes = _classes(source, folders)
        found = {part: _listed(of_part, classes) for part, of_part in folders.items()}
        _warn(source, classes, folders, found)
        instead = {part: other for part, other in (("val", "test"), ("test", "val")) if part not in found}
        parts = {part: found[instead.get(part, part)] for part in ("train", "val", "test")}
        return Lists(np.bincount(found["train"].labels), _is_fake(source), f"{start}train.txt", parts, start, instead)


def _checked_name(prefix: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", prefix):
        raise UserError(f"lists cannot be called {prefix!r}_train.txt; a prefix is letters, digits, _, . and -")
    return prefix


def _training_lists(folder: Path) -> list[Path]:
    """The training lists in a folder, under whatever name lists go by."""
    return sorted(path for path in folder.glob("*train.txt") if path.name == "train.txt" or path.name.endswith("_train.txt"))


def _part_folders(source: Path) -> dict[str, ClassFolders]:
    """The class folders of the parts that are there."""
    expected = f"Expected: class folders in {source / 'train'}/, and in val/ or test/ or both beside it.\n{_NOT_ANEW}"
    there = [part for part in ("train", "val", "test") if (source / part).is_dir()]
    if "train" not in there or len(there) < 2:
        raise UserError(f"there is no folder {source / ('val' if 'train' in there else 'train')}.\n{expected}")
    folders = {part: ClassFolders.read(source, part) for part in there}
    for part, of_part in folders.items():
        if not of_part.classes:
            raise UserError(f"there is no image in the class folders of {source / part}.\n{expected}")
    return folders


def _classes(source: Path, folders: Mapping[str, ClassFolders]) -> tuple[str, ...]:
    """The names of the classes in the order of their labels."""
    train = folders["train"].classes
    for part, of_part in folders.items():
        if not of_part.classes & train:
            raise UserError(f"{source / 'train'} and {source / part} have no class in common. {FEW_SHOT}")
        # an empty folder in train would be a label that other lists of these images have, and these do not
        unknown = sorted((set(of_part.by_class) if part == "train" else of_part.classes) - train)
        if unknown:
            raise UserError(f"class {unknown[0]!r} of {source / part} has no image in {source / 'train'} to train on")
    return tuple(sorted(train))


def _listed(folders: ClassFolders, classes: Sequence[str]) -> Listed:
    paths = [folders.by_class.get(name, []) for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(of_class) for of_class in paths])
    return Listed([path for of_class in paths for path in of_class], labels)


def _warn(source: Path, classes: Sequence[str], folders: Mapping[str, ClassFolders], found: Mapping[str, Listed]) -> None:
    others = [path for part in folders.values() for path in part.others]
    if others:
        logger.warning("%s: ignored %d files that are not images in class folders, such as %s", source, len(others), others[0])
    if all(name.isdecimal() for name in classes) and list(classes) != sorted(classes, key=int):
        text = "%s: the classes are numbers, and sorted as words; the label of class %s is %d"
        label = next(label for label, name in enumerate(classes) if int(name) != label)
        logger.warning(text, source, classes[label], label)
    spaced = [path for listed in found.values() for path in listed.paths if len(path.split()) > 1]
    if spaced:
        text = "%s: %d images have white space in their paths, such as %r, which much code cannot read from lists"
        logger.warning(text, source, len(spaced), spaced[0])


@dataclass(frozen=True)
class INat18Lists:
    """The lists of iNaturalist 2018, of the JSON files of its competition, in which annotations say an image's label."""

    def contents(self, source: Path, *, in_place: bool = False) -> Lists:
        """The images of both lists, in the order of the files.

        Args:
            source: folder of `train2018.json` and `val2018.json`.
            in_place: does not matter here.

        Raises:
            UserError: a file is missing or malformed, an image has no annotation or several, an annotation no image, or a class
                no training image.
        """
        files = {part: source / name for part, name in (("train", "train2018.json"), ("val", "val2018.json"))}
        for path in files.values():
            if not path.is_file():
                raise UserError(
                    f"there is no {path}.\nExpected: {' and '.join(each.name for each in files.values())}, the annotations of "
                    "the iNaturalist competition of 2018, from its publishers"
                )
        listed = {part: ANNOTATED.read(path, UNKNOWN_CLASSES) for part, path in files.items()}
        counts = _counted(files["train"], listed["train"], listed["val"])
        parts = {part: Listed(of_part.paths, of_part.labels) for part, of_part in listed.items()}
        return Lists(counts, _is_fake(source), f"{_INAT18}_train.txt", parts, f"{_INAT18}_")


@dataclass(frozen=True)
class NumShots:
    """The class counts of a training list that is there."""

    def contents(self, source: Path, *, in_place: bool = False) -> Lists:
        """The class counts alone.

        Args:
            source: a list with a line `path label` for each image; or its folder, where it is called `train.txt` or
                `DATASET_train.txt`, and the only one.
            in_place: does not matter here.

        Raises:
            UserError: the list is missing, one of several, or malformed, or a class has no image.
        """
        path = source if source.is_file() else _only_list(source)
        listed = LINES.read(path, UNKNOWN_CLASSES)
        return Lists(_counted(path, listed, listed), _is_fake(path.parent), path.name)


def _only_list(folder: Path) -> Path:
    found = _training_lists(folder)
    if not found:
        raise UserError(f"there is no training list in {folder}: train.txt, ImageNet_LT_train.txt or the like.\n{_NOT_ANEW}")
    if len(found) > 1:
        raise UserError(f"{folder} has {len(found)} training lists, {', '.join(each.name for each in found)}; name one of them")
    return found[0]


def _counted(path: Path, train: ImageList, judged: ImageList) -> Indices:
    """Training images per class, of which each class of either list has one at least."""
    num_classes = 1 + max(int(listed.labels.max()) for listed in (train, judged))
    check_classes(path, {"train": train, "test": train}, num_classes)
    counts: Indices = np.bincount(train.labels)
    return counts


def _is_fake(folder: Path) -> bool:
    from_elsewhere = made(folder)
    return generated(folder) is not None or (from_elsewhere is not None and from_elsewhere.fake)


# --- images and annotations in one JSON file


def _annotated(text: str) -> Entries:
    """Of each image its `file_name`, and the category of the annotation that has its id."""
    content = json.loads(text, object_hook=_kept)
    if not isinstance(content, dict):
        raise ValueError("it has no lists `images` and `annotations`")
    images, annotations = (_pairs(content, name, what) for name, what in _KEPT.items())
    categories = _by_id("annotations", "image_id", annotations)
    _by_id("images", "id", images)
    if categories.keys() != {identity for identity, _ in images}:
        _tell_unmatched(images, categories)
    return range(len(images)), [[path, str(categories[identity])] for identity, path in images]


_KEPT = {"images": ("id", "file_name"), "annotations": ("image_id", "category_id")}
"""What is read of the entries of each list."""


def _kept(content: dict[str, Any]) -> tuple[Any, Any] | dict[str, Any] | None:
    """Of an object only what is read: with all the rest, half a million images would take twice the memory."""
    for first, second in _KEPT.values():
        if second in content:
            return content.get(first), content[second]
    return content if "images" in content else None


def _pairs(content: Mapping[str, Any], name: str, what: tuple[str, str]) -> list[tuple[int | str, Any]]:
    entries = content.get(name)
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"it has no list `{name}`, or an empty one")
    for number, entry in enumerate(entries):
        if not _is_pair(entry, name):
            raise ValueError(f"{name}[{number}] has no `{what[0]}` and `{what[1]}`, or other values than it should")
    return entries


def _is_pair(entry: Any, name: str) -> TypeGuard[tuple[int | str, Any]]:
    if not isinstance(entry, tuple) or not isinstance(entry[0], int | str):
        return False
    return isinstance(entry[1], int) if name == "annotations" else bool(entry[1]) and isinstance(entry[1], str)


def _by_id(name: str, key: str, pairs: Sequence[tuple[int | str, Any]]) -> dict[int | str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        identity, number = Counter(identity for identity, _ in pairs).most_common(1)[0]
        raise ValueError(f"{number} of its {name} have the {key} {identity}; each image has one entry and one annotation")
    return found


def _tell_unmatched(images: Sequence[tuple[int | str, Any]], categories: Mapping[int | str, Any]) -> None:
    for number, (identity, _) in enumerate(images):
        if identity not in categories:
            raise ValueError(f"images[{number}], whose id is {identity}, has no annotation")
    there = {identity for identity, _ in images}
    lost = next(identity for identity in categories if identity not in there)
    raise ValueError(f"there is an annotation of image_id {lost}, and no such image")


ANNOTATED = ListForm("one `file_name` and one annotation", "images[{}]", "it has no `file_name`", _annotated)
"""The files of the iNaturalist competitions, which keep labels apart from images."""
