"""What `longtail compare` compares: methods, each with options of its own, written as short texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError
from longtail.training.registry import installed_methods

if TYPE_CHECKING:
    from longtail.training.method import Method

SHORT_NAMES: dict[str, tuple[str, dict[str, str]]] = {
    "ce": ("erm", {"loss": "ce"}),
    "bs": ("erm", {"loss": "balanced_softmax"}),
    "la": ("erm", {"loss": "logit_adjustment"}),
    "ldam": ("erm", {"loss": "ldam"}),
    "ldam-drw": ("erm", {"loss": "ldam", "train_rule": "drw"}),
    "cb": ("erm", {"loss": "class_balanced"}),
    "focal": ("erm", {"loss": "focal"}),
    "rw": ("erm", {"train_rule": "reweight"}),
    "drw": ("erm", {"train_rule": "drw"}),
    "resample": ("erm", {"order": "class_aware"}),
}
"""Plain training with a usual remedy: the method and its options."""

NOTATION = (
    "NAME, or NAME:option=value,option=value: a method of longtail methods or a short name, with options of longtail train "
    "NAME; several values of one option have / between them"
)


@dataclass(frozen=True)
class Contender:
    """One line of a comparison.

    Args:
        label: what the table calls it.
        method: an installed method's name.
        options: the method's options that differ from their defaults, by field.
    """

    label: str
    method: str
    options: dict[str, Any]


def read_contenders(texts: Sequence[str], shared: Mapping[str, Any]) -> list[Contender]:
    """What the texts name, in their order.

    Args:
        texts: each a contender or several with commas between them. A piece `option=value` belongs to the contender before it.
        shared: options for every contender that does not set them itself, by field; None leaves a method's default.

    Raises:
        UserError: there is no such method or option, an option cannot have the value, or a contender comes twice,
            be it under two names.
    """
    contenders = [_contender(text, shared) for text in split(texts)]
    if not contenders:
        raise UserError("there is no method to compare")
    labels = [each.label for each in contenders]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"{label!r} is named twice")
    _refuse_twins(contenders)
    return contenders


def _refuse_twins(contenders: Sequence[Contender]) -> None:
    """Two names of one thing would be trained twice to the same bits, and look like a finding."""
    from longtail.training.method import load_method

    seen: dict[tuple[str, str], str] = {}
    for each in contenders:
        what = (each.method, repr(load_method(each.method).options(**each.options)))
        if what in seen:
            raise UserError(f"{seen[what]!r} and {each.label!r} are the same: {each.method} with the same options")
        seen[what] = each.label


def split(texts: Sequence[str]) -> list[str]:
    """The contenders of texts that may hold several each."""
    found: list[str] = []
    for text in texts:
        for number, piece in enumerate(filter(None, (each.strip() for each in text.split(",")))):
            continues = "=" in piece and ":" not in piece.partition("=")[0]
            if not continues:
                found.append(piece)
            elif number == 0 or not found:
                raise UserError(f"{piece!r} does not say whose option it is; write NAME:{piece}")
            else:
                found[-1] += ("," if ":" in found[-1] else ":") + piece
    return found


def _contender(text: str, shared: Mapping[str, Any]) -> Contender:
    name, _, given = text.partition(":")
    method_name, options = SHORT_NAMES.get(name, (name, {}))
    if method_name not in installed_methods():
        known = ", ".join([*installed_methods(), *SHORT_NAMES])
        raise UserError(f"no method or short name {name!r}; there are {known}\nA contender is {NOTATION}.")
    from longtail.training.method import load_method

    method = load_method(method_name)
    own = _pairs(given, text)
    known_fields = [each.name for each in fields(method.options)]
    for option in own:
        if option not in known_fields:
            raise UserError(f"{text!r}: {method_name} has no option {option!r}; it has {', '.join(known_fields)}")
    common = {option: value for option, value in shared.items() if value is not None and option in known_fields}
    return Contender(text, method_name, {**common, **_values(method, {**options, **own}, text)})


def _pairs(text: str, whole: str) -> dict[str, str]:
    pairs = {}
    for piece in filter(None, text.split(",")):
        option, equals, value = piece.partition("=")
        if not equals:
            raise UserError(f"{whole!r}: {piece!r} is no option=value")
        pairs[option.strip().replace("-", "_")] = value.strip()
    return pairs


def _values(method: Method, given: Mapping[str, str], whole: str) -> dict[str, Any]:
    """The texts as the values that `longtail train` would make of them."""
    from longtail.cli.parsing import Parser
    from longtail.training.options import add_options, read_options, truth

    parser = Parser(prog=f"longtail train {method.name}", add_help=False)
    add_options(parser.add_argument_group(), method.options)
    actions = {action.dest: action for action in parser._actions}
    words: list[str] = []
    try:
        for option, value in given.items():
            flag = option.replace("_", "-")
            if actions[option].nargs == 0:
                words.append(f"--{flag}" if truth(value) else f"--no-{flag}")
            elif actions[option].nargs is None:
                words.append(f"--{flag}={value}")
            else:
                words += [f"--{flag}", *value.split("/")]
        options = read_options(parser.parse_args(words), method.options)
    except Exception as error:
        raise UserError(f"{whole!r}: {error}") from error
    return {option: getattr(options, option) for option in given}
