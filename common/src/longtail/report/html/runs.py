"""What the folder of a run tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from longtail.datasets.findings import shown
from longtail.errors import UserError
from longtail.report.html.predicted import Predicted
from longtail.training.files import read_json
from longtail.training.run_folder import METRICS, RUN_JSON

Result = Mapping[str, Any]
"""An evaluation as `Summary.to_dict` gives it, with its epoch, counted from 0."""


class Member(NamedTuple):
    """What a run is in a comparison.

    contender: name of its method there.
    seed: of its training.
    """

    contender: str
    seed: int


@dataclass(frozen=True)
class ReportedRun:
    """A run as the report shows it.

    Args:
        name: what the report calls it.
        folder: where it lies.
        record: its `run.json`.
        epochs: the lines of its `metrics.jsonl`.
        class_names: C of them, fit to be printed.
        class_counts: training images per class, C of them.
        member: what it is in the comparison that is reported, or None.
        predicted: what the network makes of test images, or None.
        why_not: the reason for the latter.
    """

    name: str
    folder: Path
    record: Mapping[str, Any]
    epochs: Sequence[Mapping[str, Any]]
    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    member: Member | None = None
    predicted: Predicted | None = None
    why_not: str = ""

    @property
    def method(self) -> str:
        """The method's name, or the program that a paper's run was started with."""
        identity = self.record.get("identity", {})
        return shown(str(identity.get("method") or str(self.record.get("command", "")).partition(" ")[0] or "unknown"))

    @property
    def is_finished(self) -> bool:
        """Whether training has come to its end."""
        return bool(self.record.get("finished"))

    @property
    def selection(self) -> str:
        """By what the best epoch was chosen: test, val, last, or an empty text where nothing tells."""
        return str(self.record.get("results", {}).get("select") or self.record.get("identity", {}).get("select") or "")

    def result(self, which: str) -> Result | None:
        """The evaluation of the `best` or the `last` epoch; of a run under way, the best so far and the latest."""
        known: Result | None = self.record.get("results", {}).get(which)
        if known is not None:
            return known
        told = [line for line in self.epochs if judged(line) is not None and (which == "last" or line.get("is_best"))]
        return {**(judged(told[-1]) or {}), "epoch": told[-1].get("epoch", 0)} if told else None

    def accuracies(self) -> list[float | None]:
        """Accuracy of each class at the best epoch, C of them; None for a class that was not tested, or before any test."""
        known = (self.result("best") or {}).get("per_class_accuracy") or ()
        return list(known) if len(known) == len(self.class_names) else [None] * len(self.class_names)


def judged(line: Mapping[str, Any]) -> Result | None:
    """The evaluation of an epoch: on the test images, or where there was none, on validation images."""
    found: Result | None = line.get("test") or line.get("val")
    return found


def find_runs(paths: Iterable[str | Path]) -> list[Path]:
    """The folders of runs: those given, and of a folder that is none the runs one or two levels below it.

    Raises:
        UserError: there is no run.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        folder = path.expanduser()
        inside = [folder] if (folder / RUN_JSON).is_file() else list(_below(folder))
        if not inside:
            raise UserError(f"{shown(folder)} is not the folder of a run: there is no {RUN_JSON} in it or below it")
        found += inside
    return list(dict.fromkeys(found))


def _below(folder: Path) -> Iterator[Path]:
    """Runs below a folder, without those that were set aside for newer ones."""
    for file in sorted([*folder.glob(f"*/{RUN_JSON}"), *folder.glob(f"*/*/{RUN_JSON}")]):
        if "~" not in file.parent.name:
            yield file.parent


def read_run(folder: Path, member: Member | None = None) -> ReportedRun:
    """What a run's folder tells, of finished and of unfinished runs.

    Args:
        folder: holds `run.json`.
        member: what it is in a comparison, which gives it its name; otherwise that is the folder's.

    Raises:
        UserError: the files are damaged, or not those of a run.
    """
    record = read_json(folder / RUN_JSON)
    if not isinstance(record, dict) or not isinstance(record.get("class_counts"), list):
        raise UserError(f"{shown(folder / RUN_JSON)} does not tell the class counts of a run")
    counts = tuple(int(each) for each in record["class_counts"])
    names = record.get("input", {}).get("class_names") or [str(index) for index in range(len(counts))]
    return ReportedRun(
        name=shown(folder.resolve().name) if member is None else f"{member.contender}, seed {member.seed}",
        folder=folder,
        record=record,
        epochs=_lines(folder / METRICS),
        class_names=tuple(shown(each) for each in names),
        class_counts=counts,
        member=member,
    )


def _lines(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {shown(file)}: {error}") from error
    return [line for line in lines if isinstance(line, dict)]


def told_apart(runs: Sequence[ReportedRun]) -> list[ReportedRun]:
    """The runs with names of their own: those that share one are called by their paths."""
    names = [run.name for run in runs]
    return [run if names.count(run.name) == 1 else replace(run, name=shown(run.folder)) for run in runs]
