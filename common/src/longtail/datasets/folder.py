"""Anybody's own images: one folder for each class."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from longtail.datasets.base import FileImages, ImageData, LongTailData
from longtail.datasets.findings import shown
from longtail.datasets.made import warn_of_fake
from longtail.datasets.mini_imagenet import FEW_SHOT
from longtail.datasets.published import IMAGENET_MEAN, IMAGENET_STD
from longtail.errors import UserError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm"})
"""What an image's name ends in, in lower or upper case."""

logger = logging.getLogger(__name__)


def load_folder(root: str | Path, *, image_size: int = 224, with_val: bool = False) -> LongTailData:
    """The images below `train/CLASS/`, `test/CLASS/` and, if there, `val/CLASS/`, at any depth.

    Classes are the class folders of all parts, sorted by name; images are sorted by path. Hidden files and folders do not
    count. Pictures come upright, as their EXIF orientation says.

    Args:
        root: folder that holds `train` and `test`.
        image_size: side in pixels that the network sees.
        with_val: also read `val`, where there is one.

    Raises:
        UserError: a part or its images are missing, or a class has no training image.
    """
    root = Path(root).expanduser()
    warn_of_fake(root, "your images")
    found = {part: _part(root, part) for part in ("train", "val", "test") if part != "val" or (root / part).is_dir()}
    classes = tuple(sorted(set().union(*(part.by_class for part in found.values()))))
    if not found["train"].classes & found["test"].classes:
        raise UserError(f"{root / 'train'} and {root / 'test'} have no class in common. {FEW_SHOT}")
    for name in classes:
        if not found["train"].by_class.get(name):
            raise UserError(f"class {name!r} has no image in {root / 'train'}.\n{_layout(root)}")
    others = [path for part in found.values() for path in part.others]
    if others:
        logger.warning("%s: ignored %d files that are not images in class folders, such as %s", root, len(others), others[0])
    return LongTailData(
        name="folder",
        train=_images(found["train"], root, classes),
        val=_images(found["val"], root, classes) if with_val and "val" in found else None,
        test=_images(found["test"], root, classes),
        image_size=image_size,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def _layout(root: Path) -> str:
    return (
        f"Expected: {root}/train/CLASS/... and {root}/test/CLASS/... (val/CLASS/... if you like), "
        f"images named {', '.join(f'*{extension}' for extension in sorted(EXTENSIONS))}"
    )


@dataclass
class ClassFolders:
    """The images below the class folders of one folder, by path relative to a root.

    Args:
        by_class: sorted paths for each class folder.
        others: files that are no images, or in no class folder.
        loops: links that lead to a folder that they lie in, or to themselves; nothing is looked for behind them.
    """

    by_class: dict[str, list[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, root: Path, name: str = "") -> ClassFolders:
        """The class folders in the folder `name` below the root, or in the root.

        Raises:
            UserError: a folder cannot be listed.
        """
        found = cls()
        top = Path(os.path.realpath(root / name))
        above = (str(top), *map(str, top.parents))
        try:
            for entry in visible(root / name):
                path = PurePosixPath(name, entry.name)
                inside = is_folder(entry)
                if inside:
                    found.by_class[entry.name] = list(found._images_below(root, path, above))
                else:
                    (found.loops if inside is None else found.others).append(str(path))
        except OSError as error:
            raise not_listed(error) from error
        return found

    @property
    def classes(self) -> frozenset[str]:
        """The classes that have an image."""
        return frozenset(name for name, paths in self.by_class.items() if paths)

    def _images_below(self, root: Path, folder: PurePosixPath, above: tuple[str, ...]) -> Iterator[str]:
        real = os.path.realpath(root / folder)
        if real in above:
            self.loops.append(str(folder))
            return
        for entry in visible(root / folder):
            path = folder / entry.name
            inside = is_folder(entry)
            if inside:
                yield from self._images_below(root, path, (*above, real))
            elif inside is None:
                self.loops.append(str(path))
            elif path.suffix.lower() in EXTENSIONS:
                yield str(path)
            else:
                self.others.append(str(path))


def is_folder(entry: os.DirEntry[str]) -> bool | None:
    """Whether it is, or leads to, a folder; None for a link that leads to itself."""
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return None


def _part(root: Path, name: str) -> ClassFolders:
    """The images of `train`, `val` or `test`."""
    if not (root / name).is_dir():
        instead = f" To be judged on {root / 'val'}, name it test." if name == "test" and (root / "val").is_dir() else ""
        raise UserError(f"there is no folder {root / name}.{instead}\n{_layout(root)}")
    part = ClassFolders.read(root, name)
    if not part.classes:
        raise UserError(f"there is no image in the class folders of {root / name}.\n{_layout(root)}")
    return part


def _images(part: ClassFolders, root: Path, classes: tuple[str, ...]) -> ImageData:
    counts = [len(part.by_class.get(name, ())) for name in classes]
    paths = tuple(path for name in classes for path in part.by_class.get(name, ()))
    return ImageData(FileImages(root, paths, upright=True), np.repeat(np.arange(len(classes)), counts), classes)


_OF_SYSTEMS = frozenset(
    (
        *("__macosx", "lost+found", "system volume information", "$recycle.bin", "#recycle", "@eadir"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini"),
    )
)
"""What file managers, archivers and network drives leave beside pictures, in lower case; some hold small copies of these."""


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name, without what is hidden or a system has left there."""
    with os.scandir(folder) as entries:
        kept = (each for each in entries if not each.name.startswith(".") and each.name.lower() not in _OF_SYSTEMS)
        return sorted(kept, key=lambda each: each.name)


def not_listed(error: OSError) -> UserError:
    """What a person is told of a folder that cannot be listed."""
    return UserError(f"cannot list {shown(error.filename)}: {error.strerror}\nallow reading it, or move it out of the data")
