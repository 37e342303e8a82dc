"""Evaluation of a recipe on a whole set: exact over ranks, with no sample counted twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import NamedTuple

import torch

from longtail.datasets.base import Indices
from longtail.distributed import sum_over_ranks
from longtail.loading.base import Loader
from longtail.metrics import ClassificationCounts, ShotThresholds, Summary, summarise
from longtail.training.devices import autocast, in_memory_format
from longtail.training.recipe import Predict, Reading, Recipe
from longtail.training.reports import BatchReport, Meters
from longtail.training.runtime import RuntimeOptions

STANDARD_THRESHOLDS = ShotThresholds()


class Chosen(NamedTuple):
    """The best of several ways to read a recipe's outputs.

    name: of the reading.
    scores: of all readings on the set that decided, by name.
    test: summary of the chosen one on the test set.
    """

    name: str
    scores: dict[str, float]
    test: Summary


def choose_reading(
    judge: Callable[[Loader, Mapping[str, Reading]], Mapping[str, Summary]],
    readings: Mapping[str, Reading],
    val: Loader | None,
    test: Loader,
    metric: str,
) -> Chosen:
    """The reading that is best on the validation set; the first of those that are.

    Args:
        judge: evaluates readings on a set.
        readings: to choose from, at least one.
        val: the set that decides; None lets the test set decide, and what follows is then no test any more.
        test: the test set.
        metric: the field of `Summary` that decides.
    """
    summaries = judge(test if val is None else val, readings)
    scores = {name: float(getattr(summary, metric)) for name, summary in summaries.items()}
    name = max(scores, key=lambda each: scores[each])
    return Chosen(name, scores, summaries[name] if val is None else judge(test, {name: readings[name]})[name])


@torch.no_grad()
def evaluate(
    recipe: Recipe,
    loader: Loader,
    class_counts: Indices,
    *,
    options: RuntimeOptions,
    device: torch.device,
    thresholds: ShotThresholds = STANDARD_THRESHOLDS,
    log_interval: int = 50,
    on_batch: Callable[[BatchReport], None] | None = None,
    predict: Predict | None = None,
) -> Summary:
    """Evaluate a recipe's predictions.

    Args:
        recipe: left in evaluation mode.
        loader: the set, each sample once.
        class_counts: training images per class, int64 (C,), which define the shot groups.
        options: precision, memory format and `--max-steps` count here.
        device: where the recipe is.
        thresholds: bounds of the shot groups.
        log_interval: batches between calls of `on_batch`.
        on_batch: is told the running numbers.
        predict: makes the predictions, if not the recipe's own `predict`.

    Returns:
        The summary over all ranks; its loss is the recipe's evaluation loss, averaged over samples.
    """
    recipe.eval()
    counts = ClassificationCounts(len(class_counts), device)
    meters = Meters(device)
    steps = min(loader.steps, options.max_steps or loader.steps)
    for step, batch in enumerate(islice(loader.epoch(0), steps)):
        meters.data_ready()
        with autocast(device, options.precision):
            logits = (predict or recipe.predict)(in_memory_format(batch, options).images)
            loss = recipe.evaluation_loss(logits, batch.labels)
        counts.update(logits, batch.labels, loss * len(batch.labels))
        meters.add(loss, logits, batch.labels)
        meters.batch_done()
        if on_batch is not None and step % log_interval == 0:
            on_batch(meters.report(step, steps))
    sum_over_ranks(counts.tensors())
    return summarise(counts, class_counts, thresholds)


@torch.no_grad()
def evaluate_readings(
    recipe: Recipe,
    loader: Loader,
    class_counts: Indices,
    readings: Mapping[str, Reading],
    *,
    options: RuntimeOptions,
    device: torch.device,
    thresholds: ShotThresholds = STANDARD_THRESHOLDS,
) -> dict[str, Summary]:
    """Evaluate several ways to read a recipe's outputs, which are computed once; other arguments are those of `evaluate`."""
    recipe.eval()
    counts = {name: ClassificationCounts(len(class_counts), device) for name in readings}
    steps = min(loader.steps, options.max_steps or loader.steps)
    for batch in islice(loader.epoch(0), steps):
        with autocast(device, options.precision):
            outputs = recipe.outputs(in_memory_format(batch, options).images)
            for name, read in readings.items():
                logits = read(outputs)
                loss = recipe.evaluation_loss(logits, batch.labels)
                counts[name].update(logits, batch.labels, loss * len(batch.labels))
    for each in counts.values():
        sum_over_ranks(each.tensors())
    return {name: summarise(each, class_counts, thresholds) for name, each in counts.items()}
