"""The plot of per-class accuracy against class size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from longtail.report.canvas import STYLES, dress, new_figure, percent, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DODGE = 0.035
"""Distance of neighbouring series along the logarithmic axis, as a part of the class size."""

MOST_TICKS = 12
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
    check_classes(series, len(counts))
    figure = new_figure()
    axes = figure.add_subplot()
    for index, each in enumerate(series):
        _draw_classes(axes, counts, each, index, ((len(series) - 1) / 2 - index) * DODGE)
    axes.set_xscale("log")
    axes.invert_xaxis()
    sizes = np.unique(counts)
    if len(sizes) <= MOST_TICKS:
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xticks([], minor=True)
    axes.set_ylim(-3, 106)
    dress(
        axes,
        title=title,
        note=note,
        x_label="training images of the class (log scale)",
        y_label="test accuracy of the class (%)",
    )
    axes.legend(fontsize=11, loc="best")
    save(figure, path)


def check_classes(series: Sequence[PerClass], classes: int) -> None:
    """A ValueError if a series has another number of classes."""
    for each in series:
        if len(each.mean) != classes or len(each.spread) not in (0, classes):
            raise ValueError(f"{each.label} has {len(each.mean)} classes and {len(each.spread)} spreads, not {classes}")


def _draw_classes(axes: Axes, counts: npt.NDArray[np.int64], series: PerClass, index: int, shift: float) -> None:
    """Markers with error bars for every class, and a line through the mean of the classes of each size."""
    colour, marker, line = STYLES[index % len(STYLES)]
    known = np.array([value is not None for value in series.mean])
    sizes, accuracy = counts[known] * (1 + shift), percent(series.mean)[known]
    bars: dict[str, Any] = {}
    if len(series.spread):
        bars = {"yerr": percent(series.spread)[known], "capsize": 3, "elinewidth": 1.2}
    distinct = np.unique(sizes)
    axes.plot(distinct, [accuracy[sizes == size].mean() for size in distinct], line, color=colour, linewidth=1.8, alpha=0.7)
    axes.errorbar(sizes, accuracy, fmt=marker, color=colour, markersize=6.5, **bars)
    axes.plot([], [], line, color=colour, marker=marker, linewidth=1.8, markersize=6.5, label=series.label)
