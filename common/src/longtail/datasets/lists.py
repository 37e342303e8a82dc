"""ImageNet-LT, Places-LT and iNaturalist 2018: images in files, named with their labels by the published lists."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longtail.datasets.base import FileImages, ImageData, Indices, LongTailData
from longtail.datasets.fake_size import MARKER, FakeSize, generated
from longtail.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extent:
    """How much is in a list.

    Args:
        images: number of lines.
        num_classes: classes that have images.
        smallest, largest: images of the smallest and of the largest class.
    """

    images: int
    num_classes: int
    smallest: int
    largest: int

    @classmethod
    def balanced(cls, num_classes: int, per_class: int) -> Extent:
        """That of a list with the same number of images for every class."""
        return cls(num_classes * per_class, num_classes, per_class, per_class)

    @classmethod
    def of(cls, counts: Indices) -> Extent:
        """That of a list with these images per class."""
        there = counts[counts > 0]
        return cls(int(there.sum()), len(there), int(there.min()), int(there.max()))

    def __str__(self) -> str:
        per_class = f"{self.smallest}" if self.smallest == self.largest else f"{self.smallest} to {self.largest}"
        return f"{self.images} images of {self.num_classes} classes, {per_class} a class"


@dataclass(frozen=True)
class Published:
    """What is known of one data set.

    Args:
        title: its name in the papers.
        folder: where its code keeps the lists.
        train, test: list files.
        val: list of images that are neither trained nor tested on, where there is one.
        sizes: what each list holds.
        train_sha256: of the training images per class, joined by commas, in the order of the labels.
        images: where the images lie below the root.
        mean, std: per-channel normalisation.
    """

    title: str
    folder: str
    train: str
    test: str
    val: str | None
    sizes: dict[str, Extent]
    train_sha256: str
    images: str
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @property
    def lists(self) -> tuple[str, ...]:
        """Its list files."""
        return (self.train, self.test) if self.val is None else (self.train, self.val, self.test)


LISTS = {
    "imagenet-lt": Published(
        title="ImageNet-LT",
        folder="ImageNet_LT",
        train="ImageNet_LT_train.txt",
        test="ImageNet_LT_test.txt",
        val="ImageNet_LT_val.txt",
        sizes={
            "ImageNet_LT_train.txt": Extent(115_846, 1000, 5, 1280),
            "ImageNet_LT_val.txt": Extent.balanced(1000, 20),
            "ImageNet_LT_test.txt": Extent.balanced(1000, 50),
        },
        train_sha256="93782c2e7eda453ae409fed503a27bc8d430ecb583c7d4b3c3adc93c2887236e",
        images="train/WNID/ and val/WNID/ (ILSVRC 2012, validation images sorted into class folders)",
    ),
    "places-lt": Published(
        title="Places-LT",
        folder="Places_LT",
        train="Places_LT_train.txt",
        test="Places_LT_test.txt",
        val="Places_LT_val.txt",
        sizes={
            "Places_LT_train.txt": Extent(62_500, 365, 5, 4980),
            "Places_LT_val.txt": Extent.balanced(365, 20),
            "Places_LT_test.txt": Extent.balanced(365, 100),
        },
        train_sha256="50c3529becbfdca5cdc4048a8354c1312370d86de7f11ac75d99e7987aba9cea",
        images="train/SCENE/ and val/SCENE/ (Places365, small images)",
    ),
    "inat18": Published(
        title="iNaturalist 2018",
        folder="iNaturalist18",
        train="iNaturalist18_train.txt",
        test="iNaturalist18_val.txt",
        val=None,
        sizes={
            "iNaturalist18_train.txt": Extent(437_513, 8142, 2, 1000),
            "iNaturalist18_val.txt": Extent.balanced(8142, 3),
        },
        train_sha256="15490ddfe172c58cd927af79e69246707fc5eaf2e4e8da7e9f3325e6d00988a0",
        images="train_val2018/KINGDOM/ID/",
        mean=(0.466, 0.471, 0.380),
        std=(0.195, 0.194, 0.192),
    ),
}
"""Long-tailed by publication. Lists: Liu et al., CVPR 2019 (ImageNet-LT, Places-LT); Kang et al., ICLR 2020 (iNaturalist)."""


def load_list_data(
    name: str,
    root: str | Path,
    *,
    image_size: int = 224,
    with_val: bool = False,
    check_files: Container[str] = ("train", "val", "test"),
) -> LongTailData:
    """A data set that is given by lists of `path label` lines.

    The lists are looked for in the data set's own folder below the working folder, in the same folder below the root, and in
    the root. Those in a root of fake data go before all.

    Args:
        name: one of `LISTS`.
        root: folder that the paths in the lists begin at.
        image_size: side in pixels that the network sees.
        with_val: also read the published validation list; without one there is still no `val`.
        check_files: the parts of whose images it is looked whether every one exists.

    Raises:
        UserError: lists or images are missing, a line is malformed, or a list is not the published one.
    """
    known, root = LISTS[name], Path(root).expanduser()
    if root.is_file():
        raise UserError(f"{root} is a file; the data root is the folder of the images of {known.title}")
    fake = _fake_size(name, root)
    folder = root if fake else _folder_of_lists(name, known, root)
    source = _Source(name, known, root, folder, fake)
    train, train_labels = source.read(known.train, "train" in check_files)
    test, test_labels = source.read(known.test, "test" in check_files)
    names = _class_names(train, train_labels, source.num_classes)
    val = None
    if with_val and known.val is not None:
        paths, labels = source.read(known.val, "val" in check_files)
        val = ImageData(FileImages(root, paths), labels, names)
    return LongTailData(
        name=name,
        train=ImageData(FileImages(root, train), train_labels, names),
        val=val,
        test=ImageData(FileImages(root, test), test_labels, names),
        image_size=image_size,
        mean=known.mean,
        std=known.std,
    )


def _fake_size(name: str, root: Path) -> FakeSize | None:
    fake = generated(root)
    if fake is None:
        return None
    title = LISTS[name].title
    if fake.layout != name:
        raise UserError(f"{root} holds fake data for {fake.layout}, not for {name}")
    logger.warning("%s: generated fake data, not %s", root, title)
    return fake.size


def _folder_of_lists(name: str, known: Published, root: Path) -> Path:
    folders = [Path(known.folder), root / known.folder, root]
    found = next((folder for folder in folders if (folder / known.train).is_file()), None)
    if found is None:
        looked = ", ".join(f"{folder}{os.sep}" for folder in folders)
        raise UserError(f"{known.title}: {known.train} is in none of {looked}.\n{_wanted(name, known, root)}")
    return found


def _wanted(name: str, known: Published, root: Path) -> str:
    return (
        f"Expected: {', '.join(known.lists)} in {known.folder}/, and below {root}/ the images, {known.images}. "
        f"Lists and images come from their publishers.\nTo rehearse on fake data: longtail data fake --layout {name} --out DIR"
    )


@dataclass(frozen=True)
class _Source:
    """One copy of a data set on this machine."""

    name: str
    known: Published
    root: Path
    folder: Path
    fake: FakeSize | None

    @property
    def num_classes(self) -> int:
        return self.known.sizes[self.known.train].num_classes if self.fake is None else self.fake.num_classes

    def read(self, file: str, check_files: bool) -> tuple[tuple[str, ...], Indices]:
        """The paths and labels of a list that holds what it should."""
        path = self.folder / file
        if not path.is_file():
            raise UserError(f"{path} is missing.\n{_wanted(self.name, self.known, self.root)}")
        paths, labels = read_list(path, self.num_classes)
        self._check_extent(path, labels)
        if check_files:
            self._check_files(path, paths)
        return paths, labels

    def _check_extent(self, path: Path, labels: Indices) -> None:
        counts = np.bincount(labels, minlength=self.num_classes)
        expected, found = self._expected(path.name), Extent.of(counts)
        by = f"the published {path.name}" if self.fake is None else MARKER
        if found != expected:
            empty = f"; class {counts.argmin()} has no image" if found.num_classes < self.num_classes else ""
            raise UserError(f"{path} does not agree with {by}: expected {expected}; found {found}{empty}")
        if self.fake is None and path.name == self.known.train:
            digest = hashlib.sha256(",".join(map(str, counts.tolist())).encode()).hexdigest()
            if digest != self.known.train_sha256:
                raise UserError(
                    f"{path} does not agree with {by}: it has as many images, but not the same number in each class "
                    f"(sha256 of the class counts: expected {self.known.train_sha256[:12]}, found {digest[:12]})"
                )

    def _expected(self, file: str) -> Extent:
        if self.fake is None:
            return self.known.sizes[file]
        if file != self.known.train:
            return Extent.balanced(self.fake.num_classes, self.fake.test_per_class)
        from longtail.datasets.fake_layouts import long_tailed_sizes  # brings Pillow

        return Extent.of(long_tailed_sizes(self.fake))

    def _check_files(self, path: Path, paths: Sequence[str]) -> None:
        missing = missing_files(self.root, paths)
        if missing:
            line = next(number for number, each in enumerate(paths, start=1) if each in missing)
            raise UserError(
                f"{path}, line {line}: there is no {self.root / paths[line - 1]}; "
                f"{len(missing)} of the {len(set(paths))} images in this list are missing.\n"
                f"{_wanted(self.name, self.known, self.root)}"
            )


def read_list(path: Path, num_classes: int) -> tuple[tuple[str, ...], Indices]:
    """The paths and labels of a file of `path label` lines; a path ends where the last white space begins.

    Args:
        path: the file; its last line may lack an end.
        num_classes: labels lie in [0, num_classes).

    Returns:
        N paths, and N labels: line i of the file is sample i - 1.

    Raises:
        UserError: the file cannot be read or is empty, or names file and line where a line is blank or malformed, or where a
            path is not below the root.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the list {path}: {error}") from error
    if lines == [""]:
        raise UserError(f"{path} is empty; a list has one line `path label` for each image")
    pairs = [line.rsplit(None, 1) for line in lines]
    # All lines at once: 437,513 of them would otherwise take seconds. Where one is wrong there is time to search for it.
    if all(len(pair) == 2 and _is_count(pair[1]) and _stays_inside(pair[0]) for pair in pairs):
        labels = [int(label) for _, label in pairs]
        if max(labels) < num_classes:
            return tuple(path for path, _ in pairs), np.array(labels, dtype=np.int64)
    number, mistake = next(
        (number, mistake) for number, pair in enumerate(pairs, start=1) if (mistake := _mistake(pair, num_classes))
    )
    raise UserError(f"{path}, line {number}: {mistake}")


def _is_count(label: str) -> bool:
    return label.isdecimal() and len(label) < 10


def _stays_inside(path: str) -> bool:
    return path[0] != "/" and "\0" not in path and (".." not in path or ".." not in path.split("/"))


def _mistake(pair: list[str], num_classes: int) -> str | None:
    """What is wrong with a line of these words, if anything is."""
    if not pair:
        return "the line is blank"
    if len(pair) == 1:
        return f"expected `path label`, found {pair[0]!r} alone"
    path, label = pair
    if not label.removeprefix("-").isdecimal():
        return f"the label {label!r} is not an integer"
    if not _is_count(label) or int(label) >= num_classes:
        return f"label {label} is outside [0, {num_classes})"
    return None if _stays_inside(path) else f"the path {path!r} is not below the data root"


def missing_files(root: Path, paths: Sequence[str]) -> set[str]:
    """Those of `paths` that do not exist below `root`; lists every folder once, instead of asking for every file.

    Raises:
        UserError: a folder may not be listed.
    """
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        folder, _, name = path.rpartition("/")
        wanted[folder].add(name)
    missing: set[str] = set()
    for folder, names in wanted.items():
        absent = names.difference(_names_in(root / folder))
        missing.update(f"{folder}/{name}" if folder else name for name in absent)
    return missing


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - a million names of ImageNet need no path objects
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror}") from error


def _class_names(paths: Sequence[str], labels: Indices, num_classes: int) -> tuple[str, ...]:
    """The folder of each class's first image (a WordNet id, a scene, a category id), or numbers where classes share folders."""
    first = dict(zip(reversed(labels.tolist()), reversed(paths), strict=True))
    folders = [first[label].rpartition("/")[0].rpartition("/")[2] for label in range(num_classes)]
    if "" in folders or len(set(folders)) < num_classes:
        return tuple(map(str, range(num_classes)))
    return tuple(folders)
