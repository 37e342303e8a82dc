"""Evaluation of a recipe on a whole set: exact over ranks, with no sample counted twice."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import torch

from longtail.datasets.base import Indices
from longtail.distributed import sum_over_ranks
from longtail.loading.base import Loader
from longtail.metrics import ClassificationCounts, ShotThresholds, Summary, summarise
from longtail.training.devices import autocast, in_memory_format
from longtail.training.recipe import Predict, Recipe
from longtail.training.reports import BatchReport, Meters
from longtail.training.runtime import RuntimeOptions

STANDARD_THRESHOLDS = ShotThresholds()


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
