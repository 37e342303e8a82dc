"""What the runs of a study reached: a row for each combination, over its seeds."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longtail.training.run_folder import METRICS
from longtail_rsg_study.flags import dataset_name

SCORES = {"all": "accuracy", "many": "many", "median": "medium", "low": "few"}
"""Columns of the table, and what an evaluation calls them."""

CHOICES = {
    "val": "the best epoch is chosen on the validation images; the test images are evaluated once, at the end",
    "test": "the best epoch is chosen on the test images themselves, which makes its accuracies too high",
    "last": "no epoch is chosen",
}
"""What each `--select` means for the table."""

Statistic = tuple[float | None, float | None]
"""Mean and sample standard deviation."""


@dataclass(frozen=True)
class Reached:
    """What one run reached.

    Args:
        seed: its training seed.
        folder: of its logs.
        command: its command line.
        images: tells whether two runs had the same ones.
        results: test summaries of the best and the last epoch, `best` and `last`.
        idle_rsg: whether it had RSG and nothing was ever generated.
    """

    seed: int
    folder: Path
    command: str
    images: str
    results: Mapping[str, Any]
    idle_rsg: bool

    @classmethod
    def read(cls, folder: Path, seed: int, record: Mapping[str, Any]) -> Reached:
        """What the run in a folder reached.

        Args:
            folder: of its logs.
            seed: its training seed.
            record: its `run.json`.
        """
        epochs = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
        generated = [epoch["train_generated"] for epoch in epochs if "train_generated" in epoch]
        images = record["identity"]["data_fingerprint"]
        return cls(seed, folder, record["command"], images, record["results"], bool(generated) and not any(generated))

    def __str__(self) -> str:
        best, last = (self.results[which] for which in ("best", "last"))
        return (
            f"test accuracy {100 * best['accuracy']:.2f} % after the best epoch ({best['epoch']}), "
            f"{100 * last['accuracy']:.2f} % after the last ({last['epoch']})"
        )


@dataclass
class Row:
    """A combination's line of the table.

    Args:
        label: its name.
        runs: one for each seed.
    """

    label: str
    runs: list[Reached] = field(default_factory=list)

    @property
    def idle_rsg(self) -> bool:
        """Whether RSG generated nothing in some run."""
        return any(run.idle_rsg for run in self.runs)

    def over_seeds(self, epoch: str, score: str) -> Statistic:
        """One score of the best or the last epoch; None where it is absent, the deviation also for a single seed."""
        values = [run.results[epoch][score] for run in self.runs]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None, None
        return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain data, accuracies as fractions."""
        found = {epoch: {name: self.over_seeds(epoch, score) for name, score in SCORES.items()} for epoch in ("best", "last")}
        runs = [
            {
                "seed": run.seed,
                "folder": str(run.folder),
                "command": run.command,
                **{epoch: run.results[epoch] for epoch in ("best", "last")},
            }
            for run in self.runs
        ]
        return {
            "combination": self.label,
            "rsg_generated_nothing": self.idle_rsg,
            "mean": {epoch: {name: mean for name, (mean, _) in scores.items()} for epoch, scores in found.items()},
            "sample_standard_deviation": {
                epoch: {name: spread for name, (_, spread) in scores.items()} for epoch, scores in found.items()
            },
            "runs": runs,
        }


@dataclass(frozen=True)
class Outcome:
    """A study, finished or not; as text it is Markdown.

    Args:
        settings: the arguments of any of its runs.
        rows: each with at least one run.
        planned: how many runs it has when it is finished.
    """

    settings: argparse.Namespace
    rows: Sequence[Row]
    planned: int

    def __str__(self) -> str:
        settings, seeds = self.settings, max(len(row.runs) for row in self.rows)
        epochs = min(settings.epochs, settings.max_epochs or settings.epochs)
        over = "one seed" if seeds == 1 else f"mean ± sample standard deviation over {seeds} seeds"
        lines = [f"# {dataset_name(settings.data_dir)}, {settings.arch}, {epochs} epoch{'s' * (epochs > 1)}", ""]
        lines += [f"Test accuracy in %, {over}.", ""]
        # where nothing is chosen, the last epoch is the best
        for epoch in ("last",) if settings.select == "last" else ("best", "last"):
            lines += [f"After the {epoch} epoch:", "", table(self.rows, epoch), ""]
        return "\n".join([*lines, *(f"- {note}" for note in self.notes())])

    def notes(self) -> list[str]:
        """What one must know to read the numbers."""
        settings, runs = self.settings, [run for row in self.rows for run in row.runs]
        words = {word.partition(":")[0] for row in self.rows for word in row.label.split("+")}
        possible = {
            CHOICES[settings.select]: True,
            f"only {len(runs)} of {self.planned} runs are done": len(runs) < self.planned,
            f"a rehearsal: at most {settings.max_steps} batches in every epoch and evaluation": settings.max_steps is not None,
            "the runs had different images: the data set changed between them": len({run.images for run in runs}) > 1,
            f"`*`: RSG generated nothing; it begins after epoch {settings.epoch_thresh}, from 0 (`--epoch_thresh`)": any(
                row.idle_rsg for row in self.rows
            ),
            "`ldam`: classes weighted by inverse frequency; `ldam:cbl`: class-balanced; `ldam:none`: unweighted": (
                "ldam" in words
            ),
            "`focal`: with gamma 0, as in the study, it is cross entropy (`--focal_gamma`)": (
                "focal" in words and not settings.focal_gamma
            ),
        }
        return [note for note, holds in possible.items() if holds]

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain data, accuracies as fractions."""
        return {
            "format": 1,
            "data": dataset_name(self.settings.data_dir),
            "arch": self.settings.arch,
            "select": self.settings.select,
            "notes": self.notes(),
            "combinations": [row.to_dict() for row in self.rows],
        }


def table(rows: Sequence[Row], epoch: str) -> str:
    """The rows as a Markdown table that is aligned for a terminal, in percent.

    Args:
        rows: each with at least one run.
        epoch: `best` or `last`.
    """
    head = ["combination", *SCORES]
    body = [
        [row.label + " *" * row.idle_rsg, *(in_percent(row.over_seeds(epoch, score)) for score in SCORES.values())]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(cells, widths) for cells in (head, rule, *body))


def in_percent(statistic: Statistic) -> str:
    """As in `83.42 ± 1.20`; `absent` where there is nothing."""
    mean, spread = statistic
    if mean is None:
        return "absent"
    return f"{100 * mean:.2f}" if spread is None else f"{100 * mean:.2f} ± {100 * spread:.2f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return " | ".join(["| " + first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"
