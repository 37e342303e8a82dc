"""The figure of per-class accuracy against class size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from longtail.metrics.over_seeds import mean_and_spread
from longtail.report.html import svg
from longtail.report.html.series import Series

NAMED_POINTS = 300
"""Up to so many points tell their class where the pointer rests on them."""

BLOCKS = 8
"""Points of each line: means over so many blocks of classes of similar size."""

GROUPS = ("many", "medium", "few")

ONE_BY_ONE = 12
"""Up to so many classes, the line goes through each class size."""


class Tested(NamedTuple):
    """A class of which test images were seen.

    size: training images, at least 1.
    accuracy: of the series.
    name: of the class.
    of_runs: the accuracy of each run of the series.
    """

    size: int
    accuracy: float
    name: str
    of_runs: tuple[float, ...]


def by_size_figure(series: Sequence[Series]) -> str | None:
    """Accuracy of each class at the best epoch against its training images; None where no class was tested."""
    known = [_tested(each) for each in series]
    sizes = [each.size for classes in known for each in classes]
    if not sizes:
        return None
    low, high = min(sizes), max(sizes)
    x = svg.across(low / 1.3, high * 1.3, logarithmic=True)
    y = svg.upward(0, 100)
    root = svg.figure("by-size", "Accuracy of each class against its number of training images", _described(series))
    svg.draw_axes(
        root, x, y, svg.log_ticks(low / 1.3, high * 1.3), range(0, 101, 20), ("training images (log scale)", "accuracy (%)")
    )

    def draw_means(points: Sequence[tuple[int, float]], style: int, *, faint: bool = False) -> None:
        svg.draw_line(root, [(x(size), y(100 * value)) for size, value in _means(points)], style, faint=faint)

    for style, (each, classes) in enumerate(zip(series, known, strict=True)):
        for at in range(len(each.runs) if each.is_mean else 0):
            draw_means([(one.size, one.of_runs[at]) for one in classes], style, faint=True)
    for style, (each, classes) in enumerate(zip(series, known, strict=True)):
        places = [(x(one.size), y(100 * one.accuracy)) for one in classes]
        if len(sizes) <= NAMED_POINTS:
            _draw_named(root, each, classes, places, style)
        else:
            _draw_crowd(root, places, style)
    # last, for crowds of points would hide them
    for style, classes in enumerate(known):
        draw_means([(one.size, one.accuracy) for one in classes], style)
    return svg.markup(root)


def _draw_named(root: Element, series: Series, classes: Sequence[Tested], places: Sequence[svg.Point], style: int) -> None:
    """A marker for each class, which tells what it is."""
    for one, at in zip(classes, places, strict=True):
        mark = SubElement(root, "path", {"class": f"marker series-{style % svg.STYLES}", "d": svg.marker(at, style)})
        spread = f" ({100 * min(one.of_runs):.1f} to {100 * max(one.of_runs):.1f})" if series.is_mean else ""
        told = f"{series.told}, {one.name}: {100 * one.accuracy:.1f} % right{spread}, {one.size} training images"
        SubElement(mark, "title").text = told


def _draw_crowd(root: Element, places: Sequence[svg.Point], style: int) -> None:
    """Of thousands of points most lie on others: one in each square of two by two is drawn."""
    seen = {(round(x / 2), round(y / 2)): (x, y) for x, y in places}
    path = "".join(svg.marker(at, style, 2) for at in seen.values())
    SubElement(root, "path", {"class": f"marker crowd series-{style % svg.STYLES}", "d": path})


def _tested(series: Series) -> list[Tested]:
    """The classes that every run of a series was tested on."""
    of_runs = zip(*(run.accuracies() for run in series.runs), strict=True)
    classes = zip(series.class_counts(), series.accuracies(), series.runs[0].class_names, of_runs, strict=True)
    return [
        Tested(max(count, 1), mean, name, tuple(each for each in values if each is not None))
        for count, (mean, _), name, values in classes
        if mean is not None
    ]


def _means(points: Sequence[tuple[int, float]]) -> list[svg.Point]:
    """Mean accuracy against (geometric) mean size, of the classes of each size, or of blocks of similar ones."""
    if not points:
        return []
    ordered = np.array(sorted(points, reverse=True), dtype=np.float64)
    if len(ordered) <= ONE_BY_ONE:
        blocks = [ordered[ordered[:, 0] == size] for size in np.unique(ordered[:, 0])[::-1]]
    else:
        blocks = np.array_split(ordered, BLOCKS)
    return [(float(np.exp(np.log(block[:, 0]).mean())), float(block[:, 1].mean())) for block in blocks]


def _described(series: Sequence[Series]) -> str:
    told = []
    for each in series:
        results = [run.result("best") or {} for run in each.runs]
        groups = {group: mean_and_spread([result.get(group) for result in results])[0] for group in GROUPS}
        words = [f"{group} {100 * mean:.1f} %" for group, mean in groups.items() if mean is not None]
        told.append(f"{each.told}: " + (", ".join(words) or "no result"))
    return "A point for each class. Means of the shot groups: " + "; ".join(told) + ". The table below gives every class."
