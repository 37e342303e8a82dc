"""What papers have published, and the commands that they say give it. Free of torch, so that it can be listed at once.

A package offers its own under the entry-point group `GROUP`, as a tuple of `Published`. Nothing in it is from memory: every
figure and every command has a source, and what no source tells is left out, and called unknown where it is shown.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points

GROUP = "longtail.published"
"""The entry-point group under which packages offer what was published about their methods."""

TEST = "the best epoch on the test set"
UNKNOWN = "unknown"
"""How the epoch was chosen that a figure belongs to."""

METRICS = {"accuracy": "all", "many": "many", "medium": "medium", "few": "few"}
"""What figures are of, as `run.json` calls it, with the heading that it has in tables."""

_SHARED_WHERE = frozenset(
    {
        *("device", "gpu", "seed", "compile", "channels_last", "precision"),
        *("resume_auto", "checkpoint_every", "on_bad_image", "progress"),
    }
)
"""Flags of all scripts that do not change what is computed, but for rounding and chance."""


@dataclass(frozen=True)
class Command:
    """A command of a paper, and what is behind it.

    Args:
        line: as it is given in a shell: `python`, a script, its flags.
        console: what the script calls.
        create_parser: makes the script's parser.
        where: the script's own flags that say where files are or how it works, by their names in a namespace.
    """

    line: str
    console: Callable[[], None]
    create_parser: Callable[[], argparse.ArgumentParser]
    where: frozenset[str] = frozenset()

    @property
    def script(self) -> str:
        """The script's file name."""
        return shlex.split(self.line)[1]

    @property
    def words(self) -> list[str]:
        """The arguments of the script."""
        return shlex.split(self.line)[2:]

    def with_flags(self, flags: Sequence[str]) -> str:
        """The line with more flags at its end."""
        return " ".join([self.line, *map(shlex.quote, flags)])

    def knows(self, flags: Sequence[str]) -> bool:
        """Whether the script has these flags; one that it has with an impossible value ends the program, as in the script."""
        return not self._parser().parse_known_args(flags)[1]

    def changed(self, flags: Sequence[str]) -> list[str]:
        """What flags at the end of the line change of what is computed, such as `--epochs 3 instead of 200`."""
        parser = self._parser()
        plain, given = (vars(parser.parse_args(words)) for words in (self.words, [*self.words, *flags]))
        differing = (name for name in plain if given[name] != plain[name] and name not in self.where | _SHARED_WHERE)
        return [f"{_flag(parser, name)} {_told(given[name])}{_instead(plain[name])}" for name in differing]

    def _parser(self) -> argparse.ArgumentParser:
        parser = self.create_parser()
        parser.prog = self.script
        return parser


def _flag(parser: argparse.ArgumentParser, name: str) -> str:
    spellings = next(each.option_strings for each in parser._actions if each.dest == name)
    return next((each for each in spellings if each.startswith("--")), spellings[0])


def _instead(value: object) -> str:
    return "" if value is None or value == "" else f" instead of {_told(value)}"


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@dataclass(frozen=True)
class Reruns:
    """What others got who ran a command again.

    Args:
        who: they are.
        accuracies: in percent, one for each seed.
    """

    who: str
    accuracies: tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """One result that was published.

    Args:
        name: short, unique among those of the method.
        title: what was trained.
        data: on which data.
        source: where figures and command are from.
        figures: in percent, by the names of `METRICS`; those that no source tells are left out.
        chosen_by: how the epoch was chosen.
        commands: to be run one after the other; the result is that of the last one.
        reruns: by others.
        remark: what else there is to know.
        obstacle: why nobody can run it from what is public, or None.
    """

    name: str
    title: str
    data: str
    source: str
    figures: Mapping[str, float] = field(default_factory=dict)
    chosen_by: str = UNKNOWN
    commands: tuple[Command, ...] = ()
    reruns: tuple[Reruns, ...] = ()
    remark: str = ""
    obstacle: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a result of which it is not said how it can be run, or why not."""
        if not self.commands and self.obstacle is None:
            raise ValueError(f"{self.name}: neither a command nor an obstacle")
        if unknown := self.figures.keys() - METRICS.keys():
            raise ValueError(f"{self.name}: figures of {sorted(unknown)}, which are none of {list(METRICS)}")


def flags_of_each(commands: Sequence[Command], flags: Sequence[str]) -> list[list[str]]:
    """Who gets which of the flags that are added to several commands: those that he knows, and that nobody knows.

    A flag that nobody knows goes to everyone, so that the first script complains of it.
    """
    if len(commands) == 1:
        return [list(flags)]
    chunks: list[list[str]] = []
    for word in flags:
        if word.startswith("-") or not chunks:
            chunks.append([])
        chunks[-1].append(word)
    knowing = [[each.knows(chunk) for chunk in chunks] for each in commands]
    nobodys = [not any(known) for known in zip(*knowing, strict=True)]
    return [
        [word for chunk, mine, nobody in zip(chunks, known, nobodys, strict=True) if mine or nobody for word in chunk]
        for known in knowing
    ]


def offered() -> tuple[dict[str, Published], dict[str, str]]:
    """What the installed packages offer, by `METHOD/NAME`, and what is wrong with packages that cannot be loaded, by method."""
    found: dict[str, Published] = {}
    broken: dict[str, str] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        try:
            found |= {f"{entry.name}/{each.name}": each for each in entry.load()}
        except Exception as error:  # whatever a broken package raises, the others are still there
            broken[entry.name] = f"{type(error).__name__}: {error}"
    return found, broken
