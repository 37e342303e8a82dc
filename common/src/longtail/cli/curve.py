"""Class sizes drawn with characters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from longtail.datasets.base import Indices
    from longtail.metrics import ShotThresholds

MOST_BARS = 30
"""Classes that get a line each; of more, there is one curve."""

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ASCII = "    ####"
_HEIGHT = 8
_LONGEST_NAME = 24
_COLOURS = {"many": "blue", "medium": "yellow", "few": "magenta"}


def class_curve(names: Sequence[str], counts: Indices, thresholds: ShotThresholds, shown_on: Console) -> Text:
    """Training images of each class, largest class first: bars with names, or a curve where the classes are many.

    Args:
        names: C names.
        counts: images per class, int64, shape (C,).
        thresholds: bounds of the shot groups, which the colours tell.
        shown_on: where it will be printed, for its width and its characters.
    """
    order = sorted(range(len(counts)), key=lambda c: (-counts[c], c))
    groups = {name: members[order] for name, members in thresholds.groups(counts)._asdict().items()}
    sizes = [int(counts[c]) for c in order]
    group = [next(name for name, members in groups.items() if members[at]) for at in range(len(sizes))]
    plain = not shown_on.encoding.lower().startswith("utf")
    if len(sizes) <= MOST_BARS:
        return _bars([names[c] for c in order], sizes, group, shown_on.width, plain)
    return _curve(sizes, group, shown_on.width, plain)


def _bars(names: Sequence[str], sizes: Sequence[int], group: Sequence[str], width: int, plain: bool) -> Text:
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    from longtail.datasets.findings import shown

    short = [
        shown(name) if cell_len(shown(name)) <= _LONGEST_NAME else shown(name)[: _LONGEST_NAME - 3] + "..." for name in names
    ]
    name_width, number_width = max(map(cell_len, short)), len(f"{max(sizes):,}")
    room = max(10, min(60, width - name_width - number_width - 12))
    text = Text("training images of each class\n", style="bold", end="")
    for name, size, of in zip(short, sizes, group, strict=True):
        length = max(1, round(room * size / max(sizes))) if size else 0
        text.append(f"  {set_cell_size(name, name_width)} ", style="not bold")
        text.append(("#" if plain else "█") * length, style=f"not bold {_COLOURS[of]}")
        text.append(f" {size:,} {of}\n", style="not bold")
    text.right_crop(1)
    return text


def _curve(sizes: Sequence[int], group: Sequence[str], width: int, plain: bool) -> Text:
    """Columns, each as high as the mean of the classes in it, on a logarithmic scale."""
    from rich.text import Text

    columns = min(len(sizes), 72, max(20, width - 12))
    edges = [len(sizes) * at // columns for at in range(columns + 1)]
    middle = [(first + last - 1) // 2 for first, last in pairwise(edges)]
    top = log(1 + max(sizes))
    eighths = [max(1, round(8 * _HEIGHT * log(1 + sizes[at]) / top)) if sizes[at] else 0 for at in middle]
    marks = _ASCII + "#" if plain else _EIGHTHS
    number_width = len(f"{sizes[0]:,}")
    text = Text(f"training images of the {len(sizes):,} classes, by size (log scale)\n", style="bold", end="")
    for row in reversed(range(_HEIGHT)):
        label = {_HEIGHT - 1: f"{sizes[0]:,}", 0: f"{sizes[-1]:,}"}.get(row, "")
        text.append(f"  {label:>{number_width}} ", style="not bold")
        cells = [(group[at], marks[min(8, max(0, height - 8 * row))]) for at, height in zip(middle, eighths, strict=True)]
        for of, run in groupby(cells, key=lambda cell: cell[0]):
            text.append("".join(mark for _, mark in run), style=f"not bold {_COLOURS[of]}")
        text.append("\n")
    text.append(" " * (number_width + 3))
    spans = {of: len(list(run)) for of, run in groupby(group[at] for at in middle)}
    labels = {of: f"{of}: {group.count(of):,}" for of in _COLOURS if of in group}
    # below the columns of each group, so that no colours are needed to tell them apart, where there is room for that
    fits = all(len(label) + 3 <= spans.get(of, 0) for of, label in labels.items())
    for of, label in labels.items():
        told = f"{'|' if plain else '└'} {label}".ljust(spans[of]) if fits else f"{marks[-1]} {label}  "
        text.append(told, style=f"not bold {_COLOURS[of]}")
    text.rstrip()
    return text
