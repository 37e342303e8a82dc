"""The plot of accuracy by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from longtail.report.canvas import STYLES, dress, new_figure, percent, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = 12
"""Epochs that are still marked one by one; of more, only some are."""


@dataclass(frozen=True)
class History:
    """Accuracy by epoch.

    Args:
        label: what the legend calls it.
        values: a fraction for every epoch from the first on; None for an epoch that was not evaluated.
    """

    label: str
    values: Sequence[float | None]


def history_plot(path: Path, series: Sequence[History], *, title: str, note: str = "", quantity: str = "accuracy") -> None:
    """Draw how accuracy develops, epoch by epoch, into a PNG file.

    Args:
        path: the file.
        series: what is compared, such as training and test data.
        title: above the plot.
        note: small print below the title.
        quantity: what the vertical axis calls the values.

    Raises:
        UserError: matplotlib is not installed, or the file cannot be written.
    """
    figure = new_figure()
    axes = figure.add_subplot()
    for index, each in enumerate(series):
        _draw_history(axes, each, index)
    _number_epochs(axes, max([1, *(len(each.values) for each in series)]))
    axes.set_ylim(bottom=0)
    dress(axes, title=title, note=note, x_label="epoch", y_label=f"{quantity} (%)")
    axes.legend(fontsize=11, loc="best")
    save(figure, path)


def _draw_history(axes: Axes, series: History, index: int) -> None:
    """A line through the epochs that were evaluated; few are marked one by one, of many some."""
    colour, marker, line = STYLES[index % len(STYLES)]
    accuracy = percent(series.values)
    epochs = np.flatnonzero(~np.isnan(accuracy))
    step = max(1, len(epochs) // MARKS)
    marked = (index * step // 3 % step, step)
    axes.plot(
        epochs + 1,
        accuracy[epochs],
        line,
        color=colour,
        marker=marker,
        markevery=marked,
        linewidth=1.8,
        markersize=6,
        clip_on=False,
        label=series.label,
    )


def _number_epochs(axes: Axes, last: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
