"""Fields of an options dataclass that carry their own help text."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def option(default: Any, text: str, **argument: Any) -> Any:
    """A dataclass field whose metadata is its command-line option: `help` and whatever else `add_argument` takes."""
    return field(default=default, metadata={"help": text, **argument})
