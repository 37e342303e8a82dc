"""Entry point of the `longtail` command."""

from __future__ import annotations

import io
import sys

from longtail import __version__
from longtail.cli import compare, completion, data, demo, evaluate, export, methods, predict, report, reproduce, train
from longtail.cli.parsing import Parser
from longtail.training.commands import run_command

_EXAMPLES = """\
examples:
  longtail demo
  longtail data inspect photos
  longtail compare --methods erm,bs,cmo --data photos --seeds 3
  longtail train erm --data photos --out runs/mine
  longtail report runs/mine

longtail COMMAND --help shows the options and examples of a command."""


def create_parser() -> Parser:
    """The parser of `longtail` and its subcommands."""
    parser = Parser(
        prog="longtail",
        description="Long-tailed image classification: published methods on one core.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"longtail {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for each in (demo, methods, train, compare, predict, evaluate, report, export, reproduce, data, completion):
        each.add_parser(commands)
    return parser


def dispatch(argv: list[str]) -> int | None:
    """Carry out a command line; None is exit code 0."""
    arguments = create_parser().parse_args(argv)
    code: int | None = arguments.run(arguments)
    return code


def trains(argv: list[str]) -> bool:
    """Whether a command line is of a command that takes the options shared by all training."""
    return argv[:1] in (["train"], ["compare"])


def main() -> None:
    """Run as a program."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # the name of a class must not end a command where standard output cannot encode it
        sys.stdout.reconfigure(errors="backslashreplace")
    run_command(dispatch, takes_added=trains)
