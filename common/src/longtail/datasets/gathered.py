"""What a folder or a table of somebody's own says: which images, of which class, in which part; nothing is judged yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from longtail.datasets.findings import Finding

UNDIVIDED = ""
"""The part of images of which nothing says whether they are to train or to test on."""

PART_WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""What people call the parts, in lower case."""

_PART_OF = {word: part for part, words in PART_WORDS.items() for word in words}

_OTHER_PICTURES = "heic heif avif jxl jp2 jfif svg pdf eps psd ico tga raw dng cr2 cr3 nef arw"
OTHER_PICTURES = frozenset(f".{ending}" for ending in _OTHER_PICTURES.split())
"""What the name of a picture ends in that is not read, in lower case."""


def part_of(word: str) -> str | None:
    """`train`, `val` or `test`, whatever the spelling; None for another word."""
    return _PART_OF.get(word.strip().lower())


@dataclass(frozen=True)
class Gathered:
    """Images by part.

    Args:
        form: how they were given, in a few words.
        root: folder that the paths are relative to.
        parts: path and class of each image, by part; `UNDIVIDED` alone, or some of `train`, `val` and `test`.
        findings: what was noticed on the way.
        numbered: classes are called by numbers, and in the order of these.
    """

    form: str
    root: Path
    parts: Mapping[str, Sequence[tuple[str, str]]]
    findings: tuple[Finding, ...] = ()
    numbered: bool = False

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of all parts, in order."""
        names = {name for images in self.parts.values() for _, name in images}
        return tuple(sorted(names, key=int) if self.numbered else sorted(names))
