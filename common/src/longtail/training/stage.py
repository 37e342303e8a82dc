"""A stage: a recipe with all that it is trained with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from longtail.datasets.base import ImageData
from longtail.loading.base import Loader
from longtail.training.recipe import Recipe
from longtail.training.schedules import Schedule


@dataclass(frozen=True)
class Stage:
    """One recipe with its data, optimiser and schedule; a method is a sequence of these.

    Args:
        name: shown where a method has several stages.
        recipe: the algorithm, on its device.
        train: batches to learn from.
        optimiser: over the recipe's parameters; each group's `lr` is the base rate.
        schedule: multiple of the base rate, by epoch.
        epochs: planned epochs.
        metric: the field of `Summary` that chooses the best epoch.
        shown: makes the loader of a part of the data for evaluation; None shows every image once, unaugmented.
    """

    name: str
    recipe: Recipe
    train: Loader
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    epochs: int
    metric: str = "accuracy"
    shown: Callable[[ImageData], Loader] | None = None


def create_sgd(
    recipe: torch.nn.Module, *, lr: float, momentum: float, weight_decay: float, nesterov: bool = False
) -> torch.optim.SGD:
    """SGD over all parameters, fused on CUDA so that a step with a non-finite loss can be skipped without waiting for it.

    Without momentum there is nothing for Nesterov's to look ahead with, and it is left out.
    """
    parameters = [each for each in recipe.parameters() if each.requires_grad]
    on_cuda = any(each.is_cuda for each in parameters)
    return torch.optim.SGD(
        parameters,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        nesterov=nesterov and momentum > 0,
        fused=True if on_cuda else None,
    )
