"""The plot of class sizes, largest first: the long tail itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from longtail.metrics import ShotThresholds
from longtail.report.canvas import STYLES, dress, new_figure, save

MOST_EDGES = 150
"""Classes whose bars have edges."""

_HATCHES = ("", "///", "...")
"""Groups are never told by colour alone."""


def class_sizes_plot(
    path: Path, class_counts: npt.ArrayLike, thresholds: ShotThresholds, *, title: str, note: str = ""
) -> None:
    """Draw how many training images each class has, largest class first, with the shot groups, into a PNG file.

    Args:
        path: the file.
        class_counts: training images per class, not negative, shape (C,).
        thresholds: bounds of the shot groups.
        title: above the plot.
        note: small print below the title.

    Raises:
        UserError: matplotlib is not installed, or the file cannot be written.
    """
    from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

    counts = np.sort(np.asarray(class_counts, dtype=np.int64))[::-1]
    ranks = np.arange(1, len(counts) + 1)
    figure = new_figure()
    axes = figure.add_subplot()
    edge = 0.4 if len(counts) <= MOST_EDGES else 0.0
    groups = thresholds.groups(counts)._asdict()
    for (name, members), (colour, _, _), hatch in zip(groups.items(), STYLES, _HATCHES, strict=False):
        if members.any():
            classes = f"{members.sum()} {'class' if members.sum() == 1 else 'classes'}"
            # edges of bars as narrow as themselves would fill them
            bars: dict[str, Any] = {"facecolor": f"{colour}55", "edgecolor": colour, "hatch": hatch, "linewidth": edge}
            axes.bar(ranks[members], counts[members], 1.0, label=f"{name}-shot: {classes}", **bars)
    axes.set_yscale("log")
    axes.set_ylim(0.7, max(2.0, 1.6 * counts.max(initial=1)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(0.4, len(counts) + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    dress(axes, title=title, note=note, x_label="class, by size", y_label="training images (log scale)")
    if len(counts):
        axes.legend(fontsize=11, loc="upper right")
    save(figure, path)
