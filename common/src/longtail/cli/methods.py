"""`longtail methods`: which methods are installed."""

from __future__ import annotations

import argparse
import json
from importlib.metadata import EntryPoint
from typing import Any

from longtail.cli.output import console, table
from longtail.cli.parsing import Parser
from longtail.training.registry import installed_methods

_TOLD = ("paper", "year", "cost", "needs")


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "methods",
        help="list the installed methods",
        description="List the installed methods: built-in plain training, and the papers whose packages are installed.",
        epilog="examples:\n  longtail methods",
    )
    parser.add_argument("--json", action="store_true", help="print them as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the methods; one that cannot be loaded is listed with the reason."""
    found = [{"method": name, **_told(entry), "package": _package(entry)} for name, entry in installed_methods().items()]
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    shown = table("method", "what it is", "year", "cost of a step", "needs besides")
    for each in found:
        shown.add_row(*("" if each[name] is None else str(each[name]) for name in ("method", *_TOLD)))
    console().print(shown)
    print("cost: as a multiple of plain training's on the same network, measured on a CPU")
    print("longtail train METHOD trains one, longtail train METHOD --help shows its options")


def _told(entry: EntryPoint) -> dict[str, Any]:
    try:
        method = entry.load()
        return {name: getattr(method, name) for name in _TOLD}
    except Exception as error:  # whatever a broken package raises, the others are still there to list
        return {"paper": f"cannot be loaded: {type(error).__name__}: {error}", **dict.fromkeys(_TOLD[1:])}


def _package(entry: EntryPoint) -> str:
    return "unknown" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
