"""The page: what its template shows, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from longtail import __version__
from longtail.errors import UserError
from longtail.report.html import curves, svg
from longtail.report.html.by_size import by_size_figure
from longtail.report.html.confusion import confusion_figure, largest_confusions
from longtail.report.html.reliability import bins_of, reliability_figure
from longtail.report.html.runs import ReportedRun, told_apart
from longtail.report.html.worst import worst_classes
from longtail.report.scores import scores

LIMIT = 5_000_000
"""Bytes that a page should stay below."""

CLASS_ROWS = 1000
"""Classes that the table of accuracies shows; of more, the first by size."""

_SCORES = scores("all", "balanced", "many", "medium", "few", "macro-F1", "worst class", "calibration error")
_SELECTIONS = {
    "test": "best is the epoch with the highest accuracy on the test images, as the papers choose it, which flatters it",
    "val": "best is the epoch with the highest accuracy on held-out training images",
    "last": "nothing was chosen: best is the last epoch",
}


def build_page(runs: Sequence[ReportedRun], *, title: str = "Long-tailed classification: report", images: bool = True) -> str:
    """The runs as one HTML page that needs nothing else.

    Args:
        runs: at least one.
        title: of the page.
        images: show examples of mistakes.

    Raises:
        UserError: jinja2 is not installed.
    """
    runs = told_apart(runs)
    template = _environment().get_template("page.html")
    return str(
        template.render(
            title=title,
            version=__version__,
            runs=runs,
            keys=[svg.key(at) for at in range(len(runs))],
            scores=list(_SCORES),
            summary=[_summary(run) for run in runs],
            notes=_shared_notes(runs),
            by_size=by_size_figure(runs),
            class_tables=list(_class_tables(runs)),
            class_rows=CLASS_ROWS,
            curves=_curves(runs),
            details=[_detail(run, at, images) for at, run in enumerate(runs)],
            images=images,
            differing=_differing(runs),
        )
    )


def _environment() -> Any:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise UserError("reports need jinja2: pip install 'longtail-common[report]'") from error
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["percent"] = _percent
    return made


def _percent(share: float | None) -> str:
    return "absent" if share is None else f"{100 * share:.1f}"


def _summary(run: ReportedRun) -> list[dict[str, Any]]:
    """The rows of the best and the last epoch."""
    rows = []
    for which in ("best", "last"):
        result = run.result(which)
        cells = [_percent(None if result is None else result.get(each)) for each in _SCORES.values()]
        rows.append({"which": which, "epoch": "absent" if result is None else int(result.get("epoch", 0)) + 1, "cells": cells})
    return rows


def _shared_notes(runs: Sequence[ReportedRun]) -> list[tuple[str, list[str]]]:
    """What is to be known of the results, each with the runs that it is true of; with none of them, where it is of all."""
    notes = {run.name: list(_notes(run)) for run in runs}
    told = dict.fromkeys(note for of_run in notes.values() for note in of_run)
    whose = {note: [name for name, of_run in notes.items() if note in of_run] for note in told}
    return [(note, [] if len(names) == len(runs) else names) for note, names in whose.items()]


def _notes(run: ReportedRun) -> Iterator[str]:
    yield _SELECTIONS.get(run.selection, "how the best epoch was chosen is unknown")
    if not run.is_finished:
        yield "training has not come to its end: these are the best epoch so far and the latest"
    identity = run.record.get("identity", {})
    if "shots_many" in identity and "shots_few" in identity:
        yield f"many: more than {identity['shots_many']} training images, few: fewer than {identity['shots_few']}"
    worst = (run.result("best") or {}).get("worst_class")
    if isinstance(worst, int) and worst < len(run.class_names):
        yield f"worst class of the best epoch: {run.class_names[worst]}"


def _class_tables(runs: Sequence[ReportedRun]) -> Iterator[dict[str, Any]]:
    """For each set of classes the runs that have it, and the accuracy of each class in them, largest class first."""
    for names, counts in dict.fromkeys((run.class_names, run.class_counts) for run in runs):
        members = [run for run in runs if (run.class_names, run.class_counts) == (names, counts)]
        accuracies = [run.accuracies() for run in members]
        order = sorted(range(len(names)), key=counts.__getitem__, reverse=True)
        rows = [
            (names[label], counts[label], [_percent(values[label]) for values in accuracies]) for label in order[:CLASS_ROWS]
        ]
        yield {"runs": [run.name for run in members], "rows": rows, "classes": len(order)}


def _curves(runs: Sequence[ReportedRun]) -> list[str]:
    drawn = (
        curves.curve_figure(runs, curves.accuracy_of, mark="accuracy", title="Accuracy by epoch", label="accuracy (%)"),
        curves.curve_figure(
            runs,
            curves.balanced_accuracy_of,
            mark="balanced-accuracy",
            title="Balanced accuracy by epoch",
            label="balanced accuracy (%)",
        ),
        curves.curve_figure(
            runs, curves.training_loss_of, mark="training-loss", title="Training loss by epoch", label="training loss"
        ),
    )
    return [each for each in drawn if each is not None]


def _detail(run: ReportedRun, at: int, images: bool) -> dict[str, Any]:
    """What the page tells of one run alone."""
    predicted = run.predicted
    matrix = None if predicted is None else predicted.confusion()
    found: dict[str, Any] = {
        "run": run,
        "reliability": None if predicted is None else reliability_figure(predicted, f"reliability-{at}"),
        "bins": [] if predicted is None else bins_of(predicted),
        "confusion": None,
        "confusions": [],
        "worst": worst_classes(run, with_images=images),
        "settings": sorted(_flat(run.record.get("identity", {}))),
        "versions": list(_flat(run.record.get("versions", {}))),
    }
    if matrix is not None:
        found["confusion"] = confusion_figure(matrix, run.class_names, run.class_counts, f"confusion-{at}")
        found["confusions"] = largest_confusions(matrix)
    return found


def _differing(runs: Sequence[ReportedRun]) -> list[tuple[str, list[str]]]:
    """The settings in which the runs differ, with the value of each run."""
    if len(runs) < 2:
        return []
    settings = [dict(_flat(run.record.get("identity", {}))) for run in runs]
    names = sorted({name for each in settings for name in each})
    rows = [(name, [each.get(name, "absent") for each in settings]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        yield str(name), "none" if value is None else str(value)
