"""Lines in the form of PyTorch's ImageNet example, which the scripts of many papers print."""

from __future__ import annotations

import math

from longtail.metrics import Summary
from longtail.training.recipe import Clock
from longtail.training.reports import Averaged, BatchReport


def meter(name: str, quantity: Averaged, digits: int, scale: float = 1.0) -> str:
    """A quantity's latest value and, in brackets, its mean, as in `Loss 0.3471 (0.4102)`."""
    return f"{name} {scale * quantity.value:.{digits}f} ({scale * quantity.mean:.{digits}f})"


def train_line(report: BatchReport, clock: Clock, learning_rate: float) -> str:
    """The line about a training batch."""
    head = f"Epoch: [{clock.epoch}][{report.step}/{report.steps}], lr: {learning_rate:.5f}"
    return "\t".join([head, *_meters(report, with_data=True)])


def evaluation_line(report: BatchReport, *, with_data: bool = False) -> str:
    """The line about an evaluation batch; `with_data` tells how long it waited for its images."""
    return "\t".join([f"Test: [{report.step}/{report.steps}]", *_meters(report, with_data=with_data)])


def _meters(report: BatchReport, *, with_data: bool) -> list[str]:
    times = [meter("Time", report.seconds, 3), *([meter("Data", report.data_seconds, 3)] if with_data else [])]
    scores = [meter("Loss", report.loss, 4), meter("Prec@1", report.top1, 3, 100), meter("Prec@5", report.top5, 3, 100)]
    return [*times, *scores]


def result_line(result: Summary) -> str:
    """The line about an evaluation, which papers call `val` whatever the set."""
    loss = math.nan if result.loss is None else result.loss
    return f"val Results: Prec@1 {100 * result.accuracy:.3f} Prec@5 {100 * result.top5:.3f} Loss {loss:.5f}"


def class_line(result: Summary) -> str:
    """The accuracy of every class, in the order of the labels; nan for one that the set holds no image of."""
    shown = (f"{math.nan if share is None else share:.3f}" for share in result.per_class_accuracy)
    return f"val Class Accuracy: [{','.join(shown)}]"


def best_line(best: float | None) -> str:
    """The line about the best accuracy so far, a fraction."""
    return f"Best Prec@1: {100 * (best or 0.0):.3f}"
