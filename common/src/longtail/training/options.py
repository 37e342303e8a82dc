"""Fields of an options dataclass that carry their own help text, and the numbers that they may hold."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import field
from typing import Any


def option(default: Any, text: str, **argument: Any) -> Any:
    """A dataclass field whose metadata is its command-line option: `help` and whatever else `add_argument` takes."""
    return field(default=default, metadata={"help": text, **argument})


def at_least(least: int) -> Callable[[str], int]:
    """The type of an argument that is an integer from `least` on."""

    def convert(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {value}")
        return value

    convert.__name__ = "integer"  # argparse names the type where the text is no number at all
    return convert


def between(least: float, most: float = math.inf, *, least_excluded: bool = False) -> Callable[[str], float]:
    """The type of an argument that is a finite number in [`least`, `most`]."""
    low = f"greater than {least:g}" if least_excluded else f"at least {least:g}"
    wanted = low if most == math.inf else f"{low} and at most {most:g}"

    def convert(text: str) -> float:
        value = float(text)
        too_low = value <= least if least_excluded else value < least
        if not math.isfinite(value) or too_low or value > most:
            raise argparse.ArgumentTypeError(f"must be {wanted}, got {text}")
        return value

    convert.__name__ = "number"
    return convert


def truth(text: str) -> bool:
    """The type of an argument that says true or false; `bool` itself takes any text for true."""
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"must be True or False, got {text!r}")
    return words[text.lower()]
