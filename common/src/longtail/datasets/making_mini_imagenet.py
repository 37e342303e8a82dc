"""mini-ImageNet-LT: from lists that are given, or anew from the images of mini-ImageNet."""

from __future__ import annotations

import os
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from longtail.datasets.contents import Contents, Sample
from longtail.datasets.fake_size import generated
from longtail.datasets.folder import EXTENSIONS, ClassFolders
from longtail.datasets.list_forms import ImageList
from longtail.datasets.lists import demand_files, missing_files
from longtail.datasets.mini_imagenet import CANDIDATES, FEWEST, HELD_OUT, TRAIN_COUNTS
from longtail.datasets.tables import TABLES, check_classes, read_table
from longtail.errors import UserError
from longtail.randomness import Randomness

Write = Callable[[Path, Path], None]

PARTS = ("train", "val", "test")
_WNID = re.compile(r"n\d{8}")
_SMALLEST_CLASS = 3
"""Images of a class that are enough: one for each part."""


@dataclass(frozen=True)
class MiniImageNetLT:
    """Every class in every part, the training images long-tailed.

    Of a class of 600 images, 60 are to test on, 60 to validate on, and some of the other 480 to train on: as many as published
    where the classes are the published ones, else a random number from 10 to 480. With fewer than 600 images, everything is in
    proportion, and no part goes without; of more than 600, some 600 count.

    Args:
        seed: of everything that is drawn; with `lists`, nothing is.
        lists: folder of `train.csv`, `val.csv` and `test.csv`, to be taken as they are; None makes new ones.
        link: make symbolic links to the images instead of copies.
    """

    seed: int = 0
    lists: Path | None = None
    link: bool = False

    def contents(self, source: Path, *, in_place: bool = False) -> Contents:
        """The images of each part.

        Raises:
            UserError: images are missing, a class has too few, two of a class are called the same; lists are malformed, or a
                class is not in all of them, or an image in two.
        """
        if self.seed < 0:
            raise UserError(f"a seed is a non-negative integer, got {self.seed}")
        if not source.is_dir():
            raise UserError(f"there is no folder {source}.\n{_expected(source)}")
        if self.lists is None:
            return _drawn(source, self.seed, self._write)
        return self._listed(source, self.lists, in_place)

    def _write(self, image: Path, path: Path) -> None:
        if self.link:
            path.symlink_to(image)
        else:
            shutil.copyfile(image, path)

    def _listed(self, source: Path, folder: Path, in_place: bool) -> Contents:
        """What the lists in a folder say."""
        tables = {part: Path(folder).expanduser() / TABLES[part] for part in PARTS}
        listed = {part: read_table(path) for part, path in tables.items()}
        num_classes = 1 + max(int(of_part.labels.max()) for of_part in listed.values())
        check_classes(tables["train"], listed, num_classes)
        _check_disjoint(tables, listed)
        files = _Files(source)
        parts = {}
        for part, of_part in listed.items():
            if in_place:
                demand_files(tables[part], of_part.places, source, of_part.paths, _expected(source))
            images = [source / path for path in of_part.paths] if in_place else files.find(tables[part], of_part)
            samples = zip(of_part.labels.tolist(), of_part.paths, images, strict=True)
            parts[part] = [Sample(label, path, image) for label, path, image in samples]
        names = _names(parts["train"], num_classes)
        counts = np.bincount(listed["train"].labels)
        published = counts.tolist() == list(TRAIN_COUNTS.values())
        remark = f"as listed, {'' if published else 'not '}as many of each class as published"
        there = source if in_place else None
        return Contents(names, parts, self._write, generated(source) is not None, remark, tables, there)


def _expected(source: Path) -> str:
    return (
        f"Expected: class folders in {source}/, or in train/, val/ and test/ below it; "
        "or images called after their class, such as n0153282900000005.jpg, there or in images/"
    )


def _drawn(source: Path, seed: int, write: Write) -> Contents:
    """A new choice of the images."""
    classes = _classes(source)
    names = tuple(TRAIN_COUNTS) if classes.keys() == TRAIN_COUNTS.keys() else tuple(sorted(classes))
    parts: dict[str, list[Sample]] = {part: [] for part in PARTS}
    for label, name in enumerate(names):
        for part, paths in _divided(name, _by_name(name, classes[name]), Randomness(seed).generator("mini-imagenet-lt", label)):
            parts[part] += [Sample(label, f"images/{name}/{PurePosixPath(path).name}", source / path) for path in paths]
    counts = "as many of each class as published" if set(names) == TRAIN_COUNTS.keys() else "their numbers drawn"
    whole = 2 * HELD_OUT + CANDIDATES
    small = sum(len(paths) < whole for paths in classes.values())
    scaled = f", in proportion where a class has fewer than {whole} images, as {small} have" if small else ""
    return Contents(names, parts, write, generated(source) is not None, f"{counts}{scaled}, chosen with seed {seed}")


def _divided(name: str, paths: Sequence[str], rng: np.random.Generator) -> Iterable[tuple[str, list[str]]]:
    """The images of each part of one class, sorted."""
    held_out = min(HELD_OUT, max(1, len(paths) // 10))
    candidates = min(CANDIDATES, len(paths) - 2 * held_out)
    if candidates < 1:
        raise UserError(f"class {name!r} has {len(paths)} images; it takes {_SMALLEST_CLASS} for one in every part")
    order = rng.permutation(len(paths))
    count = int(rng.integers(FEWEST, CANDIDATES, endpoint=True))
    count = max(1, TRAIN_COUNTS.get(name, count) * candidates // CANDIDATES)
    ends = {"test": (0, held_out), "val": (held_out, 2 * held_out), "train": (2 * held_out, 2 * held_out + count)}
    for part, (first, end) in ends.items():
        yield part, [paths[index] for index in sorted(order[first:end].tolist())]


def _classes(source: Path) -> dict[str, list[str]]:
    """The images of each class, by path below the source, wherever a split for few-shot learning has put the class."""
    parts = [part for part in PARTS if (source / part).is_dir()]
    found = [ClassFolders.read(source, part) for part in parts] or [ClassFolders.read(source)]
    merged: defaultdict[str, list[str]] = defaultdict(list)
    for folders in found:
        for name in folders.classes:
            merged[name] += folders.by_class[name]
    if merged.keys() <= {"images"}:
        return _by_wnid(source, merged.get("images") or [path for folders in found for path in folders.others])
    return merged


def _by_wnid(source: Path, paths: Sequence[str]) -> dict[str, list[str]]:
    """Images that lie in one folder, by the WordNet id that their names begin with."""
    merged: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        file = PurePosixPath(path)
        found = _WNID.match(file.name)
        if found and file.suffix.lower() in EXTENSIONS:
            merged[found[0]].append(path)
    if not merged:
        raise UserError(f"there are no images of classes in {source}.\n{_expected(source)}")
    return merged


def _by_name(name: str, paths: Sequence[str]) -> list[str]:
    """The images of a class, sorted by the names of their files."""
    by_name: dict[str, str] = {}
    for path in paths:
        other = by_name.setdefault(PurePosixPath(path).name, path)
        if other != path:
            raise UserError(
                f"class {name!r} has two images of one name, {other} and {path}; if they are the same one, delete one of them, "
                "else rename it"
            )
    return [by_name[file] for file in sorted(by_name)]


def _check_disjoint(tables: Mapping[str, Path], listed: Mapping[str, ImageList]) -> None:
    """Looks that nothing is trained on that is judged on; validation and test list may have images in common."""
    numbers = {path: number for number, path in enumerate(listed["train"].paths)}
    for part in ("val", "test"):
        for number, path in enumerate(listed[part].paths):
            if path in numbers:
                place = listed["train"].places[numbers[path]]
                raise UserError(
                    f"{tables[part]}, {listed[part].places[number]}: {path} is a training image as well "
                    f"({tables['train']}, {place})"
                )


def _names(train: Sequence[Sample], num_classes: int) -> tuple[str, ...]:
    """WordNet ids where the lists have the published labels, else numbers whose order as words is that as numbers."""
    published = tuple(TRAIN_COUNTS)
    if num_classes == len(published) and all(published[each.label] in each.path for each in train):
        return published
    return tuple(f"{label:0{len(str(num_classes - 1))}}" for label in range(num_classes))


class _Files:
    """The images below a folder: where a list says, or anywhere under the same name.

    Lists are handed on without the images, which whoever made them had sorted into other folders.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, table: Path, listed: ImageList) -> list[Path]:
        """The file of each image of a list."""
        missing = missing_files(self._source, listed.paths)
        return [
            self._elsewhere(f"{table}, {listed.places[number]}", path) if path in missing else self._source / path
            for number, path in enumerate(listed.paths)
        ]

    def _elsewhere(self, place: str, path: str) -> Path:
        if self._by_name is None:
            self._by_name = defaultdict(list)
            for folder, _, files in os.walk(self._source):
                for name in files:
                    self._by_name[name].append(Path(folder, name))
        name = PurePosixPath(path).name
        found = self._by_name.get(name, [])
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(
                f"{place}: there is no {self._source / path}, and {len(found)} files are called {name}: {found[0]}, ..."
            )
        raise UserError(f"{place}: there is no {self._source / path}, and nowhere below {self._source} a file {name}")
