"""Writing a data set into a folder: whole or not at all, and never over anything."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from longtail.errors import UserError

_Told = TypeVar("_Told")


def write_marker(marker: Path, told: Mapping[str, Any]) -> None:
    """Mark a folder as written by us, with what is to be told of its data."""
    marker.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def read_marker(marker: Path, understand: Callable[[Any], _Told], *, remedy: str) -> _Told | None:
    """What a marker tells, or None where there is none.

    Args:
        marker: the file.
        understand: makes something of its content.
        remedy: what to do about a marker that is damaged.

    Raises:
        UserError: the marker is damaged.
    """
    if not marker.is_file():
        return None
    try:
        return understand(json.loads(marker.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{marker} is damaged; {remedy}") from error


def is_written(
    target: Path, found: Mapping[str, Any] | None, asked: Mapping[str, Any], *, kind: str, partial: str, shared: bool = False
) -> bool:
    """Whether `target` holds just the data that are asked for.

    Args:
        target: the folder, there or not.
        found: the settings of what was written there before, as its marker says; None without a marker.
        asked: the settings of what shall be there, with the same keys.
        kind: what such data are called.
        partial: name of the folder that an interrupted writing leaves behind.
        shared: the folder may hold other things as well.

    Raises:
        UserError: it is a file, or holds anything else than `asked`.
    """
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file; {kind} need a folder")
    if found is None:
        if shared or not target.is_dir() or all(entry.name == partial for entry in target.iterdir()):
            return False
        raise UserError(f"{target} is not empty and not {kind} of ours; choose another folder, so that nothing is lost")
    different = [f"{name} {found.get(name)}, not {value}" for name, value in asked.items() if found.get(name) != value]
    if different:
        raise UserError(f"{target} holds other {kind} ({'; '.join(different)}); delete those or choose another folder")
    return True


@contextmanager
def staged(target: Path, partial: str, last: Sequence[str]) -> Iterator[Path]:
    """A folder inside `target` whose contents move up when all is written: half a data set is never taken for a whole one.

    Args:
        target: where the contents go.
        partial: name of the folder; what an interrupted writing has left of it is deleted.
        last: what moves after everything else, in this order: that without which nobody takes the rest for a data set.

    Raises:
        UserError: something is in the place of what was written.
    """
    folder = target / partial
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        rank = {name: place for place, name in enumerate(last, start=1)}
        written = sorted(folder.iterdir(), key=lambda entry: rank.get(entry.name, 0))
        in_the_way = [entry.name for entry in written if os.path.lexists(target / entry.name)]
        if in_the_way:
            raise UserError(f"{target} holds {', '.join(in_the_way)} already; choose another folder, so that nothing is lost")
        for entry in written:
            entry.rename(target / entry.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
