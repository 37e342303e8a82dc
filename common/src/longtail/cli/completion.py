"""`longtail completion SHELL`: a script by which a shell completes `longtail` command lines."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from longtail.cli.parsing import Parser

SHELLS = ("bash", "zsh", "tcsh")
_FILES = frozenset({"FILE", "PATH", "NAME|PATH", "IMAGES"})
_FOLDERS = frozenset({"DIR", "RUN"})
_EXAMPLES = """\
examples:
  source <(longtail completion bash)
  longtail completion zsh > ~/.zfunc/_longtail
  longtail completion tcsh > ~/.longtail.tcsh"""


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "completion",
        help="print a script that lets a shell complete commands",
        description="Print a script that makes the Tab key complete commands, options, methods and file names. It knows the "
        "methods that were installed when it was printed.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the script."""
    import shtab

    from longtail.cli.main import create_parser  # which itself needs this module

    parser = create_parser()
    for each in _arguments(parser):
        if each.metavar in _FILES | _FOLDERS:
            # the attribute is how shtab is told
            each.complete = shtab.FILE if each.metavar in _FILES else shtab.DIRECTORY  # type: ignore[attr-defined]
    print(shtab.complete(parser, arguments.shell))


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of a parser and of the parsers below it."""
    for each in parser._actions:
        if isinstance(each, argparse._SubParsersAction):
            for below in each.choices.values():
                yield from _arguments(below)
        else:
            yield each
