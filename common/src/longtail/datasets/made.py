"""The mark of a data set that was made of another one: how, and whether of generated pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail.datasets.fake_size import generated, say_generated
from longtail.datasets.staging import read_marker, write_marker

MARKER = "longtail-made.json"
"""File that marks a folder as made of another data set."""


@dataclass(frozen=True)
class Made:
    """What the marker says.

    Args:
        settings: all that decides what the files hold.
        parts: what each part holds, in words.
        fake: the images were generated.
    """

    settings: Mapping[str, Any]
    parts: Mapping[str, str]
    fake: bool

    def mark(self, folder: Path) -> None:
        """Write the marker into this folder."""
        told = {"note": "Made by longtail of another data set.", "settings": self.settings}
        write_marker(folder / MARKER, {**told, "parts": self.parts, "fake": self.fake})


def made(folder: Path) -> Made | None:
    """What the marker in this folder says, or None where there is no marker.

    Raises:
        UserError: the marker is damaged.
    """
    remedy = "delete it with what was made beside it, and make the data set again"
    return read_marker(folder / MARKER, _understood, remedy=remedy)


def _understood(told: Any) -> Made:
    parts = {str(part): str(words) for part, words in dict(told["parts"]).items()}
    return Made(dict(told["settings"]), parts, bool(told["fake"]))


def warn_of_fake(folder: Path, instead_of: str) -> None:
    """Say in the log if the images in this folder were generated, here or before they were brought here.

    Raises:
        UserError: a marker is damaged.
    """
    from_elsewhere = made(folder)
    if generated(folder) is not None or (from_elsewhere is not None and from_elsewhere.fake):
        say_generated(folder, instead_of)
