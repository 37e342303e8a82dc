"""How the ranks that a command has started tell it why they ended, so that it is said once and not by every rank."""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path
from typing import NamedTuple

from longtail.errors import UserError

FOLDER = "LONGTAIL_FAILURES"
"""Environment variable that names the folder in which the starting command looks; unset where no such command listens."""

_MISTAKE, _BUG = ".mistake", ".bug"


class Failure(NamedTuple):
    """Why a rank ended: a user's mistake and its message, or a bug and its traceback."""

    rank: int
    is_mistake: bool
    text: str


def leave(error: Exception) -> bool:
    """Leave an error for the command that started this rank; False where none listens, so that it must be said here."""
    if FOLDER not in os.environ:
        return False
    is_mistake = isinstance(error, UserError)
    text = str(error) if is_mistake else "".join(traceback.format_exception(error))
    # the clock of one machine orders the files by their names
    name = f"{time.time_ns():020}-{os.environ.get('RANK', '0')}"
    unfinished = Path(os.environ[FOLDER]) / name
    try:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
        unfinished.rename(unfinished.with_suffix(_MISTAKE if is_mistake else _BUG))
    except OSError:
        return False
    return True


def read(folder: Path) -> list[Failure]:
    """What the ranks have left, the earliest first."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (_MISTAKE, _BUG))
    return [Failure(int(path.stem.split("-")[1]), path.suffix == _MISTAKE, path.read_text(encoding="utf-8")) for path in files]
