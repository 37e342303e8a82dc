"""Prior correction, CADEL's second stage: logits are shifted from the long-tailed prior of training towards a uniform one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from longtail.datasets.base import Indices
from longtail.loading.base import Loader
from longtail.losses.base import full_precision
from longtail.losses.class_counts import log_prior
from longtail.metrics import ShotThresholds, Summary
from longtail.training.evaluation import STANDARD_THRESHOLDS, evaluate_readings
from longtail.training.recipe import Reading, Recipe
from longtail.training.runtime import RuntimeOptions


def prior_shift(class_counts: Indices) -> Tensor:
    """delta = log(1 / C) - log(n / N), float32, shape (C,).

    Args:
        class_counts: n, training images per class, int64, shape (C,).

    Raises:
        UserError: a class has no image.
    """
    return -math.log(len(class_counts)) - log_prior(class_counts)


def corrected(outputs: Tensor, tau: float, heads: Sequence[int], shift: Tensor) -> Tensor:
    """The sum over some heads of z^k + tau delta, shape (B, C), float32 or better.

    Args:
        outputs: z, logits of all heads, shape (B, K, C).
        tau: strength of the correction, 0 for none.
        heads: which ones, by 0-based numbers.
        shift: delta, shape (C,).
    """
    # slices, not a list of numbers, which would be copied to the device each time
    chosen = full_precision(torch.stack([outputs[:, head] for head in heads], dim=1))
    return (chosen + tau * shift.to(chosen.dtype)).sum(dim=1)


class Searched(NamedTuple):
    """What a search for tau found.

    tau: the value with the largest accuracy, the first of those that have it.
    score: its accuracy.
    summaries: of each value, in the order of the search.
    """

    tau: float
    score: float
    summaries: dict[float, Summary]


def tau_search(
    recipe: Recipe,
    reading: Callable[[float], Reading],
    taus: Sequence[float],
    loader: Loader,
    class_counts: Indices,
    *,
    options: RuntimeOptions,
    device: torch.device,
    thresholds: ShotThresholds = STANDARD_THRESHOLDS,
) -> Searched:
    """Evaluate every tau in a single pass over a set, and find the best.

    Args:
        recipe: left in evaluation mode.
        reading: how the recipe's outputs are read with a tau.
        taus: to choose from, at least one.
        loader: the set that decides.
        class_counts: training images per class, int64 (C,).
        options, device, thresholds: see `evaluate`.

    Raises:
        ValueError: there is no tau.
    """
    if not taus:
        raise ValueError("there is no tau to choose from")
    names = {reading_name(tau): tau for tau in taus}
    judged = evaluate_readings(
        recipe,
        loader,
        class_counts,
        {name: reading(tau) for name, tau in names.items()},
        options=options,
        device=device,
        thresholds=thresholds,
    )
    summaries = {tau: judged[name] for name, tau in names.items()}
    best = max(summaries, key=lambda tau: summaries[tau].accuracy)
    return Searched(best, summaries[best].accuracy, summaries)


def reading_name(tau: float) -> str:
    """What a prediction with this tau is called."""
    return f"tau={tau:g}"
