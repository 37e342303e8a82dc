"""The plot of accuracy class by class, with the classes' names and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from longtail.report.canvas import STYLES, dress, new_figure, percent, save
from longtail.report.per_class import PerClass, check_classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 120
"""Classes that have bars and names; of more, there are points, because nobody could tell bars from one another."""

LONGEST_NAME = 24
"""Characters of a name that are shown."""

_BARS: tuple[dict[str, Any], ...] = (
    {"facecolor": STYLES[0][0], "edgecolor": STYLES[0][0]},
    {"facecolor": "#FBE3D3", "edgecolor": STYLES[1][0], "hatch": "//////"},
)
"""The first series is full, the second hatched on a light ground."""
_POINTS: tuple[dict[str, Any], ...] = ({"color": STYLES[0][0], "marker": "o"}, {"color": STYLES[1][0], "marker": "x"})


def class_bars_plot(
    path: Path,
    class_names: Sequence[str],
    class_counts: npt.ArrayLike,
    series: Sequence[PerClass],
    *,
    title: str,
    note: str = "",
) -> None:
    """Draw accuracy of each class as bars, in the order of the classes, with a line of their sizes, into a PNG file.

    Args:
        path: the file.
        class_names: C names.
        class_counts: training images per class, not negative, shape (C,).
        series: one or two that are compared; spreads are not shown.
        title: above the plot.
        note: small print below the title.

    Raises:
        UserError: matplotlib is not installed, or the file cannot be written.
        ValueError: there are other than one or two series, or they, or the names, are of another number of classes.
    """
    counts = np.asarray(class_counts, dtype=np.int64)
    check_classes(series, len(counts))
    if len(class_names) != len(counts):
        raise ValueError(f"there are {len(class_names)} names of {len(counts)} classes")
    if not 1 <= len(series) <= len(_BARS):
        raise ValueError(f"bars show one or two series, not {len(series)}")
    figure = new_figure(min(20.0, max(8.0, 2 + 0.16 * len(counts))), 5.5)
    axes = figure.add_subplot()
    sizes = axes.twinx()
    handles = [*_draw_series(axes, series), _draw_sizes(sizes, counts), *_draw_missing(axes, series)]
    dress(axes, title=title, note=note, x_label="class", y_label="test accuracy of the class (%)")
    _name_classes(axes, class_names)
    figure.legend(handles=handles, loc="outside lower center", ncols=4 if len(counts) > 60 else 2, fontsize=11)
    save(figure, path)


def _draw_series(axes: Axes, series: Sequence[PerClass]) -> list[Any]:
    """The bars of a class side by side, or the points of a class above one another; returns what the legend shows."""
    axes.set_ylim(0, 102)
    handles: list[Any] = []
    for index, each in enumerate(series):
        accuracy, places = percent(each.mean), _places(series, index)
        if len(accuracy) > MOST_BARS:
            handles += axes.plot(
                places, accuracy, linestyle="", markersize=3.5, clip_on=False, label=each.label, **_POINTS[index]
            )
        else:
            handles.append(axes.bar(places, accuracy, _width(series), linewidth=0.8, label=each.label, **_BARS[index]))
    return handles


def _draw_missing(axes: Axes, series: Sequence[PerClass]) -> list[Any]:
    """A cross where there is nothing to measure."""
    nothing = [_places(series, index)[np.isnan(percent(each.mean))] for index, each in enumerate(series)]
    places = np.concatenate(nothing)
    if not len(places):
        return []
    return [*axes.plot(places, np.full(len(places), 2.0), "x", color="0.4", markersize=5, label="no test images")]


def _places(series: Sequence[PerClass], index: int) -> npt.NDArray[np.float64]:
    """Where the bars or points of a series stand on the axis of classes."""
    classes = np.arange(len(series[index].mean), dtype=np.float64)
    return classes if len(classes) > MOST_BARS else classes + (index - (len(series) - 1) / 2) * _width(series)


def _width(series: Sequence[PerClass]) -> float:
    return 0.8 / len(series)


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(visible=False, axis="x")
    if len(names) > MOST_BARS:
        return
    short = [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for name in names]
    few = len(names) <= 20
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if few else {"rotation": 90}
    axes.set_xticks(range(len(names)), short, fontsize=11 if few else 9, parse_math=False, **turned)


def _draw_sizes(axes: Axes, counts: npt.NDArray[np.int64]) -> Any:
    """The classes' training images, on a logarithmic axis of their own; classes without any leave a gap."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axes.set_yscale("log")
    known = counts[counts > 0]
    if len(known):
        # so wide that 1, 2 or 5 times a power of ten lies within
        axes.set_ylim(known.min() / 1.6, known.max() * 1.6)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if known.max() < 1000 * known.min() else (1,)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("training images (log scale)", fontsize=12)
    axes.tick_params(labelsize=11)
    axes.spines["top"].set_visible(False)
    sizes = np.where(counts > 0, counts, np.nan)
    size = 3 if len(counts) <= MOST_BARS else 0
    (line,) = axes.plot(sizes, "-", color="0.15", marker="o", markersize=size, linewidth=1.2, label="training images")
    return line
