"""Images that a person points at: files, folders, patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from longtail.datasets.findings import shown
from longtail.datasets.folder import EXTENSIONS, visible
from longtail.errors import UserError


def find_images(words: Sequence[str | Path]) -> list[Path]:
    """The images that some words name, each once, in the order of the words.

    A file counts whatever its name ends in. A folder stands for all images below it, sorted by path, hidden ones left out. A
    word that is neither is a pattern with `*`, `?`, `[...]` or `**`, whose matches count as if they had been written out.

    Args:
        words: files, folders and patterns.

    Raises:
        UserError: nothing is there, a folder has no image, or it cannot be listed.
    """
    found: dict[Path, None] = {}
    for word in words:
        found.update(dict.fromkeys(_meant(Path(word).expanduser())))
    return list(found)


def _meant(path: Path) -> list[Path]:
    if path.is_dir():
        images = list(_below(path, ()))
        if not images:
            raise UserError(
                f"there is no image in {shown(path)}; images are named {', '.join(f'*{each}' for each in sorted(EXTENSIONS))}"
            )
        return images
    if os.path.lexists(path):
        return [path]
    if not glob.has_magic(str(path)):
        raise UserError(f"there is no file or folder {shown(path)}")
    matches = [Path(each) for each in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - Path.glob takes no absolute pattern
    images = [each for match in matches if match.is_file() for each in (match,) if each.suffix.lower() in EXTENSIONS]
    folders = [match for match in matches if match.is_dir()]
    images += [each for folder in folders for each in _below(folder, ())]
    if not images:
        raise UserError(f"no image matches {shown(path)}")
    return images


def _below(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:  # a link to a folder that it lies in
        return
    try:
        entries = visible(folder)
    except OSError as error:
        raise UserError(f"cannot list {shown(folder)}: {error.strerror or error}") from error
    for entry in entries:
        path = folder / entry.name
        with suppress(OSError):  # a link to itself
            if entry.is_dir():
                yield from _below(path, (*above, real))
            elif path.suffix.lower() in EXTENSIONS:
                yield path
