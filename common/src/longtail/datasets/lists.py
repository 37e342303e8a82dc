"""ImageNet-LT, Places-LT and iNaturalist 2018: images in files, named with their labels by lists."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from longtail import notes
from longtail.datasets.base import FileImages, ImageData, Indices, LongTailData
from longtail.datasets.fake_size import MARKER, FakeSize, generated, say_generated
from longtail.datasets.list_forms import Places
from longtail.datasets.published import LISTS, Extent, Published
from longtail.errors import UserError

logger = logging.getLogger(__name__)


def load_list_data(
    name: str,
    root: str | Path,
    *,
    image_size: int = 224,
    with_val: bool = False,
    check_files: Container[str] = ("train", "val", "test"),
    list_folders: Sequence[str | Path] = (),
) -> LongTailData:
    """A data set that is given by lists of images and labels.

    The lists are looked for in `list_folders`, in the data set's own folder below the working folder, in the same folder below
    the root, and in the root; those of a data set without such a folder in `list_folders` and in the root; those of fake data
    in the root alone. In each folder they may have any of the names that the data set's lists go by.

    ImageNet-LT's validation images, which the lists call `val/WNID/NAME`, may be the files `val/NAME`, as ILSVRC packs them:
    that is so where none of the class folders is there.

    Args:
        name: one of `LISTS`.
        root: folder that the paths in the lists begin at.
        image_size: side in pixels that the network sees.
        with_val: also read the published validation list; without one there is still no `val`.
        check_files: the parts of whose images it is looked whether every one exists.
        list_folders: where a paper keeps the lists; the first folder that has the training list has them all.

    Raises:
        UserError: lists or images are missing, a line is malformed, a list is not the published one, or, where none is
            published in this form, a class has no training image.
    """
    known, root = LISTS[name], Path(root).expanduser()
    if root.is_file():
        raise UserError(f"{root} is a file; the data root is the folder of the images of {known.title}")
    fake = _fake_size(name, root)
    folders = _folders(known, root, list_folders)
    expected = _expected(name, known, root, folders[0])
    known, folder = _found(known, [root] if fake else folders, expected)
    source = _Source(known, root, folder, fake, expected)
    wanted = [part for part in known.files if part != "val" or with_val]
    parts = {part: source.read(part, part in check_files) for part in wanted}
    names = names_of_classes(*parts["train"], source.num_classes)
    data = {part: ImageData(images, labels, names) for part, (images, labels) in parts.items()}
    return LongTailData(
        name=name,
        train=data["train"],
        val=data.get("val"),
        test=data["test"],
        image_size=image_size,
        mean=known.mean,
        std=known.std,
    )


def _fake_size(name: str, root: Path) -> FakeSize | None:
    fake = generated(root)
    if fake is None:
        return None
    title = LISTS[name].title
    # other forms of the same data set may be in one folder
    if fake.layout not in LISTS or LISTS[fake.layout].title != title:
        raise UserError(f"{root} holds fake data for {fake.layout}, not for {name}")
    say_generated(root, title)
    return fake.size


def _folders(known: Published, root: Path, first: Sequence[str | Path]) -> list[Path]:
    """Where the lists may be, in the order of search."""
    usual = [root] if known.folder is None else [Path(known.folder), root / known.folder, root]
    return [*(Path(folder).expanduser() for folder in first), *usual]


def _found(known: Published, folders: Sequence[Path], expected: str) -> tuple[Published, Path]:
    """The data set under the names that its lists go by here, and their folder."""
    for folder in folders:
        for files in (known.files, *known.other_files):
            if (folder / files["train"]).is_file():
                return replace(known, files=files), folder
    looked = list(dict.fromkeys(f"{folder}{os.sep}" for folder in folders))
    not_there = "is not in" if len(looked) == 1 else "is in none of"
    raise UserError(f"{known.title}: {known.files['train']} {not_there} {', '.join(looked)}.\n{expected}")


def _expected(name: str, known: Published, root: Path, folder: Path) -> str:
    """What should be there, and what to do without."""
    return (
        f"Expected: {', '.join(known.files.values())} in {folder}/, and below {root}/ the images, {known.images}. "
        f"{known.origin}\nTo rehearse on fake data: longtail data fake --layout {name} --out DIR"
    )


@dataclass(frozen=True)
class _Source:
    """One copy of a data set on this machine.

    root: folder of the images.
    folder: that of the lists.
    expected: what is told where something is missing.
    """

    known: Published
    root: Path
    folder: Path
    fake: FakeSize | None
    expected: str

    @property
    def num_classes(self) -> int:
        return self.known.sizes["train"].num_classes if self.fake is None else self.fake.num_classes

    def read(self, part: str, check_files: bool) -> tuple[FileImages, Indices]:
        """The images and labels of a part, which holds what it should."""
        path = self.folder / self.known.files[part]
        if not path.is_file():
            raise UserError(f"{path} is missing.\n{self.expected}")
        listed = self.known.form.read(path, self.num_classes)
        self._check_counts(part, path, np.bincount(listed.labels, minlength=self.num_classes))
        images = FileImages(self.root, listed.paths, flat=self._flat(listed.paths))
        if check_files:
            demand_files(path, listed.places, self.root, images.files, self.expected)
        return images, listed.labels

    def _flat(self, paths: Sequence[str]) -> str:
        """The folder whose images lie side by side, see `FileImages`: one that has some of the files and no class folder."""
        folder = self.known.flat
        below = [path.split("/") for path in paths if folder and path.startswith(f"{folder}/")]
        if folder is None or not below:
            return ""
        there = set(_names_in(self.root / folder))
        has_folders, has_files = (not there.isdisjoint(names[at] for names in below) for at in (1, -1))
        return folder if has_files and not has_folders else ""

    def _check_counts(self, part: str, path: Path, counts: Indices) -> None:
        binding = self.known.binding or self.fake is not None
        if part == "train" and not binding and 0 in counts:
            raise UserError(f"{path}: class {counts.argmin()} has no image; every class needs one to train on")
        different = self._difference(part, path.name, counts)
        if different and binding:
            raise UserError(f"{path} does not agree with {different}")
        if different:
            logger.warning("%s does not agree with %s. Results are not comparable with published ones", path, different)
            notes.leave(notes.OTHER_DATA, f"{path} does not agree with {different}")

    def _difference(self, part: str, file: str, counts: Indices) -> str | None:
        """What the list of a part with these images per class does not agree with, and how, if there is anything."""
        expected, found = self._extent(part), Extent.of(counts)
        by = MARKER if self.fake is not None else f"the published {file if self.known.binding else self.known.title}"
        if expected is not None and found != expected:
            empty = f"; class {counts.argmin()} has no image" if found.num_classes < self.num_classes else ""
            return f"{by}: expected {expected}; found {found}{empty}"
        if self.fake is None and part == "train":
            digest = hashlib.sha256(",".join(map(str, counts.tolist())).encode()).hexdigest()
            if digest != self.known.train_sha256:
                return (
                    f"{by}: it has as many images, but not the same number in each class "
                    f"(sha256 of the class counts: expected {self.known.train_sha256[:12]}, found {digest[:12]})"
                )
        return None

    def _extent(self, part: str) -> Extent | None:
        if self.fake is None:
            return self.known.sizes.get(part)
        if part != "train":
            return Extent.balanced(self.fake.num_classes, self.fake.test_per_class)
        from longtail.datasets.fake_layouts import long_tailed_sizes  # brings Pillow

        return Extent.of(long_tailed_sizes(self.fake))


def demand_files(path: Path, places: Places, root: Path, files: Sequence[str], expected: str) -> None:
    """Look whether every image of a list exists.

    Args:
        path: the list.
        places: of its images.
        root: folder of the images.
        files: where the images lie below it.
        expected: what is told beside, where something is missing.

    Raises:
        UserError: an image is missing, or a folder may not be listed.
    """
    missing = missing_files(root, files)
    if missing:
        first = next(image for image, file in enumerate(files) if file in missing)
        raise UserError(
            f"{path}, {places[first]}: there is no {root / files[first]}; "
            f"{len(missing)} of the {len(set(files))} images in this list are missing.\n{expected}"
        )


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


def names_of_classes(images: FileImages, labels: Indices, num_classes: int) -> tuple[str, ...]:
    """The folder of each class's first image (a WordNet id, a scene, a category id), or numbers where classes share folders.

    Args:
        images, labels: of the training set; every class has an image.
        num_classes: number of classes.
    """
    first = dict(zip(reversed(labels.tolist()), reversed(images.paths), strict=True))
    folders = [first[label].rpartition("/")[0].rpartition("/")[2] for label in range(num_classes)]
    if "" in folders or len(set(folders)) < num_classes:
        return tuple(map(str, range(num_classes)))
    return tuple(folders)
