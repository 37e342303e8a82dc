"""`longtail methods`: which methods are installed."""

from __future__ import annotations

import argparse
from importlib.metadata import EntryPoint
from typing import Any

from longtail.cli.output import console, print_json, table
from longtail.cli.parsing import Parser
from longtail.training.registry import installed_methods

_TOLD = ("paper", "year", "cost", "needs")
_EXAMPLES = """\
examples:
  longtail methods
  longtail methods --json"""


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "methods",
        help="list the installed methods",
        description="List the installed methods: built-in plain training, and the papers whose packages are installed.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help="print them as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the methods; one that cannot be loaded is listed with the reason."""
    found = [{"method": name, **_told(entry), "package": _package(entry)} for name, entry in installed_methods().items()]
    if arguments.json:
        print_json({"methods": found})
        return
    from rich.text import Text

    shown = table("method", "year", "what it is, what a step costs, what it needs besides")
    shown.columns[0].no_wrap = shown.columns[1].no_wrap = True
    shown.columns[2].overflow = "fold"
    for each in found:
        # as text, since rich would take the brackets of an error for its own
        shown.add_row(each["method"], str(each["year"] or ""), Text(_in_words(each)))
    console().print(shown)
    print("cost: as a multiple of plain training's on the same network, measured on a CPU")
    print("longtail train METHOD trains one, longtail train METHOD --help shows its options")


def _in_words(told: dict[str, Any]) -> str:
    cost = told["cost"] and f"cost: {told['cost']}"
    needs = told["needs"] and f"needs: {told['needs']}"
    return "\n".join(line for line in (told["paper"], cost, needs) if line)


def _told(entry: EntryPoint) -> dict[str, Any]:
    try:
        method = entry.load()
        return {name: getattr(method, name) for name in _TOLD}
    except Exception as error:  # whatever a broken package raises, the others are still there to list
        return {"paper": f"cannot be loaded: {type(error).__name__}: {error}", **dict.fromkeys(_TOLD[1:])}


def _package(entry: EntryPoint) -> str:
    return "unknown" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
