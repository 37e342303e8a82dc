"""Plots of results."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from longtail.errors import UserError
from longtail.training.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#E69F00", "v", "-"),
    ("#56B4E9", "P", "--"),
)
"""Colour, marker and line: Okabe and Ito's palette, and never told by colour alone."""

_DODGE = 0.035
"""Distance of neighbouring series along the logarithmic axis, as a part of the class size."""

_MOST_TICKS = 12
"""Class sizes that are still labelled one by one."""


@dataclass(frozen=True)
class PerClass:
    """Accuracy of each class.

    Args:
        label: what the legend calls it.
        mean: fraction of each class's test images that are predicted right, C values; None for a class without test images.
        spread: half the length of each class's error bar, C values; empty for no bars.
    """

    label: str
    mean: Sequence[float | None]
    spread: Sequence[float | None] = ()


def per_class_plot(path: Path, class_counts: npt.ArrayLike, series: Sequence[PerClass], *, title: str, note: str = "") -> None:
    """Draw accuracy of each class against its size, largest class first, into a PNG file.

    Args:
        path: the file.
        class_counts: training images per class, positive integers, shape (C,).
        series: what is compared.
        title: above the plot.
        note: small print below the title, such as what the error bars are.

    Raises:
        UserError: matplotlib is not installed, or the file cannot be written.
        ValueError: a series has another number of classes.
    """
    counts = np.asarray(class_counts, dtype=np.int64)
    for each in series:
        if len(each.mean) != len(counts) or len(each.spread) not in (0, len(counts)):
            raise ValueError(f"{each.label} has {len(each.mean)} classes and {len(each.spread)} spreads, not {len(counts)}")
    figure = _figure()
    axes = figure.add_subplot()
    for index, each in enumerate(series):
        _draw(axes, counts, each, index, ((len(series) - 1) / 2 - index) * _DODGE)
    _label(axes, counts, title, note)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    write_atomically(path, content.getvalue())


def _figure() -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("plots need matplotlib: pip install 'longtail-common[report]'") from error
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw(axes: Axes, counts: npt.NDArray[np.int64], series: PerClass, index: int, shift: float) -> None:
    """Markers with error bars for every class, and a line through the mean of the classes of each size."""
    colour, marker, line = _STYLES[index % len(_STYLES)]
    known = np.array([value is not None for value in series.mean])
    sizes, accuracy = counts[known] * (1 + shift), 100 * _values(series.mean)[known]
    bars: dict[str, Any] = {}
    if len(series.spread):
        bars = {"yerr": 100 * _values(series.spread)[known], "capsize": 3, "elinewidth": 1.2}
    distinct = np.unique(sizes)
    axes.plot(distinct, [accuracy[sizes == size].mean() for size in distinct], line, color=colour, linewidth=1.8, alpha=0.7)
    axes.errorbar(sizes, accuracy, fmt=marker, color=colour, markersize=6.5, **bars)
    axes.plot([], [], line, color=colour, marker=marker, linewidth=1.8, markersize=6.5, label=series.label)


def _values(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _label(axes: Axes, counts: npt.NDArray[np.int64], title: str, note: str) -> None:
    axes.set_xscale("log")
    axes.invert_xaxis()
    sizes = np.unique(counts)
    if len(sizes) <= _MOST_TICKS:
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xticks([], minor=True)
    axes.set_ylim(-3, 106)
    axes.set_xlabel("training images of the class (log scale)", fontsize=12)
    axes.set_ylabel("test accuracy of the class (%)", fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.figure.suptitle(title, fontsize=14)
    axes.set_title(note, fontsize=11)
    axes.legend(fontsize=11, loc="best")
