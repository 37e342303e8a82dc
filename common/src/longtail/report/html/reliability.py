"""The reliability diagram: how often predictions of a confidence are right."""

from __future__ import annotations

from typing import NamedTuple
from xml.etree.ElementTree import SubElement

from longtail.report.html import svg
from longtail.report.html.predicted import Predicted


class Bin(NamedTuple):
    """Predictions whose confidence lies between two bounds.

    low, high: the bounds.
    samples: how many there are.
    confidence: their mean confidence.
    accuracy: share of them that is right.
    """

    low: float
    high: float
    samples: int
    confidence: float
    accuracy: float


def bins_of(predicted: Predicted) -> list[Bin]:
    """The bins of equal width that hold a prediction."""
    counts = predicted.counts
    samples, correct, confidence = (each.tolist() for each in (counts.bin_samples, counts.bin_correct, counts.bin_confidence))
    width = 1 / len(samples)
    return [
        Bin(at * width, (at + 1) * width, number, confidence[at] / number, correct[at] / number)
        for at, number in enumerate(samples)
        if number
    ]


def reliability_figure(predicted: Predicted, mark: str) -> str:
    """Accuracy by confidence, beside the line on which they are the same.

    Args:
        predicted: what the network makes of test images.
        mark: a name that no other figure of the page has.
    """
    bins = bins_of(predicted)
    x, y = svg.across(0, 100), svg.upward(0, 100)
    too_sure = sum(each.samples for each in bins if each.confidence > each.accuracy) / len(predicted.labels)
    description = (
        f"Share of right predictions by their confidence, in {len(bins)} bins. Calibration error "
        f"{100 * predicted.calibration_error():.1f} %. {100 * too_sure:.0f} % of the images are in bins whose confidence "
        "exceeds their accuracy. The table below gives every bin."
    )
    root = svg.figure(mark, "Reliability diagram", description)
    svg.draw_axes(root, x, y, range(0, 101, 20), range(0, 101, 20), ("confidence (%)", "accuracy (%)"))
    for each in bins:
        left, right, top = x(100 * each.low), x(100 * each.high), y(100 * each.accuracy)
        bar = SubElement(
            root,
            "rect",
            {
                "class": "bar",
                "x": svg.number(left + 1),
                "y": svg.number(top),
                "width": svg.number(right - left - 2),
                "height": svg.number(y(0) - top),
            },
        )
        SubElement(
            bar, "title"
        ).text = (
            f"confidence {100 * each.low:.0f} to {100 * each.high:.0f} %: {100 * each.accuracy:.1f} % of {each.samples} right"
        )
    for each in bins:
        SubElement(
            root, "path", {"class": "marker dot", "d": svg.marker((x(100 * each.confidence), y(100 * each.accuracy)), 0, 3)}
        )
    ends = f"M{svg.number(x(0))} {svg.number(y(0))}L{svg.number(x(100))} {svg.number(y(100))}"
    SubElement(root, "path", {"class": "ideal", "d": ends})
    return svg.markup(root)
