"""Images that occur more than once, by their contents."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from longtail.datasets.base import PARTS, ArrayImages, ImageData
from longtail.datasets.findings import NOTE, WARNING, Finding, counted, examples, shown
from longtail.datasets.picture_files import PictureFile, Told, in_blocks


class Copy(NamedTuple):
    """One of several images with the same contents.

    part: of the data set; name: below the root; label: class.
    """

    part: str
    name: str
    label: int


def copies_of(files: Sequence[PictureFile], told: Told) -> list[list[Copy]]:
    """The images that occur more than once; only files of the same length are read.

    Args:
        files: of all parts.
        told: is told how far it is.
    """
    by_length: defaultdict[int, set[Path]] = defaultdict(set)
    for file in files:
        length = _length(file.place)
        if length:
            by_length[length].add(file.place)
    alike = [place for places in by_length.values() if len(places) > 1 for place in sorted(places)]

    def digests(block: Sequence[Path]) -> list[bytes | None]:
        return [_digest(place) for place in block]

    digest = dict(zip(alike, in_blocks(digests, alike, "looking for copies", told), strict=True))
    groups: defaultdict[object, list[Copy]] = defaultdict(list)
    for file in files:
        groups[digest.get(file.place) or file.place].append(Copy(file.part, file.name, file.label))
    return [group for group in groups.values() if len(group) > 1]


def _length(place: Path) -> int:
    try:
        return place.stat().st_size
    except OSError:  # told of as unreadable
        return 0


def _digest(place: Path) -> bytes | None:
    try:
        return hashlib.blake2b(place.read_bytes(), digest_size=16).digest()
    except OSError:
        return None


def copies_in_memory(parts: Mapping[str, ImageData]) -> list[list[Copy]]:
    """The images in memory that occur more than once, in the parts of these names."""
    groups: defaultdict[bytes, list[Copy]] = defaultdict(list)
    for part, data in parts.items():
        if isinstance(data.images, ArrayImages):
            for at, (image, label) in enumerate(zip(data.images.array, data.labels.tolist(), strict=True)):
                groups[hashlib.blake2b(image.tobytes(), digest_size=16).digest()].append(Copy(part, f"{part}[{at}]", label))
    return [group for group in groups.values() if len(group) > 1]


def told_of_copies(groups: Sequence[Sequence[Copy]], class_names: Sequence[str]) -> Iterator[Finding]:
    """What is said of images that occur more than once."""
    for one, other in combinations(PARTS, 2):
        leaks = [group for group in groups if {one, other} <= {copy.part for copy in group}]
        if leaks:
            of_other = [copy.name for group in leaks for copy in group if copy.part == other]
            text = f"{counted(len(of_other), 'image')} of {other} also in {one}, the same bytes: {examples(of_other)}"
            remedy = f"delete all but one of each, or the accuracy on {other} flatters"
            yield Finding(WARNING, f"copies-in-{one}-and-{other}", text, remedy, tuple(of_other))
    disputed = [group for group in groups if len({copy.label for copy in group}) > 1]
    if disputed:
        labels = " and ".join(sorted({shown(class_names[copy.label]) for copy in disputed[0]}))
        names = [copy.name for group in disputed for copy in group]
        text = f"{counted(len(disputed), 'image')} in more than one class: {examples(names)} ({labels})"
        yield Finding(WARNING, "copies-in-two-classes", text, "keep each in one class", tuple(names))
    repeated = [[copy.name for copy in group if copy.part == "train"][1:] for group in groups]
    extra = [name for names in repeated for name in names]
    if extra:
        text = f"{counted(len(extra), 'training image')} more than once, the same bytes: {examples(extra)}"
        yield Finding(
            NOTE, "copies-in-train", text, "they count more than once; delete them, unless that is meant", tuple(extra)
        )
