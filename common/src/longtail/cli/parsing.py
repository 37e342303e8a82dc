"""The parser of the `longtail` command, and command-line options made from dataclasses."""

from __future__ import annotations

import argparse
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

from longtail.errors import UserError
from longtail.training.options import at_least, between

Options = TypeVar("Options")


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
    from longtail.datasets.factory import known_or_there

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


_HOUSE_WORDS: dict[str, Callable[[str], Any]] = {
    "epochs": at_least(1),
    "batch_size": at_least(1),
    "lr": between(0, least_excluded=True),
    "momentum": between(0, 1),
    "weight_decay": between(0),
}
"""What every method's option of this name may be."""


def add_options(group: argparse._ArgumentGroup, options: type[Any], *, only: Collection[str] | None = None) -> None:
    """Add a flag for each field of a frozen options dataclass.

    A field `some_name` becomes `--some-name`, a boolean one also `--no-some-name`. The field's metadata holds `help` and
    whatever else `add_argument` takes; its annotation gives the type where the metadata does not.

    Args:
        group: where the flags go.
        options: the dataclass; every field has a default.
        only: names of the fields to offer; None offers all.

    Raises:
        TypeError: a field's annotation is none that a flag can be made of.
    """
    annotations = typing.get_type_hints(options)
    for each in fields(options):
        if only is not None and each.name not in only:
            continue
        argument: dict[str, Any] = {"help": "", **each.metadata}
        kind = _without_none(annotations[each.name])
        if kind is bool:
            argument["action"] = argparse.BooleanOptionalAction
        elif "type" not in argument:
            argument["type"] = _HOUSE_WORDS.get(each.name) or _plain(kind, each.name)
        if "choices" not in argument and kind is not bool:
            argument.setdefault("metavar", {int: "N", float: "X"}.get(kind, each.name.upper()))
        action = group.add_argument(f"--{each.name.replace('_', '-')}", default=each.default, **argument)
        # Python before 3.13 tells the default of a boolean by itself
        if each.default is not None and "%(default)s" not in str(action.help):
            action.help = f"{action.help} (default: %(default)s)"


def read_options(arguments: argparse.Namespace, options: type[Options]) -> Options:
    """The dataclass out of parsed arguments; fields that no flag was made for keep their defaults."""
    names = {each.name for each in fields(options)}  # type: ignore[arg-type]
    given = {name: value for name, value in vars(arguments).items() if name in names}
    return options(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        (annotation,) = (each for each in typing.get_args(annotation) if each is not type(None))
    return annotation


def _plain(kind: Any, name: str) -> Any:
    if kind not in (int, float, str):
        raise TypeError(f"no flag can be made of field {name!r}: {kind} is not bool, int, float or str")
    return kind
