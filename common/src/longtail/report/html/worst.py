"""The classes that a network knows least, and what it takes their images for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from longtail.report.html.runs import ReportedRun
from longtail.report.html.thumbnails import data_uri

CLASSES = 5
"""Classes that are shown."""

IMAGES = 4
"""Images of each."""


@dataclass(frozen=True)
class Example:
    """An image that was taken for another class.

    Args:
        address: the picture itself, as a data URI.
        taken_for: name of the other class.
        confidence: probability that the network gave it.
    """

    address: str
    taken_for: str
    confidence: float


@dataclass(frozen=True)
class WorstClass:
    """A class with a low accuracy.

    Args:
        name: of the class.
        training_images: how many it has.
        accuracy: at the best epoch.
        taken_for: the other classes that its images were taken for, with how many, the most frequent first; None where nothing
            tells.
        examples: some of those images, the most confident mistakes first.
    """

    name: str
    training_images: int
    accuracy: float
    taken_for: list[tuple[str, int]] | None
    examples: list[Example]


def worst_classes(run: ReportedRun, *, with_images: bool) -> list[WorstClass]:
    """The classes with the lowest accuracy, the worst first, of those the smallest.

    Args:
        run: whose accuracies are those of its predictions where it has some.
        with_images: show examples.
    """
    accuracies = _accuracies(run)
    known = [(value, run.class_counts[label], label) for label, value in enumerate(accuracies) if value is not None]
    return [
        WorstClass(run.class_names[label], count, value, _taken_for(run, label), _examples(run, label) if with_images else [])
        for value, count, label in sorted(known)[:CLASSES]
    ]


def _accuracies(run: ReportedRun) -> list[float | None]:
    if run.predicted is None:
        return run.accuracies()
    counts = run.predicted.counts
    pairs = zip(counts.true_positives.tolist(), counts.support.tolist(), strict=True)
    return [right / images if images else None for right, images in pairs]


def _taken_for(run: ReportedRun, label: int) -> list[tuple[str, int]] | None:
    if run.predicted is None:
        return None
    others = run.predicted.labels[(run.predicted.data.labels == label) & (run.predicted.labels != label)]
    return [(run.class_names[other], images) for other, images in Counter(others.tolist()).most_common(3)]


def _examples(run: ReportedRun, label: int) -> list[Example]:
    if run.predicted is None:
        return []
    predicted = run.predicted
    wrong = np.flatnonzero((predicted.data.labels == label) & (predicted.labels != label))
    surest = wrong[np.argsort(-predicted.confidence[wrong], kind="stable")][:IMAGES]
    found = [(data_uri(predicted.data.images, at), at) for at in surest.tolist()]
    return [
        Example(address, run.class_names[int(predicted.labels[at])], float(predicted.confidence[at]))
        for address, at in found
        if address is not None
    ]
