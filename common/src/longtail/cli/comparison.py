"""Several methods, a few seeds each: what they reached, as a table, a plot and plain data."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.cli.output import percent, table

if TYPE_CHECKING:
    from rich.table import Table

    from longtail.datasets.base import LongTailData

SCORES = {"all": "accuracy", "many": "many", "medium": "medium", "few": "few", "balanced": "balanced_accuracy"}
"""Columns of the table, and what an evaluation calls them."""

Statistic = tuple[float | None, float | None]
"""Mean and sample standard deviation."""


@dataclass(frozen=True)
class Outcome:
    """What one method reached.

    Args:
        label: what table and plot call it.
        seeds: the training seeds.
        results: the test summary of each seed's run, as a dictionary.
        folders: each seed's run folder.
    """

    label: str
    seeds: list[int] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)

    def add(self, seed: int, result: dict[str, Any], folder: Path) -> None:
        """Note one more run."""
        self.seeds.append(seed)
        self.results.append(result)
        self.folders.append(folder)

    def over_seeds(self, score: str) -> Statistic:
        """One score of the summaries."""
        return mean_and_spread([result[score] for result in self.results])

    def per_class(self) -> list[Statistic]:
        """The accuracy of each class."""
        by_class = zip(*(result["per_class_accuracy"] for result in self.results), strict=True)
        return [mean_and_spread(values) for values in by_class]

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain data."""
        mean, spread = zip(*self.per_class(), strict=True)
        scores = {score: self.over_seeds(score) for score in SCORES.values()}
        return {
            "label": self.label,
            "mean": {score: value for score, (value, _) in scores.items()} | {"per_class_accuracy": list(mean)},
            "sample_standard_deviation": {score: value for score, (_, value) in scores.items()}
            | {"per_class_accuracy": list(spread)},
            "runs": [
                {"seed": seed, "folder": str(folder), "test": result}
                for seed, result, folder in zip(self.seeds, self.results, self.folders, strict=True)
            ],
        }


def mean_and_spread(values: Sequence[float | None]) -> Statistic:
    """Mean and sample standard deviation; both None where a value is absent, the deviation also for a single value."""
    known = [each for each in values if each is not None]
    if not known or len(known) < len(values):
        return None, None
    return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None


def comparison_table(outcomes: Sequence[Outcome], title: str) -> Table:
    """A row for each method: mean and spread of every score, in percent."""
    shown = table("", *SCORES, title=title, numbers=True)
    for outcome in outcomes:
        shown.add_row(outcome.label, *(with_spread(outcome.over_seeds(score)) for score in SCORES.values()))
    return shown


def with_spread(statistic: Statistic) -> str:
    """Percent, as in `83.4 ± 1.2`."""
    mean, spread = statistic
    return percent(mean) if spread is None else f"{percent(mean)} ± {percent(spread)}"


def draw(path: Path, outcomes: Sequence[Outcome], data: LongTailData, *, title: str, note: str) -> None:
    """Draw the accuracy of each class against its size.

    Raises:
        UserError: matplotlib is not installed, or the file cannot be written.
    """
    from longtail.report.plots import PerClass, per_class_plot

    series = []
    for outcome in outcomes:
        mean, spread = zip(*outcome.per_class(), strict=True)
        bars = () if all(each is None for each in spread) else spread
        series.append(PerClass(outcome.label, mean, bars))
    per_class_plot(path, data.class_counts, series, title=title, note=note)
