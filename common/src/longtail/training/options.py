"""Options dataclasses, whose fields carry their own help text, and the flags that are made of them."""

from __future__ import annotations

import argparse
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import field, fields
from typing import Any, TypeVar

Options = TypeVar("Options")


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


_HOUSE_WORDS: dict[str, Callable[[str], Any]] = {
    "epochs": at_least(1),
    "batch_size": at_least(1),
    "lr": between(0, least_excluded=True),
    "momentum": between(0, 1),
    "weight_decay": between(0),
}
"""What every option of this name may be."""

_SHOWN_CHOICES = 40
"""Characters that a help text spends at most on showing choices in the place of the value; more of them get words."""


def add_options(
    group: argparse._ArgumentGroup,
    options: type[Any],
    *,
    only: Collection[str] | None = None,
    depending: Mapping[str, str] | None = None,
) -> None:
    """Add a flag for each field of a frozen options dataclass.

    A field `some_name` becomes `--some-name`, a boolean one also `--no-some-name`. The field's metadata holds `help` and
    whatever else `add_argument` takes; its annotation gives the type where the metadata does not.

    Args:
        group: where the flags go.
        options: the dataclass; every field has a default.
        only: names of the fields to offer; None offers all.
        depending: fields whose default hangs on other flags, by name, with the words that tell it; without the flag they are
            None.

    Raises:
        TypeError: a field's annotation is none that a flag can be made of.
    """
    annotations = typing.get_type_hints(options)
    for each in fields(options):
        if only is not None and each.name not in only:
            continue
        argument = _argument(each.name, annotations[each.name], each.metadata)
        depends_on = (depending or {}).get(each.name)
        default = each.default if depends_on is None else None
        action = group.add_argument(f"--{each.name.replace('_', '-')}", default=default, **argument)
        told = "%(default)s" if default is not None else depends_on
        # Python before 3.13 tells the default of a boolean by itself
        if told is not None and "%(default)s" not in str(action.help):
            action.help = f"{action.help} (default: {told})"


def read_options(arguments: argparse.Namespace, options: type[Options]) -> Options:
    """The dataclass out of parsed arguments; fields that no flag was made for keep their defaults."""
    names = {each.name for each in fields(options)}  # type: ignore[arg-type]
    given = {name: value for name, value in vars(arguments).items() if name in names}
    return options(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def _argument(name: str, annotation: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What `add_argument` takes of a field besides its default."""
    argument: dict[str, Any] = {"help": "", **metadata}
    kind = _without_none(annotation)
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction, **argument}
    if "type" not in argument:
        argument["type"] = _HOUSE_WORDS.get(name) or _plain(kind, name)
    if "choices" not in argument:
        return {"metavar": {int: "N", float: "X"}.get(kind, name.upper()), **argument}
    choices = [str(each) for each in argument["choices"]]
    if len(",".join(choices)) > _SHOWN_CHOICES:
        argument.setdefault("metavar", "NAME")
        if not all(re.search(rf"\b{re.escape(each)}\b", argument["help"]) for each in choices):
            argument["help"] += f": {', '.join(choices)}"
    return argument


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        (annotation,) = (each for each in typing.get_args(annotation) if each is not type(None))
    return annotation


def _plain(kind: Any, name: str) -> Any:
    if kind not in (int, float, str):
        raise TypeError(f"no flag can be made of field {name!r}: {kind} is not bool, int, float or str")
    return kind
