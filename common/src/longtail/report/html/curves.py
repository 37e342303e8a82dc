"""The figures of learning: a quantity by epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import SubElement

from longtail.report.html import svg
from longtail.report.html.runs import ReportedRun, judged

Reading = Callable[[Mapping[str, Any]], float | None]
"""The value of an epoch, from its line in `metrics.jsonl`."""


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


def curve_figure(runs: Sequence[ReportedRun], reading: Reading, *, mark: str, title: str, label: str) -> str | None:
    """A quantity by epoch, a line for each run; None where no epoch tells it.

    Args:
        runs: what is compared.
        reading: the quantity.
        mark: a name that no other figure of the page has.
        title: of the figure.
        label: of the vertical axis.
    """
    curves = [_points(run, reading) for run in runs]
    values = [value for points in curves for _, value in points]
    if not values:
        return None
    last = max(epoch for points in curves for epoch, _ in points)
    high = max(values) * 1.05 or 1.0
    low = min(0.0, min(values))
    x, y = svg.across(1, max(last, 2)), svg.upward(low, high)
    told = "; ".join(
        f"{run.name}: from {points[0][1]:.3g} to {points[-1][1]:.3g}, at its highest {max(value for _, value in points):.3g}"
        for run, points in zip(runs, curves, strict=True)
        if points
    )
    root = svg.figure(mark, title, f"{label} by epoch. {told}.")
    epochs = [each for each in svg.round_ticks(1, max(last, 2)) if each == int(each) and each >= 1]
    svg.draw_axes(root, x, y, epochs, svg.round_ticks(low, high, 5), ("epoch", label))
    for series, (run, points) in enumerate(zip(runs, curves, strict=True)):
        places = [(x(epoch), y(value)) for epoch, value in points]
        svg.draw_line(root, places, series)
        best = (run.result("best") or {}).get("epoch")
        chosen = [at for (epoch, _), at in zip(points, places, strict=True) if best is not None and epoch == best + 1]
        for at in chosen or places[-1:]:
            shape = SubElement(root, "path", {"class": f"marker series-{series % svg.STYLES}", "d": svg.marker(at, series)})
            SubElement(shape, "title").text = f"{run.name}, {'best' if chosen else 'latest'} epoch"
    return svg.markup(root)


def _points(run: ReportedRun, reading: Reading) -> list[tuple[int, float]]:
    """Epochs, counted from 1, that tell a finite value."""
    known = [(int(line.get("epoch", at)) + 1, reading(line)) for at, line in enumerate(run.epochs)]
    return [(epoch, float(value)) for epoch, value in known if value is not None and math.isfinite(value)]
