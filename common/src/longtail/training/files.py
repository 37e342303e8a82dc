"""Writing so that a crash or a full disk never costs a file that was already there."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from longtail.errors import UserError


def make_folder(folder: Path) -> None:
    """Make a folder and its parents.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def demand_writable(*paths: Path, force: bool) -> None:
    """Find out before long work whether its results will have a place; makes their folders.

    Args:
        paths: of the files.
        force: files that are there will be replaced.

    Raises:
        UserError: a file is there, a folder is in its place, or nothing can be written there.
    """
    for path in paths:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the name of a file")
        if path.exists() and not force:
            raise UserError(f"{path} is there already; --force replaces it")
        make_folder(path.parent)
        try:
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a temporary file beside it, fsync, then rename.

    Raises:
        UserError: the content could not be written; a file that was at `path` is as it was.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        os.replace(temporary, path)  # noqa: PTH105 - the name says what matters here
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise UserError(f"cannot write {path}: {error.strerror or error}; what was there before is untouched") from error


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; not-a-number is refused, since JSON has none."""
    write_atomically(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: there is none, or it is damaged.
    """
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


class AppendedFile:
    """A log that grows by whole writes, and can be cut back to where a checkpoint left it.

    Args:
        path: the file.
        size: bytes to keep of what is there; 0 starts anew, None keeps all of it.
    """

    def __init__(self, path: Path, size: int | None) -> None:
        self.path = path
        try:
            with path.open("ab") as file:
                if size is not None and size < file.tell():
                    file.truncate(size)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error

    def append(self, text: str) -> None:
        """Add text at the end; it is in the file when this returns."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from error

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.path.stat().st_size
