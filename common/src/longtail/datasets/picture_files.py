"""The files of a data set's pictures: what they are, which cannot be read, and which are odd."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from longtail.datasets.base import FileImages, ImageData
from longtail.datasets.decode import UnreadableImage
from longtail.datasets.findings import ERROR, NOTE, Finding, counted, examples, shown
from longtail.datasets.looks import Looks, look_at

Told = Callable[[str, int, int], None]
"""Is told what is being done, how far it is, and how far it goes."""

_DECODED = 400_000_000
"""Pixels that are read in any case: a few seconds. Of more pictures only the headers are."""
_BLOCK = 128
"""Files that a thread looks at before it looks for more work."""
_LONGISH = 8
"""A picture whose sides are further apart than this loses most of it to a square."""
_TINY = 16
"""Pixels of a side that leave little to see."""
_KINDS = {"L": "grey", "1": "black and white", "LA": "grey", "P": "palette", "PA": "palette", "CMYK": "CMYK", "YCbCr": "YCbCr"}
"""What modes of pictures that are no plain colour pictures are called."""


@dataclass(frozen=True)
class Pictures:
    """What the files of a data set are.

    Args:
        files: how many there are.
        decoded: of how many every pixel was read.
        formats, kinds: how many there are of each format, and of each kind that is no plain colour picture.
        smallest, largest: width and height of the pictures with the smallest and the largest shorter side; None without any.
        median_side: of the shorter sides, in pixels; None without pictures.
    """

    files: int
    decoded: int
    formats: Mapping[str, int]
    kinds: Mapping[str, int]
    smallest: tuple[int, int] | None
    largest: tuple[int, int] | None
    median_side: int | None


class PictureFile(NamedTuple):
    """part: of the data set; place: whole path; name: below the root; label: class."""

    part: str
    place: Path
    name: str
    label: int


def files_of(part: str, data: ImageData) -> Iterator[PictureFile]:
    """The files of a part; none of images in memory."""
    images = data.images
    if isinstance(images, FileImages):
        for file, path, label in zip(images.files, images.paths, data.labels.tolist(), strict=True):
            yield PictureFile(part, images.root / file, path, label)


Seen = dict[Path, "Looks | str"]
"""What a picture is, or why it cannot be read."""


def look_at_all(files: Sequence[PictureFile], decode: bool, told: Told) -> tuple[Pictures, list[Finding]]:
    """What the pictures are, and what is to be said of them.

    Args:
        files: of all parts.
        decode: read the pixels of all of them.
        told: is told how far it is.
    """
    places = list(dict.fromkeys(file.place for file in files))
    seen: Seen = _seen(places, decode, told)
    pixels = sum(each.width * each.height for each in seen.values() if isinstance(each, Looks))
    if not decode and pixels <= _DECODED:
        undecoded = [place for place, each in seen.items() if isinstance(each, Looks) and not each.decoded]
        seen.update(_seen(undecoded, True, told))
    looks = [each for each in seen.values() if isinstance(each, Looks)]
    return _summary(looks, len(places)), _of_pictures(files, seen)


def _seen(places: Sequence[Path], decode: bool, told: Told) -> Seen:
    what = "reading images" if decode else "looking at images"

    def look(block: Sequence[Path]) -> list[Looks | str]:
        return [_look(place, decode) for place in block]

    return dict(zip(places, in_blocks(look, places, what, told), strict=True))


def _look(place: Path, decode: bool) -> Looks | str:
    try:
        return look_at(place, decode=decode)
    except UnreadableImage as reason:
        return str(reason)


def in_blocks(work: Callable[[Sequence[Path]], list[Any]], places: Sequence[Path], what: str, told: Told) -> list[Any]:
    """The results of `work` on all places, in several threads.

    Args:
        work: takes some of the places.
        places: of files.
        what: what `told` is to say is being done.
        told: is told how far it is.
    """
    blocks = [places[first : first + _BLOCK] for first in range(0, len(places), _BLOCK)]
    results: list[Any] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(work, blocks):
            results += found
            told(what, len(results), len(places))
    return results


def _summary(looks: Sequence[Looks], files: int) -> Pictures:
    by_side = sorted(looks, key=lambda each: min(each.width, each.height))
    sizes = [(each.width, each.height) for each in by_side]
    return Pictures(
        files=files,
        decoded=sum(each.decoded for each in looks),
        formats=dict(Counter("JPEG" if each.format == "MPO" else each.format for each in looks).most_common()),
        kinds=dict(Counter(kind for each in looks if (kind := _kind(each)) is not None).most_common()),
        smallest=sizes[0] if sizes else None,
        largest=sizes[-1] if sizes else None,
        median_side=min(sizes[len(sizes) // 2]) if sizes else None,
    )


def _kind(looks: Looks) -> str | None:
    if looks.mode[0] in "I":
        return "16 bits"
    return "transparent" if looks.mode == "RGBA" else _KINDS.get(looks.mode)


def _of_pictures(files: Sequence[PictureFile], seen: Seen) -> list[Finding]:
    found = []
    named = {file.place: file.name for file in files}
    bad = {named[place]: reason for place, reason in seen.items() if isinstance(reason, str)}
    if bad:
        text = f"{counted(len(bad), 'image')} that cannot be read: {examples([f'{name} ({bad[name]})' for name in bad])}"
        remedy = "mend or delete them, or train with --on-bad-image skip, which leaves them out"
        found.append(Finding(ERROR, "unreadable", text, remedy, tuple(f"{name}: {reason}" for name, reason in bad.items())))
    for kind, what, remedy, applies in _ODDITIES:
        odd = [named[place] for place, each in seen.items() if isinstance(each, Looks) and applies(each)]
        if odd:
            found.append(Finding(NOTE, kind, f"{counted(len(odd), 'image')} {what}: {examples(odd)}", remedy, tuple(odd)))
    not_utf_8 = sorted({file.name for file in files if not file.name.isascii() and "\\x" in shown(file.name)})
    if not_utf_8:
        text = f"{counted(len(not_utf_8), 'file name')} not in UTF-8: {examples(not_utf_8)}"
        found.append(Finding(NOTE, "name-not-utf-8", text, "they are read as they are", tuple(not_utf_8)))
    return found


_ODDITIES: tuple[tuple[str, str, str, Callable[[Looks], bool]], ...] = (
    ("animation", "with moving pictures", "only the first picture counts", lambda each: each.animated),
    (
        "long-image",
        f"more than {_LONGISH} times as long as wide",
        "the square that the network sees shows little of it; cut it up, or take it out",
        lambda each: max(each.width, each.height) > _LONGISH * min(each.width, each.height),
    ),
    ("tiny-image", f"of less than {_TINY} pixels", "there is little to see", lambda each: min(each.width, each.height) < _TINY),
)
