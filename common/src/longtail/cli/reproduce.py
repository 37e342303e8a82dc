"""`longtail reproduce`: which command gives a published figure, and what it gives here."""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail import notes
from longtail.cli.output import console, print_json
from longtail.cli.parsing import Parser
from longtail.cli.published_script import run_script
from longtail.errors import UserError
from longtail.training.published import METRICS, UNKNOWN, Published, flags_of_each, offered
from longtail.training.registry import installed_methods
from longtail.training.runtime import ADDOPTS, command_line

if TYPE_CHECKING:
    from longtail.cli.reproduction import Reproduction

_EXAMPLES = """\
examples:
  longtail reproduce
  longtail reproduce cmo
  longtail reproduce cmo/cifar100-bs-cmo --dry-run
  longtail reproduce cmo/cifar100-bs-cmo
  longtail reproduce cmo/cifar100-bs-cmo -- --seed 1 --resume-auto

What follows -- goes to the paper's script, and so does LONGTAIL_ADDOPTS."""


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "reproduce",
        help="list published results with their commands, or run one and compare",
        description="List what was published about the installed methods, each with the paper's command, or carry one of these "
        "commands out in the working folder, as its script would, and hold what comes out against what was published.",
        epilog=_EXAMPLES,
        passed_on="flags",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="METHOD/RESULT to run it, METHOD to list what it has")
    parser.add_argument("--list", action="store_true", help="list, also where NAME is a single result")
    parser.add_argument("--dry-run", action="store_true", help="print the command, and do not run it")
    parser.add_argument("--json", action="store_true", help="print as JSON; everything else goes to standard error")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List, or run; the exit code is that of the paper's script."""
    known, broken = offered()
    for method, what in broken.items():
        print(f"notice: what was published about {method} cannot be loaded: {what}", file=sys.stderr)
    chosen = _chosen(arguments.name, known)
    if arguments.list or arguments.name not in known:
        if arguments.dry_run or arguments.flags:
            raise UserError(
                "which result is to be run? give its name, such as cmo/cifar100-bs-cmo; longtail reproduce lists them"
            )
        _list(chosen, as_json=arguments.json)
        return 0
    with redirect_stdout(sys.stderr if arguments.json and not arguments.dry_run else sys.stdout):
        reproduction, code = _run(arguments.name, chosen[arguments.name], arguments)
    if reproduction is not None and arguments.json:
        print_json(reproduction.to_dict())
    return code


def _chosen(name: str | None, known: Mapping[str, Published]) -> dict[str, Published]:
    """The results that a name stands for: one, those of a method, or all.

    Raises:
        UserError: it stands for none.
    """
    if name is None or name in known:
        return {each: known[each] for each in known if name in (None, each)}
    found = {each: known[each] for each in known if each.partition("/")[0] == name}
    if not found and name in installed_methods():
        raise UserError(f"nothing that was published about {name} is known here\nlongtail reproduce lists what is")
    if not found:
        near = get_close_matches(name, [*known, *{each.partition("/")[0] for each in known}], n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"no published result is called {name}{meant}\nlongtail reproduce lists them")
    return found


def _list(chosen: Mapping[str, Published], *, as_json: bool) -> None:
    if as_json:
        print_json({"results": [_plain(name, each) for name, each in chosen.items()]})
        return
    if not chosen:
        print("no installed package tells of published results; for some, pip install ./methods/cmo in a clone of longtail")
        return
    for name, each in chosen.items():
        print(name)
        for text in _told(each):
            print(_folded(text, "  "))
        for command in each.commands:
            print(f"  $ {command.line}")  # never folded, so that it can be copied
        print()
    print("longtail reproduce NAME runs the command, and compares")


def _folded(text: str, indent: str = "") -> str:
    """A text in lines no longer than the terminal."""
    width = shutil.get_terminal_size((100, 20)).columns - 1
    wrapper = textwrap.TextWrapper(width, indent, f"{indent}  ", break_on_hyphens=False, break_long_words=False)
    return wrapper.fill(text)


def _told(each: Published) -> Iterator[str]:
    """A result in lines, without its command."""
    yield f"{each.title}; {each.data}"
    figures = ", ".join(f"{METRICS[name]} {value}" for name, value in each.figures.items())
    chosen = "" if not each.figures else f"; epoch: {each.chosen_by}"
    yield f"published: {f'{figures} %' if figures else UNKNOWN}{chosen}"
    for reruns in each.reruns:
        yield f"run again by {reruns.who}: {', '.join(f'{value:.2f}' for value in reruns.accuracies)} %"
    yield f"source: {each.source}"
    if each.remark:
        yield f"note: {each.remark}"
    if each.obstacle is not None:
        yield f"cannot be run: {each.obstacle}"


def _plain(name: str, each: Published) -> dict[str, Any]:
    told = {key: getattr(each, key) for key in ("title", "data", "figures", "chosen_by", "source", "remark")}
    return {
        "name": name,
        **told,
        "reruns": [{"who": reruns.who, "accuracies": list(reruns.accuracies)} for reruns in each.reruns],
        "commands": [command.line for command in each.commands],
        "cannot_be_run_because": each.obstacle,
    }


def _run(name: str, published: Published, arguments: argparse.Namespace) -> tuple[Reproduction | None, int]:
    """Carry out the commands of a result; what came out, and the exit code."""
    if published.obstacle is not None:
        method = name.partition("/")[0]
        raise UserError(f"{name} cannot be run: {published.obstacle}\nlongtail reproduce {method} lists what can be")
    commands = published.commands
    flags, appended = (flags_of_each(commands, words) for words in (arguments.flags, command_line([])))
    lines = [each.with_flags(more) for each, more in zip(commands, flags, strict=True)]
    if arguments.dry_run:
        if arguments.json:
            print_json({"result": name, "commands": lines})
        else:
            print("\n".join(lines))
        return None, 0
    print("\n".join([name, *(_folded(text, "  ") for text in _told(published))]))
    with tempfile.TemporaryDirectory(prefix="longtail-") as folder:
        told = Path(folder, "notes")
        told.touch()
        for number, line in enumerate(lines):
            added = shlex.join(appended[number])
            print(f"$ {line}{f'   ({ADDOPTS}: {added})' if added else ''}", flush=True)
            words = [*commands[number].words, *flags[number]]
            code = run_script(name, number, words, {notes.FILE: str(told), ADDOPTS: added})
            if code:
                _say_how_to_go_on(code, name, arguments.flags)
                return None, code
        found = notes.read(told)
    return _compared(name, published, found, [[*f, *a] for f, a in zip(flags, appended, strict=True)]), 0


def _compared(
    name: str, published: Published, found: Mapping[str, Sequence[str]], added: Sequence[Sequence[str]]
) -> Reproduction | None:
    """Write and show what came out; None if no run has begun, as with `--help`.

    Args:
        name, published: the result.
        found: the notes that the scripts left.
        added: what was added to each of the commands.
    """
    from longtail.cli.reproduction import FILE, Reproduction, reasons, record_of
    from longtail.training.files import read_json, write_json

    folders = found[notes.RUN]
    if not folders:
        return None
    records = [read_json(record_of(each)) for each in folders]
    pairs = list(zip(published.commands, added, strict=True))
    changed = dict.fromkeys(each for command, flags in pairs for each in command.changed(flags))
    came = Reproduction(
        name,
        published,
        [command.with_flags(flags) for command, flags in pairs],
        records,
        folders,
        [*changed, *found[notes.OTHER_DATA], *reasons(records)],
    )
    path = Path(folders[-1], FILE)
    write_json(path, came.to_dict())
    console().print(came.table())
    for text in came.remarks():
        print(_folded(text))
    print(f"run folder: {', '.join(folders)}\nall of this: {path}")
    return came


def _say_how_to_go_on(code: int, name: str, flags: Sequence[str]) -> None:
    if code == 128 + signal.SIGINT:
        words = [*(each for each in flags if each != "--resume-auto"), "--resume-auto"]
        print(f"longtail reproduce {name} -- {shlex.join(words)} goes on from here", file=sys.stderr)
