"""What a made data set holds, and its files: tables with the images beside them, or a folder for each class."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple

import numpy as np

from longtail.datasets.published import Extent
from longtail.datasets.tables import TABLES
from longtail.errors import UserError

HEADER = ("img", "label")
_BLOCK = 256
"""Images that a thread writes before it looks for more work."""


class Sample(NamedTuple):
    """An image of a part.

    label: its class.
    path: where it lies below the folder, as a table says.
    image: what `Contents.write` makes the file of.
    """

    label: int
    path: str
    image: Any


@dataclass(frozen=True)
class Contents:
    """What a data set holds before it is written.

    Args:
        class_names: C names of folders.
        parts: the images of `train`, `test` and perhaps `val`, in order.
        write: makes the file of an image.
        fake: the images were generated.
        remark: how the training images were chosen, in a few words.
        tables: files to copy as the tables, by part; those of other parts are made of the images.
        there: folder in which the images lie already, each at its path; None where they are to be written.
    """

    comes_last: ClassVar[tuple[str, ...]] = ("train", "train.csv")
    """That without which nobody takes the other files for a data set."""

    class_names: tuple[str, ...]
    parts: Mapping[str, Sequence[Sample]]
    write: Callable[[Any, Path], None]
    fake: bool
    remark: str
    tables: Mapping[str, Path] = field(default_factory=dict)
    there: Path | None = None

    def told(self) -> dict[str, str]:
        """What each part holds, in words."""
        counts = {part: np.bincount([sample.label for sample in samples]) for part, samples in self.parts.items()}
        told = {part: str(Extent.of(of_part)) for part, of_part in counts.items()}
        if "val" in self.parts and self._images("val") == self._images("test"):
            told["val"] = "the images of test"
        return told | {"train": f"{told['train']}; {self.remark}"}

    def _images(self, part: str) -> list[Any]:
        return [sample.image for sample in self.parts[part]]

    def save(self, folder: Path, *, class_folders: bool) -> None:
        """Write the images and the tables, or the images alone.

        Args:
            folder: where to; an empty folder.
            class_folders: the images go to PART/CLASS/NAME, and there are no tables.
        """
        if class_folders:
            files = {
                f"{part}/{self.class_names[sample.label]}/{PurePosixPath(sample.path).name}": sample.image
                for part, samples in self.parts.items()
                for sample in samples
            }
        else:
            files = {sample.path: sample.image for samples in self.parts.values() for sample in samples}
            for part in self.parts:
                self._save_table(part, folder)
        if self.there is None:
            self._save_images(files, folder)

    def _save_table(self, part: str, folder: Path) -> None:
        path = folder / TABLES[part]
        if part in self.tables:
            shutil.copyfile(self.tables[part], path)
            return
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEADER)
            writer.writerows((sample.path, sample.label) for sample in self.parts[part])

    def _save_images(self, files: Mapping[str, Any], folder: Path) -> None:
        for path in files:
            if "\n" in path or "\r" in path:
                raise UserError(f"the name {path!r} has a line end in it, which a table cannot hold; rename the file")
        for parent in {os.path.dirname(path) for path in files}:  # noqa: PTH120 - 60,000 paths need no path objects
            (folder / parent).mkdir(parents=True, exist_ok=True)
        todo = list(files.items())

        def write(block: Sequence[tuple[str, Any]]) -> None:
            for path, image in block:
                self.write(image, folder / path)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(write, (todo[first : first + _BLOCK] for first in range(0, len(todo), _BLOCK))):
                pass
