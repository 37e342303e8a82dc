"""The lines that the paper's scripts print, and the files that they write."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from longtail.datasets.base import Indices
from longtail.metrics import ShotThresholds, Summary
from longtail.training.files import write_atomically
from longtail.training.recipe import Clock
from longtail.training.reports import BatchReport, EpochReport, Listener
from longtail.training.run_folder import Run

LOG = "log.txt"
ACCURACIES = "acc.csv"
LOSSES = "loss.csv"
CONFIG = "cfg.yaml"
BY_CLASS = "cls_accs.pkl"

_ACCURACIES = (
    "epoch,train_all,train_many,train_median,train_low,val_all,val_many,val_median,val_low,val_fscore"  # the paper's header
)
_LOSSES = "Epoch,Step,Total,feat"

Groups = tuple[float | None, float | None, float | None]
"""Accuracy of many, medium and few, fractions; None for a group without classes."""


def batch_line(report: BatchReport, clock: Clock, learning_rate: float) -> str:
    """The line about a training batch."""
    return (
        f"Epoch: [{clock.epoch + 1}/{clock.epochs}] Step: {report.step:5d} Loss: {report.loss.value:.3f} "
        f"current_learning_rate: {learning_rate:0.5f} Minibatch_accuracy_micro: {report.top1.value:.3f}"
    )


def training_lines(report: BatchReport, groups: Groups) -> str:
    """The lines about an epoch's training."""
    many, medium, few = map(_share, groups)
    return f" Training acc Top1: {report.top1.mean:.3f}\nMany_top1: {many} Median_top1: {medium} Low_top1: {few}"


def evaluation_lines(phase: str, result: Summary) -> str:
    """The block about an evaluation, with a line of percentages where it is not the validation set's."""
    many, medium, few = map(_share, _groups(result))
    lines = [
        f"Phase: {phase}",
        f"Evaluation_accuracy_micro_top1: {result.accuracy:.3f}",
        f"Averaged F-measure: {result.macro_f1:.3f}",
        f"Many_shot_accuracy_top1: {many} Median_shot_accuracy_top1: {medium} Low_shot_accuracy_top1: {few}",
    ]
    if phase != "val":
        lines.append(" \t ".join(_percent(each) for each in (*_groups(result), result.accuracy)))
    return "\n".join(lines)


def group_means(per_class: Sequence[float | None], class_counts: Indices, thresholds: ShotThresholds) -> Groups:
    """The mean over the classes of each shot group that have an accuracy.

    Args:
        per_class: C accuracies.
        class_counts: what the groups go by, int64, shape (C,).
        thresholds: bounds of the groups.
    """
    values = np.array([np.nan if each is None else each for each in per_class])
    known = ~np.isnan(values)
    many, medium, few = (
        float(values[group & known].mean()) if (group & known).any() else None for group in thresholds.groups(class_counts)
    )
    return many, medium, few


def _groups(result: Summary) -> Groups:
    return result.many, result.medium, result.few


def _share(value: float | None) -> str:
    return "absent" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:.1f}"


def _field(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


class PaperLog(Listener):
    """Prints the paper's lines and writes its files.

    Args:
        run: where the files go.
        class_counts: what the shot groups go by, int64, shape (C,).
        config: the content of `cfg.yaml`.
        thresholds: bounds of the shot groups.
    """

    def __init__(self, run: Run, class_counts: Indices, *, config: str, thresholds: ShotThresholds | None = None) -> None:
        self._run = run
        self._class_counts = class_counts
        self._config = config
        self._thresholds = thresholds or ShotThresholds()

    def run_started(self, epoch: int, epochs: int) -> None:
        """Write `cfg.yaml`, and the headers of the tables of a new run."""
        write_atomically(self._run.log_dir / CONFIG, self._config.encode())
        for name, header in ((ACCURACIES, _ACCURACIES), (LOSSES, _LOSSES)):
            if not self._run.log(name).size:
                self._run.log(name).append(header + "\n")

    def train_batch(self, report: BatchReport, clock: Clock, learning_rate: float) -> None:
        """Print the batch's line and log it."""
        self.say(batch_line(report, clock, learning_rate))
        self._run.log(LOSSES).append(f"{clock.epoch + 1},{report.step},{report.loss.value:.6f},\n")

    def evaluated(self, report: EpochReport) -> None:
        """Print and log the epoch."""
        training = group_means(report.train.per_class, self._class_counts, self._thresholds)
        self.say(training_lines(report.train, training))
        if report.shown is None:
            return
        phase, result = report.shown
        self.say(evaluation_lines(phase, result))
        values = (report.train.top1.mean, *training, result.accuracy, *_groups(result), result.macro_f1)
        self._run.log(ACCURACIES).append(",".join([str(report.clock.epoch + 1), *map(_field, values)]) + "\n")

    def run_finished(self, results: dict[str, Any]) -> None:
        """Print what came out, and write the accuracies class by class."""
        best = results["best"]
        if best is not None:
            score = results["best_score"]
            self.say(f"Best validation accuracy is {score:.3f} at epoch {best['epoch'] + 1}\nDone")
            self.say(result_block("test", best))
            write_class_accuracies(self._run.log_dir, best["per_class_accuracy"])
        for name, result in results.get("final", {}).items():
            self.say(f"{_percents(result)} \t {name.replace('_', ' ')}")
        self.say("ALL COMPLETED.")

    def say(self, lines: str) -> None:
        """Print lines, and add them to the log."""
        print(lines, flush=True)
        self._run.log(LOG).append(lines + "\n")


def result_block(phase: str, result: Mapping[str, Any]) -> str:
    """`evaluation_lines` of a summary as a dictionary."""
    return evaluation_lines(phase, Summary(**{key: result[key] for key in Summary.__dataclass_fields__}))


def _percents(result: Mapping[str, Any]) -> str:
    return " \t ".join(_percent(result[name]) for name in ("many", "medium", "few", "accuracy"))


def write_class_accuracies(folder: Path, accuracies: Sequence[float | None]) -> None:
    """Write the accuracies of the classes that have one, in the order of their labels, as the paper's script does."""
    known = [each for each in accuracies if each is not None]
    write_atomically(folder / BY_CLASS, pickle.dumps(known, protocol=4))
