"""Yaml files read strictly: every value has a type, every mistake a line.

A value is read as its key's type asks, so `5e-4` is a number here, though it is text to YAML 1.1 and thus to PyYAML.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from longtail.errors import UserError

T = TypeVar("T")

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# 010 is 8 to YAML 1.1 and 10 to YAML 1.2; 1_000 and 1:30 are the numbers 1000 and 90 to the one, text to the other
_AMBIGUOUS = re.compile(r"[-+]?(0[0-9_]+|[0-9][0-9_]*_[0-9_]*|[0-9]+(:[0-5]?[0-9])+)(\.[0-9_]*)?")
_NULLS = ("", "~", "null", "Null", "NULL")
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Entry:
    """A value in a file, with its name from the top, such as `training_opt.batch_size`."""

    file: str
    name: str
    node: yaml.Node

    def error(self, problem: str) -> UserError:
        """The error that something is wrong with this value."""
        return UserError(f"{self.file}, line {self.node.start_mark.line + 1}: {self.name} {problem}")

    def shown(self) -> str:
        """The value as messages quote it."""
        if isinstance(self.node, yaml.ScalarNode):
            return f"the text {self.node.value!r}" if self.node.style else self.node.value or "nothing"
        return "a list" if isinstance(self.node, yaml.SequenceNode) else "a mapping"

    def scalar(self) -> str | None:
        """What stands there without quotes; None if there are quotes, or it is no scalar."""
        return self.node.value if isinstance(self.node, yaml.ScalarNode) and not self.node.style else None

    @property
    def is_null(self) -> bool:
        """Whether the value is null, or nothing at all."""
        return self.scalar() in _NULLS

    def mapping(self) -> dict[str, Entry]:
        """The entries of a mapping by key.

        Raises:
            UserError: this is no mapping.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"must be a mapping, got {self.shown()}")
        return {key.value: Entry(self.file, _joined(self.name, key.value), value) for key, value in self.node.value}

    def plain(self) -> Any:
        """The value as Python has it, for keys that have no type."""
        if isinstance(self.node, yaml.MappingNode):
            return {key: entry.plain() for key, entry in self.mapping().items()}
        if isinstance(self.node, yaml.SequenceNode):
            return [Entry(self.file, self.name, node).plain() for node in self.node.value]
        text = self.scalar()
        if text is None:
            return self.node.value
        if text in _NULLS or text.lower() in _TRUTHS:
            return _TRUTHS.get(text.lower())
        if _INTEGER.fullmatch(text):
            return int(text)
        return float(text) if _NUMBER.fullmatch(text) else text


Reader = Callable[[Entry], Any]
"""Makes a typed value of an entry, or raises a `UserError` that names its line."""


def read_file(path: Path) -> Entry:
    """The top of a yaml file.

    Raises:
        UserError: it cannot be read, is not yaml, or has a key twice.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not yaml: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not yaml: {error}") from error
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{path}: holds no keys; see the files of ./config/")
    top = Entry(str(path), "", node)
    _check_keys(top, ())
    return top


def _check_keys(entry: Entry, above: tuple[int, ...]) -> None:
    node = entry.node
    if id(node) in above:
        raise entry.error("contains itself")
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _check_keys(Entry(entry.file, entry.name, each), (*above, id(node)))
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        here = Entry(entry.file, _joined(entry.name, str(key.value)), key)
        if not isinstance(key, yaml.ScalarNode):
            raise Entry(entry.file, entry.name or "a key", key).error("must have plain words as keys")
        if key.value in seen:
            raise here.error(f"is there twice, first in line {seen[key.value]}")
        seen[key.value] = key.start_mark.line + 1
        _check_keys(Entry(entry.file, here.name, value), (*above, id(node)))


def _joined(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key


def _bare_number(entry: Entry, kind: str) -> str:
    text = entry.scalar()
    if text is not None and _AMBIGUOUS.fullmatch(text):
        raise entry.error(f"is ambiguous: programs disagree about which number {text} is; write it in plain decimal digits")
    pattern = _INTEGER if kind == "an integer" else _NUMBER
    if text is None or not pattern.fullmatch(text):
        remedy = "; take away the quotes" if text is None and pattern.fullmatch(str(entry.node.value)) else ""
        raise entry.error(f"must be {kind}, got {entry.shown()}{remedy}")
    return text


def integer(least: int = 0) -> Reader:
    """Reads an integer from `least` on."""

    def read(entry: Entry) -> int:
        value = int(_bare_number(entry, "an integer"))
        if value < least:
            raise entry.error(f"must be at least {least}, got {value}")
        return value

    return read


def number(least: float = 0.0, most: float = math.inf) -> Reader:
    """Reads a finite number in [`least`, `most`]."""

    def read(entry: Entry) -> float:
        value = float(_bare_number(entry, "a number"))
        if not least <= value <= most or math.isinf(value):
            raise entry.error(f"must be at least {least:g}" + f" and at most {most:g}" * (most < math.inf) + f", got {value:g}")
        return value

    return read


def text(entry: Entry) -> str:
    """Reads a non-empty text."""
    bare = entry.scalar()
    value = str(entry.node.value)
    looks_otherwise = bare is not None and (bare in _NULLS or bare.lower() in _TRUTHS or _NUMBER.fullmatch(bare))
    if not isinstance(entry.node, yaml.ScalarNode) or looks_otherwise or not value:
        raise entry.error(f"must be text, got {entry.shown()}")
    return value


def flag(entry: Entry) -> bool:
    """Reads true or false."""
    found = _TRUTHS.get((entry.scalar() or "").lower())
    if found is None:
        raise entry.error(f"must be true or false, got {entry.shown()}")
    return found


def choice(*values: str) -> Reader:
    """Reads one of these words."""

    def read(entry: Entry) -> str:
        value = entry.node.value if isinstance(entry.node, yaml.ScalarNode) else None
        if value not in values:
            raise entry.error(f"must be one of {', '.join(values)}, got {entry.shown()}")
        return str(value)

    return read


def optional(read: Reader) -> Reader:
    """Reads null as None, anything else as `read` does."""

    def read_unless_null(entry: Entry) -> Any:
        if entry.scalar() == "None":
            raise entry.error("is the text None, which yaml does not take for nothing; write null")
        return None if entry.is_null else read(entry)

    return read_unless_null


def key(read: Reader, default: Any = MISSING, *, name: str | None = None) -> Any:
    """A dataclass field that a yaml key fills.

    Args:
        read: the type of its value.
        default: its value where the file has no such key; without one, the file must have it.
        name: the key, if it is not called as the field is.
    """
    return field(default=default, metadata={"read": read, "key": name})


def key_of(each: Any) -> str:
    """The yaml key of a dataclass field."""
    return str(each.metadata["key"] or each.name)


@dataclass(frozen=True)
class Unread:
    """Keys of a section that fill no field.

    Args:
        ignored: those that have no effect whatever they say.
        fixed: those that can say one thing alone, since the paper's files say nothing else.
    """

    ignored: Collection[str] = ()
    fixed: Mapping[str, bool | int | None] = field(default_factory=dict)


@dataclass
class Reading:
    """What reading a file finds out besides the values.

    Args:
        no_effect: names of keys that are there for nothing.
        others: values of all keys that fill no field, by name.
    """

    no_effect: list[str] = field(default_factory=list)
    others: dict[str, Any] = field(default_factory=dict)

    def section(self, entry: Entry, kind: type[T], unread: Unread = Unread()) -> T:
        """The dataclass that a mapping fills.

        Raises:
            UserError: a key is missing or unknown, or its value is not what it should be.
        """
        entries = entry.mapping()
        known = {key_of(each): each for each in fields(kind) if "read" in each.metadata}  # type: ignore[arg-type]
        self.set_aside(entry, unread, known)
        missing = [name for name, each in known.items() if each.default is MISSING and name not in entries]
        if missing:
            raise missing_keys(entry, missing)
        return kind(**{each.name: each.metadata["read"](entries[name]) for name, each in known.items() if name in entries})

    def set_aside(self, entry: Entry, unread: Unread, known: Collection[str]) -> None:
        """Note the keys of a mapping that are not among `known`.

        Raises:
            UserError: a key is unknown, or says what it cannot say.
        """
        for name, each in entry.mapping().items():
            if name in known:
                continue
            if name in unread.fixed:
                self._check_fixed(each, unread.fixed[name])
            elif name in unread.ignored:
                self.no_effect.append(each.name)
            else:
                raise unknown_key(entry, name, [*known, *unread.fixed, *unread.ignored])
            self.others[each.name] = each.plain()

    def _check_fixed(self, entry: Entry, value: bool | int | None) -> None:
        found = entry.plain()
        if type(found) is not type(value) or found != value:
            word = "null" if value is None else str(value).lower()
            raise entry.error(f"can only be {word}, as in all of the paper's files; nothing else is offered")


def missing_keys(entry: Entry, names: Collection[str]) -> UserError:
    """The error that a section lacks these keys."""
    listed = ", ".join(_joined(entry.name, name) for name in names)
    where = f", line {entry.node.start_mark.line + 1}" if entry.name else ""
    return UserError(f"{entry.file}{where}: missing: {listed}")


def unknown_key(entry: Entry, name: str, known: Collection[str]) -> UserError:
    """The error that a section has a key that does not exist, with the nearest that does."""
    key_node = next(node for node, _ in entry.node.value if node.value == name)
    near = difflib.get_close_matches(name, list(known), n=1)
    remedy = f"did you mean {near[0]}?" if near else f"the keys here are {', '.join(sorted(known))}"
    return Entry(entry.file, _joined(entry.name, name), key_node).error(f"is not a known key; {remedy}")


def nested(flat: Mapping[str, Any], into: dict[str, Any]) -> dict[str, Any]:
    """Put values with names such as `a.b.c` into nested dictionaries, in place."""
    for name, value in flat.items():
        *sections, last = name.split(".")
        place = into
        for each in sections:
            place = place.setdefault(each, {})
        place[last] = value
    return into


def values_of(section: Any) -> Iterator[tuple[str, Any]]:
    """The yaml keys and values of a dataclass that `Reading.section` filled."""
    for each in fields(section):
        if "read" in each.metadata:
            value = getattr(section, each.name)
            yield key_of(each), list(value) if isinstance(value, tuple) else value
