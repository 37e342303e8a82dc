"""The figure of per-class accuracy against class size."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import SubElement

import numpy as np

from longtail.report.html import svg
from longtail.report.html.runs import ReportedRun

NAMED_POINTS = 300
"""Up to so many points tell their class where the pointer rests on them."""

BLOCKS = 8
"""Points of each line: means over so many blocks of classes of similar size."""

ONE_BY_ONE = 12
"""Up to so many classes, the line goes through each class size."""


def by_size_figure(runs: Sequence[ReportedRun]) -> str | None:
    """Accuracy of each class at the best epoch against its training images; None where no class was tested."""
    known = [_tested(run) for run in runs]
    sizes = [size for points in known for size, _, _ in points]
    if not sizes:
        return None
    low, high = min(sizes), max(sizes)
    x = svg.across(low / 1.3, high * 1.3, logarithmic=True)
    y = svg.upward(0, 100)
    root = svg.figure("by-size", "Accuracy of each class against its number of training images", _described(runs))
    svg.draw_axes(
        root, x, y, svg.log_ticks(low / 1.3, high * 1.3), range(0, 101, 20), ("training images (log scale)", "accuracy (%)")
    )
    named = len(sizes) <= NAMED_POINTS
    for series, (run, points) in enumerate(zip(runs, known, strict=True)):
        places = [((x(size), y(100 * value)), f"{name}: {100 * value:.1f} % of {size}") for size, value, name in points]
        if named:
            for at, told in places:
                mark = SubElement(root, "path", {"class": f"marker series-{series % svg.STYLES}", "d": svg.marker(at, series)})
                SubElement(mark, "title").text = f"{run.name}, {told} training images"
        else:
            # of thousands of points most lie on others: one in each square of two by two is seen
            seen = {(round(px / 2), round(py / 2)): (px, py) for (px, py), _ in places}
            path = "".join(svg.marker(at, series, 2) for at in seen.values())
            SubElement(root, "path", {"class": f"marker crowd series-{series % svg.STYLES}", "d": path})
        line = _means([(size, value) for size, value, _ in points])
        svg.draw_line(root, [(x(size), y(100 * value)) for size, value in line], series)
    return svg.markup(root)


def _tested(run: ReportedRun) -> list[tuple[int, float, str]]:
    """Training images, accuracy and name of each class that was tested."""
    classes = zip(run.class_counts, run.accuracies(), run.class_names, strict=True)
    return [(max(count, 1), value, name) for count, value, name in classes if value is not None]


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


def _described(runs: Sequence[ReportedRun]) -> str:
    told = []
    for run in runs:
        best = run.result("best") or {}
        groups = [f"{group} {100 * best[group]:.1f} %" for group in ("many", "medium", "few") if best.get(group) is not None]
        told.append(f"{run.name}: " + (", ".join(groups) or "no result"))
    return "A point for each class. Means of the shot groups: " + "; ".join(told) + ". The table below gives every class."
