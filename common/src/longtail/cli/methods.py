"""`longtail methods`: which methods are installed."""

from __future__ import annotations

import argparse
from importlib.metadata import EntryPoint

from longtail.cli.output import console, table
from longtail.cli.parsing import Parser
from longtail.training.registry import installed_methods


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "methods",
        help="list the installed methods",
        description="List the installed methods: built-in plain training, and the papers whose packages are installed.",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:  # noqa: ARG001 - what every subcommand has
    """Print a table of the methods; one that cannot be loaded is listed with the reason."""
    shown = table("method", "what it is", "package")
    for name, entry in installed_methods().items():
        package = "unknown" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
        shown.add_row(name, _description(entry), package)
    console().print(shown)
    print("longtail train METHOD trains one, longtail train METHOD --help shows its options")


def _description(entry: EntryPoint) -> str:
    try:
        return str(entry.load().paper)
    except Exception as error:  # whatever a broken package raises, the others are still there to list
        return f"cannot be loaded: {type(error).__name__}: {error}"
