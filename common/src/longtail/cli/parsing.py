"""The parser of the `longtail` command, and types of its arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NoReturn

from longtail.errors import UserError
from longtail.names import DATASETS


class _WithExamples(argparse.HelpFormatter):
    """Leaves the lines of examples as they are, and wraps all other texts."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are short, and whose flags are never abbreviated, so that a new flag breaks no old command.

    The examples of a command are its `epilog`, several lines that are printed as they are.

    Args:
        passed_on: name under which the namespace has the words after `--`, for commands that pass them on untouched.
        settings: see `argparse.ArgumentParser`.
    """

    def __init__(self, *, passed_on: str | None = None, **settings: Any) -> None:
        self._passed_on = passed_on
        super().__init__(**{"allow_abbrev": False, "formatter_class": _WithExamples, **settings})

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Raises UserError for a flag that is none of this command's, since the command above it would name its own help."""
        if self._passed_on is not None:
            words = list(sys.argv[1:] if args is None else args)
            end = words.index("--") if "--" in words else len(words)
            args, namespace = words[:end], namespace or argparse.Namespace()
            setattr(namespace, self._passed_on, words[end + 1 :])
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            meant = [_nearest(word, self._option_string_actions) for word in left if word.startswith("--")]
            self.error(f"unrecognized arguments: {' '.join(left)}{_asked(meant)}")
        return parsed, left

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += _asked([_nearest(str(value), map(str, action.choices or ()))])
            raise

    def error(self, message: str) -> NoReturn:
        """Raises UserError."""
        raise UserError(f"{message}\nsee {self.prog} --help")


def _nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that may have been meant; what follows `=` counts for nothing, and `_` is `-`."""
    by_spelling = {each.replace("_", "-"): each for each in known}
    near = get_close_matches(word.partition("=")[0].replace("_", "-"), by_spelling, n=1, cutoff=0.7)
    return by_spelling[near[0]] if near else None


def _asked(meant: Iterable[str | None]) -> str:
    words = " ".join(each for each in meant if each is not None)
    return f"; did you mean {words}?" if words else ""


def data_set(text: str) -> str:
    """The type of an argument that is a data set's name, or the path of somebody's own data, which becomes a whole one."""
    if text in DATASETS:
        return text
    from longtail.datasets.factory import known_or_there  # brings numpy

    try:
        return known_or_there(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def split_seed(text: str) -> int | None:
    """The type of an argument that is a split's seed, or `first` for a split without a draw, which is None."""
    if text == "first":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer of at least 0, or first, got {text!r}")
    return int(text)
