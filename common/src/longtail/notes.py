"""What a command tells the program that has started it, where that one asks: it names a file, and finds notes in it.

Lines on a terminal are for people, and change; these are for programs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

FILE = "LONGTAIL_NOTES"
"""The environment variable that names the file; without it nothing is noted."""

RUN = "run"
"""The folder of a run that has begun."""
OTHER_DATA = "other_data"
"""In words, why the data that were loaded are not those of the published results."""


def leave(kind: str, value: str) -> None:
    """Add a note for whoever has started this process.

    Args:
        kind: `RUN` or `OTHER_DATA`.
        value: what there is to say.
    """
    if os.environ.get(FILE):
        with Path(os.environ[FILE]).open("a", encoding="utf-8") as file:
            file.write(json.dumps({kind: value}) + "\n")


def read(path: Path) -> dict[str, list[str]]:
    """The notes in a file by their kind, each once, in the order in which they were left."""
    found: dict[str, list[str]] = {RUN: [], OTHER_DATA: []}
    for line in path.read_text(encoding="utf-8").splitlines():
        for kind, value in json.loads(line).items():
            if value not in found[kind]:
                found[kind].append(value)
    return found
