"""The page: what its template shows, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from longtail import __version__
from longtail.datasets.findings import counted, examples, shown
from longtail.errors import UserError
from longtail.report.html import curves, svg
from longtail.report.html.by_size import by_size_figure
from longtail.report.html.compared import HEADINGS, Compared, spread
from longtail.report.html.confusion import confusion_figure, largest_confusions, needs_width
from longtail.report.html.reliability import bins_of, reliability_figure
from longtail.report.html.runs import ReportedRun, judged, told_apart
from longtail.report.html.series import Series, in_series, names_of
from longtail.report.html.worst import worst_classes

LIMIT = 5_000_000
"""Bytes that a page should stay below."""

CLASS_ROWS = 1000
"""Classes that the table of accuracies shows; of more, the first by size."""

FOLDED = 4
"""Of more runs than these, what is told of each one alone is folded away."""

_SELECTIONS = {
    "test": "best is the epoch with the highest accuracy on the test images, as the papers choose it, which flatters it",
    "val": "best is the epoch with the highest accuracy on held-out training images",
    "last": "nothing was chosen: the results are those of the last epoch",
}


def build_page(
    runs: Sequence[ReportedRun],
    comparison: Compared | None = None,
    *,
    title: str = "Long-tailed classification: report",
    images: bool = True,
) -> str:
    """The runs as one HTML page that needs nothing else.

    Args:
        runs: at least one.
        comparison: what their comparison found, if they are those of one.
        title: of the page.
        images: show examples of mistakes.

    Raises:
        UserError: jinja2 is not installed.
    """
    runs = told_apart(runs)
    series = in_series(runs)
    template = _environment().get_template("page.html")
    return str(
        template.render(
            title=title,
            version=__version__,
            runs=runs,
            series=series,
            keys=[svg.key(at) for at in range(len(series))],
            comparison=comparison,
            folded=FOLDED,
            scores=list(HEADINGS),
            summary=_summaries(series),
            notes=_shared_notes(series),
            by_size=by_size_figure(series),
            class_tables=list(_class_tables(series)),
            class_rows=CLASS_ROWS,
            curves=_curves(series),
            same_accuracy=_same_accuracy(runs),
            unpredicted=_unpredicted(series, [run for run in runs if run.predicted is None]),
            unpredicted_because=_unpredicted_because(series),
            details=[_detail(run, at, images) for at, run in enumerate(runs)],
            images=images,
            differing=_differing(series),
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


def _summaries(series: Sequence[Series]) -> list[dict[str, Any]]:
    """The runs of the table under headings: their methods where they are seeds of one, none where they stand alone."""
    compared = any(run.member for each in series for run in each.runs)
    found: list[dict[str, Any]] = []
    for each in series:
        rows = [{"name": _summary_name(run), "run": run, "rows": _summary(run)} for run in each.runs]
        heading = each.name if each.runs[0].member else "not of the comparison" if compared else ""
        if heading and found and found[-1]["heading"] == heading:
            found[-1]["runs"] += rows
        else:
            found.append({"heading": heading, "runs": rows})
    return found


def _summary_name(run: ReportedRun) -> str:
    return run.name if run.member is None else f"seed {run.member.seed}"


def _summary(run: ReportedRun) -> list[dict[str, Any]]:
    """The rows of the best and the last epoch: one row, where these are the same."""
    results = {which: run.result(which) for which in ("best", "last")}
    epochs = {which: "absent" if each is None else int(each.get("epoch", 0)) + 1 for which, each in results.items()}
    if epochs["best"] == epochs["last"]:
        rows = {"last" if run.selection == "last" else "best and last": "last"}
    else:
        rows = {which: which for which in results}
    return [
        {
            "epoch": f"{label}: {epochs[which]}",
            "cells": [_percent((results[which] or {}).get(each)) for each in HEADINGS.values()],
        }
        for label, which in rows.items()
    ]


def _shared_notes(series: Sequence[Series]) -> list[tuple[str, str]]:
    """What is to be known of the results, each with the runs that it is true of; with none of them, where it is of all."""
    notes = {run.name: list(_notes(run)) for each in series for run in each.runs}
    told = dict.fromkeys(note for of_run in notes.values() for note in of_run)
    whose = {note: [name for name, of_run in notes.items() if note in of_run] for note in told}
    return [(note, "" if len(names) == len(notes) else names_of(names, series)) for note, names in whose.items()]


def _notes(run: ReportedRun) -> Iterator[str]:
    yield _data(run)
    untested = [name for name, value in zip(run.class_names, run.accuracies(), strict=True) if value is None]
    if untested and len(untested) < len(run.class_names):
        yield f"{counted(len(untested), 'class', 'classes')} without test images: {examples(untested)}"
    yield _SELECTIONS.get(run.selection, "how the best epoch was chosen is unknown")
    if not run.is_finished:
        yield "training has not come to its end: these are the best epoch so far and the latest"
    identity = run.record.get("identity", {})
    if "shots_many" in identity and "shots_few" in identity:
        yield f"many: more than {identity['shots_many']} training images, few: fewer than {identity['shots_few']}"


def _data(run: ReportedRun) -> str:
    """What it was trained and tested on, in a line."""
    name = shown(Path(str(run.record.get("identity", {}).get("data") or "unknown data")).name)
    low, high = min(run.class_counts), max(run.class_counts)
    told = f"trained on {name}: {counted(len(run.class_counts), 'class', 'classes')}, "
    told += f"{counted(sum(run.class_counts), 'training image')}, {low:,} to {high:,} a class"
    tested = (run.result("last") or {}).get("samples")
    return told + (f"; {counted(int(tested), 'test image')}" if tested else "")


def _class_tables(series: Sequence[Series]) -> Iterator[dict[str, Any]]:
    """For each set of classes the series that have it, and the accuracy of each class in them, largest class first."""
    for names in dict.fromkeys(each.runs[0].class_names for each in series):
        members = [each for each in series if each.runs[0].class_names == names]
        accuracies = [each.accuracies() for each in members]
        # runs that hold out images train on fewer than others
        counts = [sorted({run.class_counts[label] for each in members for run in each.runs}) for label in range(len(names))]
        order = sorted(range(len(names)), key=lambda label: counts[label][-1], reverse=True)
        rows = [
            (
                names[label],
                " to ".join(f"{each:,}" for each in dict.fromkeys((counts[label][0], counts[label][-1]))),
                [spread(*values[label]) for values in accuracies],
            )
            for label in order[:CLASS_ROWS]
        ]
        yield {"series": members, "rows": rows, "classes": len(order), "spread": any(each.is_mean for each in members)}


def _unpredicted(series: Sequence[Series], runs: Sequence[ReportedRun]) -> str | None:
    """The names of runs without predictions: none of them where it is all, None where there are none."""
    if not runs:
        return None
    everything = sum(len(each.runs) for each in series)
    return "" if len(runs) == everything else names_of([run.name for run in runs], series)


def _unpredicted_because(series: Sequence[Series]) -> list[tuple[str, str]]:
    """The reasons why predictions are not known, each with the runs that it holds for."""
    without = [run for each in series for run in each.runs if run.predicted is None]
    reasons = dict.fromkeys(run.why_not for run in without)
    return [(why, names_of([run.name for run in without if run.why_not == why], series)) for why in reasons]


def _same_accuracy(runs: Sequence[ReportedRun]) -> bool:
    """Whether accuracy and balanced accuracy are one, as on a balanced test set."""
    results = [judged(line) or {} for run in runs for line in run.epochs]
    pairs = [(each.get("accuracy"), each.get("balanced_accuracy")) for each in results]
    known = [(plain, balanced) for plain, balanced in pairs if plain is not None and balanced is not None]
    return bool(known) and all(abs(plain - balanced) < 1e-9 for plain, balanced in known)


def _curves(series: Sequence[Series]) -> list[str]:
    drawn = (
        curves.curve_figure(series, curves.accuracy_of, mark="accuracy", title="Accuracy by epoch", label="accuracy (%)"),
        None
        if _same_accuracy([run for each in series for run in each.runs])
        else curves.curve_figure(
            series,
            curves.balanced_accuracy_of,
            mark="balanced-accuracy",
            title="Balanced accuracy by epoch",
            label="balanced accuracy (%)",
        ),
        curves.curve_figure(
            series, curves.training_loss_of, mark="training-loss", title="Training loss by epoch", label="training loss"
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
        "confusion_scrolls": needs_width(len(run.class_names)),
        "confusions": [] if predicted is None else largest_confusions(predicted.data.labels, predicted.labels),
        "worst": worst_classes(run, with_images=images),
        "settings": sorted(_flat(run.record.get("identity", {}))),
        "versions": list(_flat(run.record.get("versions", {}))),
    }
    if matrix is not None:
        found["confusion"] = confusion_figure(matrix, run.class_names, run.class_counts, f"confusion-{at}")
    return found


def _differing(series: Sequence[Series]) -> list[tuple[str, list[str]]]:
    """The settings in which the runs differ, with the value of each series; all of them, where its runs differ."""
    settings = [[dict(_flat(run.record.get("identity", {}))) for run in each.runs] for each in series]
    names = sorted({name for of_runs in settings for each in of_runs for name in each})
    rows = [(name, [[each.get(name, "absent") for each in of_runs] for of_runs in settings]) for name in names]
    return [
        (name, [", ".join(dict.fromkeys(values)) for values in of_series])
        for name, of_series in rows
        if len({value for values in of_series for value in values}) > 1
    ]


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        yield str(name), "none" if value is None else str(value)
