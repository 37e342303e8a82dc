"""What came out of a published command, beside what was published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.cli.output import table
from longtail.training.published import METRICS, TEST, Published

if TYPE_CHECKING:
    from rich.table import Table

TOLERANCE = 1.0
"""Percentage points; nearer to the published figure than that is called within it. A convention, no test of anything."""

FILE = "reproduction.json"
"""Beside the run's `run.json`."""

_CHOSEN = {"test": TEST, "val": "the best epoch on validation images", "last": "none: the last one counts"}


@dataclass(frozen=True)
class Row:
    """Accuracies in percent, by the names of `METRICS`; None for a group without classes."""

    label: str
    values: Mapping[str, float | None]

    @classmethod
    def of(cls, label: str, summary: Mapping[str, Any]) -> Row:
        """The row of a summary as `run.json` has it."""
        return cls(label, {name: None if summary[name] is None else 100 * summary[name] for name in METRICS})


@dataclass(frozen=True)
class Reproduction:
    """A published result and what its command gave here.

    Args:
        name: of the result, `METHOD/NAME`.
        published: the result.
        commands: as they were carried out, everything that was added included.
        records: what `run.json` holds, of each run.
        folders: of the runs.
        differences: why what came out cannot be compared with what was published, in words; empty if it can.
    """

    name: str
    published: Published
    commands: Sequence[str]
    records: Sequence[Mapping[str, Any]]
    folders: Sequence[str]
    differences: Sequence[str]

    @property
    def rows(self) -> list[Row]:
        """All that was measured, in order."""
        return [row for record in self.records for row in _rows(record)]

    @property
    def judged(self) -> Row:
        """What is held against the published figure: the last evaluation, or else the best epoch."""
        return next(_rows(self.records[-1]))

    @property
    def difference(self) -> float | None:
        """Percentage points from the published accuracy to the judged one; None where none was published."""
        return _difference(self.judged, self.published)

    @property
    def chosen_by(self) -> str:
        """How the epoch was chosen here."""
        selected = (each["results"].get("select") for each in self.records)
        return next((_CHOSEN[each] for each in selected if each is not None), "chosen elsewhere, a checkpoint was evaluated")

    def verdict(self) -> str | None:
        """Whether the judged accuracy is `within` `TOLERANCE` of the published one, `below` or `above`; None if neither."""
        if self.differences or self.difference is None:
            return None
        if abs(self.difference) <= TOLERANCE:
            return "within"
        return "below" if self.difference < 0 else "above"

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        published = self.published
        return {
            "format": 1,
            "result": self.name,
            "commands": list(self.commands),
            "published": {
                **{name: getattr(published, name) for name in ("title", "data", "source", "figures", "chosen_by", "remark")},
                "reruns": [asdict(each) for each in published.reruns],
            },
            "here": [{"what": row.label, **row.values} for row in self.rows],
            "chosen_by": self.chosen_by,
            "seed": self._seed,
            "judged": self.judged.label,
            "difference": self.difference,
            "tolerance": TOLERANCE,
            "comparable": not self.differences,
            "not_comparable_because": list(self.differences),
            "verdict": self.verdict(),
            "runs": list(self.folders),
        }

    def table(self) -> Table:
        """Published, by others, and here."""
        shown = table("", *METRICS.values(), "points", title=self.name, numbers=True)
        figures = [f"{value:.2f}" if (value := self.published.figures.get(name)) is not None else "unknown" for name in METRICS]
        shown.add_row("published", *figures)
        for each in self.published.reruns:
            shown.add_row(f"by {each.who}, {len(each.accuracies)} seeds", _range(each.accuracies))
        for row in self.rows:
            difference = _difference(row, self.published)
            values = ["absent" if row.values[name] is None else f"{row.values[name]:.2f}" for name in METRICS]
            shown.add_row(row.label, *values, "unknown" if difference is None else f"{difference:+.2f}")
        return shown

    def remarks(self) -> Iterator[str]:
        """What is to be said below the table."""
        yield "accuracy in %; points: from the published accuracy"
        yield f"epoch, published: {self.published.chosen_by}"
        yield f"epoch, here: {self.chosen_by}"
        if self.published.remark:
            yield f"note: {self.published.remark}"
        if self.differences:
            yield f"not comparable with what was published: {'; '.join(self.differences)}"
        if self.difference is None:
            yield "no published figure is known, so there is nothing to compare with"
        elif not self.differences:
            yield self._sentence(self.difference)
        yield f"one seed ({self._seed}) is no proof: other seeds give other figures, here as in the paper"

    @property
    def _seed(self) -> Any:
        return next((each["identity"]["seed"] for each in self.records if "seed" in each["identity"]), "unknown")

    def _sentence(self, difference: float) -> str:
        how = {
            "within": f"within {TOLERANCE:g} point of the published figure",
            "below": f"{-difference:.2f} points below the published figure",
            "above": f"{difference:.2f} points above the published figure",
        }[str(self.verdict())]
        others = [value for each in self.published.reruns for value in each.accuracies]
        got = self.judged.values["accuracy"]
        if not others or got is None:
            return f"{self.judged.label}: {how}"
        where = "inside" if min(others) <= got <= max(others) else "outside"
        return f"{self.judged.label}: {how}, {where} the range of those who ran it again ({_range(others)})"


def reasons(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What runs themselves tell of why they cannot be compared with what was published."""
    left_out = sum(len(each.get("left_out", ())) for each in records)
    return [f"{left_out} images could not be read and were left out"] if left_out else []


def _rows(record: Mapping[str, Any]) -> Iterator[Row]:
    """What a run came to; first what is judged."""
    results = record["results"]
    if "test" in results:  # of a script that evaluates
        yield Row.of(f"here, {record['command'].split()[0]}", results["test"])
        return
    best, last = results["best"] if results["select"] != "last" else None, results["last"]
    for what, summary in (("best", best), ("last", last)):
        if summary is not None:
            yield Row.of(f"here, {what} epoch ({summary['epoch'] + 1})", summary)
    for name, summary in results.get("final", {}).items():
        yield Row.of(f"here, {name.replace('_', ' ')}", summary)
    if "reading" in results:
        yield Row.of(f"here, {results['reading']['name']}", results["reading"])


def _difference(row: Row, published: Published) -> float | None:
    here, there = row.values["accuracy"], published.figures.get("accuracy")
    return None if here is None or there is None else here - there


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def record_of(folder: str) -> Path:
    """The file that tells of a run."""
    return Path(folder, "run.json")
