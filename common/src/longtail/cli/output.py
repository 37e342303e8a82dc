"""What the subcommands print."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from longtail.metrics import ShotThresholds

_PIPE_WIDTH = 100
"""A pipe has no width, and the 80 that rich takes for one folds tables."""


def console() -> Console:
    """Standard output, with colours where it is a terminal and `NO_COLOR` is not set."""
    from rich.console import Console

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if known else _PIPE_WIDTH, highlight=False)


def print_json(told: Mapping[str, Any]) -> None:
    """Print what a program is told, with the version of its form, as the only thing on standard output."""
    print(json.dumps({"format": 1, **told}, indent=2))


def table(*columns: str, title: str | None = None, numbers: bool = False) -> Table:
    """An empty table.

    Args:
        columns: headings.
        title: above it.
        numbers: all columns but the first are flush right.
    """
    from rich import box
    from rich.table import Table

    # narrow gaps, and names that are folded rather than cut, for terminals of 80 columns
    made = Table(*columns, box=box.SIMPLE, title=title, title_justify="left", title_style="bold", collapse_padding=True)
    made.columns[0].overflow = "fold"
    if numbers:
        for column in made.columns[1:]:
            column.justify = "right"
    return made


def told_of_groups(thresholds: ShotThresholds, *, adapted: bool = False) -> str:
    """What the shot groups are, in a line.

    Args:
        thresholds: their bounds.
        adapted: say what rule they come from, where it is not the usual one.
    """
    text = f"many: more than {thresholds.many} training images, few: fewer than {thresholds.few}"
    usual = type(thresholds)()
    if not adapted or thresholds == usual:
        return text
    return f"{text} (thirds of the classes by size, since none has more than {usual.many}; --thresholds for others)"


def percent(share: float | None) -> str:
    """A fraction as percent with one decimal; `absent` for None."""
    return "absent" if share is None else f"{100 * share:.1f}"


@contextmanager
def progress_bars(*, wanted: bool = True) -> Iterator[Callable[[str, int, int], None]]:
    """Bars on standard error, where that is a terminal; they go when all is done.

    Args:
        wanted: whether there may be any.

    Yields:
        What takes the name of a task, how much of it is done, and how much there is.
    """
    if not (wanted and sys.stderr.isatty()):
        # older versions of rich end bars with an empty line even where they show none
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def tell(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done, total=of)

        yield tell
