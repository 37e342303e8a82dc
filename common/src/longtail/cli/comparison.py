"""Several methods, a few seeds each: what they reached, as a table, a plot and plain data."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.cli.output import percent, table
from longtail.errors import UserError
from longtail.metrics.over_seeds import ENOUGH, Statistic, mean_and_spread
from longtail.metrics.paired import PairedDifference, paired_difference
from longtail.metrics.sampling import balanced_standard_error
from longtail.report.scores import scores
from longtail.training.files import read_json, write_atomically, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from longtail.datasets.base import LongTailData

SCORES = scores("all", "many", "medium", "few", "balanced")
"""Columns of the table, and what an evaluation calls them."""
MORE_SCORES = scores("macro-F1", "worst class", "calibration error")
VERDICT_SCORE = "balanced_accuracy"
"""What a verdict goes by: all classes count alike, as they do on a balanced test set."""

NORMAL_95 = statistics.NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Outcome:
    """What one method reached.

    Args:
        label: what table and plot call it.
        seeds: the training seeds.
        results: the test summary of each seed's run, as a dictionary.
        folders: each seed's run folder.
        train_seconds: each seed's time in training, evaluation apart.
        failures: what the runs of other seeds failed of, by seed.
    """

    label: str
    seeds: list[int] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    train_seconds: list[float] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)

    def add(self, seed: int, result: dict[str, Any], folder: Path, train_seconds: float) -> None:
        """Note one more run."""
        self.seeds.append(seed)
        self.results.append(result)
        self.folders.append(folder)
        self.train_seconds.append(train_seconds)

    def in_order(self) -> Outcome:
        """The same with its runs sorted by seed; side by side, they end in any order."""
        made = Outcome(self.label, failures=dict(sorted(self.failures.items())))
        for run in sorted(zip(self.seeds, self.results, self.folders, self.train_seconds, strict=True), key=lambda run: run[0]):
            made.add(*run)
        return made

    def by_seed(self, score: str) -> dict[int, float]:
        """One score of the summaries, where it is known."""
        values = ((seed, result[score]) for seed, result in zip(self.seeds, self.results, strict=True))
        return {seed: value for seed, value in values if value is not None}

    def over_seeds(self, score: str) -> Statistic:
        """One score of the summaries."""
        return mean_and_spread([result[score] for result in self.results])

    def per_class(self) -> list[Statistic]:
        """The accuracy of each class."""
        by_class = zip(*(result["per_class_accuracy"] for result in self.results), strict=True)
        return [mean_and_spread(values) for values in by_class]

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain data."""
        mean, spread = zip(*self.per_class(), strict=True) if self.results else ((), ())
        scores = {score: self.over_seeds(score) for score in (SCORES | MORE_SCORES).values()}
        return {
            "label": self.label,
            "mean": {score: value for score, (value, _) in scores.items()} | {"per_class_accuracy": list(mean)},
            "sample_standard_deviation": {score: value for score, (_, value) in scores.items()}
            | {"per_class_accuracy": list(spread)},
            "runs": [
                {"seed": seed, "folder": str(folder), "train_seconds": seconds, "test": result}
                for seed, result, folder, seconds in zip(
                    self.seeds, self.results, self.folders, self.train_seconds, strict=True
                )
            ],
        }


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


@dataclass(frozen=True)
class Comparison:
    """Several contenders against one of them.

    Args:
        outcomes: what each contender reached.
        baseline: the label of the one that the others are compared with.
        facts: of data and training, what a reader must know to make sense of the numbers, as plain data. `test_class_counts`
            among them are what `test_half_width` goes by.
        notes: the same in sentences.
        folder: where all of it lies.
    """

    outcomes: Sequence[Outcome]
    baseline: str
    facts: Mapping[str, Any]
    notes: Sequence[str]
    folder: Path

    @property
    def failed(self) -> list[Outcome]:
        """The contenders of which a run failed."""
        return [outcome for outcome in self.outcomes if outcome.failures]

    def outcome(self, label: str) -> Outcome:
        """What this contender reached.

        Raises:
            KeyError: there is no such contender.
        """
        return {outcome.label: outcome for outcome in self.outcomes}[label]

    def difference(self, label: str, score: str = VERDICT_SCORE) -> PairedDifference | None:
        """Contender minus baseline over the seeds that both know the score of; None where there are none.

        Args:
            label: the contender.
            score: a field of `longtail.metrics.Summary`.
        """
        own, base = self.outcome(label).by_seed(score), self.outcome(self.baseline).by_seed(score)
        seeds = sorted(own.keys() & base.keys())
        return paired_difference([own[seed] for seed in seeds], [base[seed] for seed in seeds]) if seeds else None

    def verdict(self, label: str) -> str:
        """What the difference in balanced accuracy says, in words."""
        if label == self.baseline:
            return "baseline"
        found = self.difference(label)
        if found is None:
            return "no verdict: no seed that both it and the baseline finished"
        if found.half_width is None or found.pairs < ENOUGH:
            seeds = "one seed" if found.pairs == 1 else f"{found.pairs} seeds"
            return f"{seeds}: no verdict ({100 * found.mean:+.1f} points)"
        if not found.is_beyond_noise:
            return f"no difference beyond seed noise ({with_half_width(found)} points)"
        size = f"{100 * abs(found.mean):.1f} ± {100 * found.half_width:.1f} points"
        told = f"{'better' if found.mean > 0 else 'worse'} by {size}"
        of_images = self.test_half_width(label)
        if of_images is None or abs(found.mean) > of_images:
            return told
        images = sum(self.facts["test_class_counts"])
        return f"{told} on these {images} test images, too few to tell for others (± {100 * of_images:.1f})"

    def test_half_width(self, label: str) -> float | None:
        """What another draw of the test images might do at most to the difference in balanced accuracy, at 95 %.

        The two methods are taken to err independently. They are tested on the same images, so that it is less in truth.
        None where it is not known: the images of each class were not counted, or not all were evaluated.
        """
        counts = self.facts.get("test_class_counts")
        pair = [self.outcome(label), self.outcome(self.baseline)]
        results = [result for outcome in pair for result in outcome.results]
        if counts is None or not all(each.results for each in pair) or any(each["samples"] != sum(counts) for each in results):
            return None
        errors = [balanced_standard_error([mean for mean, _ in outcome.per_class()], counts) for outcome in pair]
        return NORMAL_95 * math.hypot(*errors)

    def tables(self) -> list[Table]:
        """What a terminal shows: the scores in two tables, and the verdicts."""
        seeds = max((len(outcome.seeds) for outcome in self.outcomes), default=0)
        over = f"mean ± sample standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
        first = comparison_table(self.outcomes, f"Test accuracy in %, {over}")
        second = table("", *MORE_SCORES, "train time", title="More, in %", numbers=True)
        for outcome in self.outcomes:
            cells = [with_spread(outcome.over_seeds(score)) for score in MORE_SCORES.values()]
            second.add_row(outcome.label, *cells, train_time(outcome))
        return [first, second, *self._against_baseline()]

    def _against_baseline(self) -> list[Table]:
        made = []
        differences = table("", *SCORES, title=f"Minus {self.baseline}, in points", numbers=True)
        for outcome in self._others:
            found = [self.difference(outcome.label, score) for score in SCORES.values()]
            differences.add_row(outcome.label, *("absent" if each is None else with_half_width(each) for each in found))
        verdicts = table("", "verdict", title=f"Balanced accuracy against {self.baseline}")
        for outcome in self.outcomes:
            verdicts.add_row(outcome.label, self.verdict(outcome.label) + _failures(outcome))
        if self._others:
            made.append(differences)
        if self._others or self.failed:
            made.append(verdicts)
        return made

    @property
    def _others(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.label != self.baseline]

    def write(self) -> list[Path]:
        """Write tables and numbers into the folder; an earlier comparison there that has other runs is kept beside them.

        Returns:
            The files that the earlier one was moved to.

        Raises:
            UserError: something cannot be written.
        """
        numbers, document = (self.folder / f"comparison{ending}" for ending in (".json", ".md"))
        content = self.to_dict()
        moved = [] if _holds(content, numbers) else _keep_beside(numbers, document)
        write_json(numbers, content)
        write_atomically(document, self.markdown().encode())
        return moved

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain data."""
        scores = (SCORES | MORE_SCORES).values()

        def told(label: str, score: str) -> dict[str, Any] | None:
            found = self.difference(label, score)
            return None if found is None else asdict(found)

        return {
            "format": 1,
            **self.facts,
            "notes": list(self.notes),
            "baseline": self.baseline,
            "verdict_score": VERDICT_SCORE,
            "methods": [
                {
                    **outcome.to_dict(),
                    "failures": {str(seed): text for seed, text in outcome.failures.items()},
                    "verdict": self.verdict(outcome.label),
                    "test_half_width": None if outcome.label == self.baseline else self.test_half_width(outcome.label),
                    "difference": None
                    if outcome.label == self.baseline
                    else {score: told(outcome.label, score) for score in scores},
                }
                for outcome in self.outcomes
            ],
        }

    def markdown(self) -> str:
        """Tables and notes as a document."""
        columns = SCORES | MORE_SCORES

        def shown(outcome: Outcome) -> list[str]:
            return [*(with_spread(outcome.over_seeds(score)) for score in columns.values()), train_time(outcome)]

        def against(outcome: Outcome) -> list[str]:
            found = [self.difference(outcome.label, score) for score in columns.values()]
            cells = ["absent" if each is None else with_half_width(each) for each in found]
            return [*cells, self.verdict(outcome.label)]

        parts = [f"# {self.facts['data']}: methods compared", "In %: mean ± sample standard deviation over seeds."]
        parts.append(_rows(("", *columns, "train time"), self.outcomes, shown))
        if self._others:
            parts.append(
                f"Minus {self.baseline}, in points, seed by seed: mean ± half of the 95 % t interval. Verdicts go by balanced "
                "accuracy; of the calibration error less is better."
            )
            parts.append(_rows(("", *columns, "verdict"), self._others, against))
        parts += ["\n".join(f"- {note}" for note in self.notes)]
        failures = [
            f"- {outcome.label}, seed {seed}: {' '.join(text.split())}"
            for outcome in self.outcomes
            for seed, text in outcome.failures.items()
        ]
        parts += ["Failed:", "\n".join(failures)] if failures else []
        return "\n\n".join(parts) + "\n"


def _holds(content: Mapping[str, Any], earlier: Path) -> bool:
    """Whether all runs of an earlier comparison are among these, with what they had come to."""
    if not earlier.exists():
        return True
    try:
        return _runs(read_json(earlier)) <= _runs(content)
    except (UserError, KeyError, TypeError):
        return False


def _runs(content: Mapping[str, Any]) -> set[tuple[str, int, str]]:
    return {
        (method["label"], run["seed"], json.dumps(run["test"], sort_keys=True))
        for method in content["methods"]
        for run in method["runs"]
    }


def _keep_beside(*files: Path) -> list[Path]:
    number = 1
    while any(_numbered(file, number).exists() for file in files):
        number += 1
    try:
        return [file.rename(_numbered(file, number)) for file in files if file.exists()]
    except OSError as error:
        raise UserError(f"cannot move the earlier comparison out of {files[0]}: {error.strerror or error}") from error


def _numbered(file: Path, number: int) -> Path:
    return file.with_name(f"{file.stem}~{number}{file.suffix}")


def with_half_width(difference: PairedDifference) -> str:
    """Points, as in `+2.1 ± 0.8`; of too few seeds the mean alone, since their interval is as wide as it is worthless."""
    mean = f"{100 * difference.mean:+.1f}"
    if difference.half_width is None or difference.pairs < ENOUGH:
        return mean
    return f"{mean} ± {100 * difference.half_width:.1f}"


def train_time(outcome: Outcome) -> str:
    """Mean and spread of the time in training, in seconds or minutes."""
    mean, spread = mean_and_spread(outcome.train_seconds)
    if mean is None:
        return "absent"
    unit, size = ("s", 1) if mean < 120 else ("min", 60)
    return f"{mean / size:.1f}{'' if spread is None else f' ± {spread / size:.1f}'} {unit}"


def _failures(outcome: Outcome) -> str:
    """What failed, once where all seeds failed of the same."""
    seeds: dict[str, list[str]] = {}
    for seed, text in outcome.failures.items():
        seeds.setdefault(text, []).append(str(seed))
    return "".join(f"; failed with seed {', '.join(which)}: {' '.join(text.split())}" for text, which in seeds.items())


def _rows(columns: Sequence[str], outcomes: Sequence[Outcome], cells: Callable[[Outcome], Sequence[str]]) -> str:
    words = ("", "verdict")
    lines = [
        columns,
        ["---" if each in words else "---:" for each in columns],
        *([outcome.label, *cells(outcome)] for outcome in outcomes),
    ]
    return "\n".join(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in line)} |" for line in lines)


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
