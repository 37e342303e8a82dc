"""The figures of learning: a quantity by epoch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from longtail.report.html import svg
from longtail.report.html.runs import ReportedRun, judged
from longtail.report.html.series import Series

Reading = Callable[[Mapping[str, Any]], float | None]
"""The value of an epoch, from its line in `metrics.jsonl`."""

Curve = list[tuple[int, float]]
"""Epochs, counted from 1, with the value of each."""


def accuracy_of(line: Mapping[str, Any]) -> float | None:
    """Accuracy in percent."""
    return _percent(judged(line), "accuracy")


def balanced_accuracy_of(line: Mapping[str, Any]) -> float | None:
    """Mean accuracy of the classes in percent."""
    return _percent(judged(line), "balanced_accuracy")


def training_loss_of(line: Mapping[str, Any]) -> float | None:
    """Mean loss of the epoch's batches."""
    value: float | None = line.get("train_loss")
    return value


def _percent(result: Mapping[str, Any] | None, name: str) -> float | None:
    value = None if result is None else result.get(name)
    return None if value is None else 100 * float(value)


def curve_figure(series: Sequence[Series], reading: Reading, *, mark: str, title: str, label: str) -> str | None:
    """A quantity by epoch, a line for each series, and faint ones for its seeds; None where no epoch tells it.

    Args:
        series: what is compared.
        reading: the quantity.
        mark: a name that no other figure of the page has.
        title: of the figure.
        label: of the vertical axis.
    """
    curves = [[_points(run, reading) for run in each.runs] for each in series]
    values = [value for of_runs in curves for points in of_runs for _, value in points]
    if not values:
        return None
    last = max(epoch for of_runs in curves for points in of_runs for epoch, _ in points)
    high = max(values) * 1.05 or 1.0
    low = min(0.0, min(values))
    x, y = svg.across(1, max(last, 2)), svg.upward(low, high)
    means = [_mean(of_runs) for of_runs in curves]
    told = "; ".join(
        f"{each.told}: from {points[0][1]:.3g} to {points[-1][1]:.3g}, at its highest {max(value for _, value in points):.3g}"
        for each, points in zip(series, means, strict=True)
        if points
    )
    root = svg.figure(mark, title, f"{label} by epoch. {told}.")
    epochs = [each for each in svg.round_ticks(1, max(last, 2)) if each == int(each) and each >= 1]
    svg.draw_axes(root, x, y, epochs, svg.round_ticks(low, high, 5), ("epoch", label))
    for style, (each, of_runs) in enumerate(zip(series, curves, strict=True)):
        if each.is_mean:
            for points in of_runs:
                svg.draw_line(root, [(x(epoch), y(value)) for epoch, value in points], style, faint=True)
    for style, (each, points, of_runs) in enumerate(zip(series, means, curves, strict=True)):
        svg.draw_line(root, [(x(epoch), y(value)) for epoch, value in points], style)
        for run, own in zip(each.runs, of_runs, strict=True):
            _mark_best(root, run, own, x, y, style, size=3 if each.is_mean else 4)
    return svg.markup(root)


def _mark_best(root: Element, run: ReportedRun, points: Curve, x: svg.Scale, y: svg.Scale, style: int, size: float) -> None:
    """The marker at the best epoch of a run, or at the latest where that is not known."""
    best = (run.result("best") or {}).get("epoch")
    chosen = [point for point in points if best is not None and point[0] == best + 1]
    for epoch, value in chosen or points[-1:]:
        path = svg.marker((x(epoch), y(value)), style, size)
        shape = SubElement(root, "path", {"class": f"marker series-{style % svg.STYLES}", "d": path})
        SubElement(shape, "title").text = f"{run.name}, {'best' if chosen else 'latest'} epoch"


def _points(run: ReportedRun, reading: Reading) -> Curve:
    """Epochs, counted from 1, that tell a finite value."""
    known = [(int(line.get("epoch", at)) + 1, reading(line)) for at, line in enumerate(run.epochs)]
    return [(epoch, float(value)) for epoch, value in known if value is not None and math.isfinite(value)]


def _mean(curves: Sequence[Curve]) -> Curve:
    """The mean at the epochs that all curves tell; those that tell nothing at all apart."""
    known = [dict(points) for points in curves if points]
    shared = [epoch for epoch in known[0] if all(epoch in each for each in known)] if known else []
    return [(epoch, statistics.fmean(each[epoch] for each in known)) for epoch in shared]
