"""What figures and tables show as one: the seeds of a method of a comparison, or a run alone."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from longtail.metrics.over_seeds import Statistic, mean_and_spread
from longtail.report.html.runs import ReportedRun


@dataclass(frozen=True)
class Series:
    """Runs that differ in nothing but their seeds.

    Args:
        name: of the method, or of the run that is alone.
        runs: at least one, with the same classes.
    """

    name: str
    runs: tuple[ReportedRun, ...]

    @property
    def is_mean(self) -> bool:
        """Whether it is several runs."""
        return len(self.runs) > 1

    @property
    def told(self) -> str:
        """Its name, and of how many seeds its numbers are means."""
        return f"{self.name} (mean of {len(self.runs)} seeds)" if self.is_mean else self.name

    def accuracies(self) -> list[Statistic]:
        """Accuracy of each class at the best epoch, C of them."""
        return [mean_and_spread(values) for values in zip(*(run.accuracies() for run in self.runs), strict=True)]

    def class_counts(self) -> list[int]:
        """Training images per class, C of them; their mean, where seeds hold out different numbers."""
        return [round(statistics.fmean(counts)) for counts in zip(*(run.class_counts for run in self.runs), strict=True)]


def in_series(runs: Sequence[ReportedRun]) -> list[Series]:
    """The seeds of each method together, and each run that is of no comparison alone; in the order of the first of each."""
    found: dict[tuple[str, ...], list[ReportedRun]] = {}
    for run in runs:
        # of one method, but with other classes, as after a change of the data: these have no mean
        key = (run.name,) if run.member is None else (run.member.contender, *run.class_names)
        found.setdefault(key, []).append(run)
    return [Series(key[0], tuple(members)) for key, members in found.items()]


def names_of(runs: Collection[str], series: Sequence[Series]) -> str:
    """The names of some of the runs, as a list: that of a method alone, where all of its seeds are among them."""
    told: list[str] = []
    for each in series:
        inside = [run.name for run in each.runs if run.name in runs]
        told += [each.name] if len(inside) == len(each.runs) else inside
    # names of seeds have commas
    return ("; " if any("," in name for name in told) else ", ").join(told)
