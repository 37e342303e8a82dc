"""What all plots share: figures without any state of matplotlib's, the series' looks, files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from longtail.errors import UserError
from longtail.training.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#E69F00", "v", "-"),
    ("#56B4E9", "P", "--"),
)
"""Colour, marker and line: Okabe and Ito's palette, and never told by colour alone."""

DPI = 150


def new_figure(width: float = 8, height: float = 5) -> Figure:
    """An empty figure, its sides in inches; a UserError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("plots need matplotlib: pip install 'longtail-common[report]'") from error
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure into a PNG file; a UserError if that is impossible."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=figure.dpi)
    write_atomically(path, content.getvalue())


def percent(shares: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """The shares in percent, nan for None."""
    return 100 * np.array([np.nan if share is None else share for share in shares], dtype=np.float64)


def dress(axes: Axes, *, title: str, note: str, x_label: str, y_label: str) -> None:
    """Titles, labels, grid: the same in every plot."""
    axes.set_xlabel(x_label, fontsize=12)
    axes.set_ylabel(y_label, fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    # parse_math: dollar signs in a name make no formula
    axes.figure.suptitle(title, fontsize=14, parse_math=False)
    axes.set_title(note, fontsize=11, parse_math=False)
