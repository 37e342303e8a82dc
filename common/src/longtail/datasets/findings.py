"""What is to be told of somebody's data, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

ERROR, WARNING, NOTE = "error", "warning", "note"
"""Prevents training; spoils its result, perhaps; is good to know."""

LEVELS = (ERROR, WARNING, NOTE)

_EXAMPLES = 3
"""Names that a text tells; all are in `Finding.items`."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        level: one of `LEVELS`.
        kind: what it is, in a word that never changes.
        text: what it is and where, in a sentence without a full stop.
        remedy: what to do, or why nothing needs to be done; may be empty.
        items: the files, classes or links that it is about.
    """

    level: str
    kind: str
    text: str
    remedy: str = ""
    items: tuple[str, ...] = field(default=())

    @property
    def message(self) -> str:
        """Text and remedy, one a line."""
        return f"{self.text}\n{self.remedy}" if self.remedy else self.text


def shown(name: str | os.PathLike[str]) -> str:
    """A file's name as a terminal can show it: what is not UTF-8, or would move the cursor, is escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def examples(names: Sequence[str]) -> str:
    """The first few of some names."""
    told = ", ".join(shown(name) for name in names[:_EXAMPLES])
    return f"{told}, ..." if len(names) > _EXAMPLES else told


def counted(count: int, thing: str, things: str | None = None) -> str:
    """A number with its noun, as in `1 image`, `2,400 images`."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"
