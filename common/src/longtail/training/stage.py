"""A stage: a recipe with all that it is trained with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from longtail.datasets.base import ImageData
from longtail.loading.base import Loader
from longtail.training.recipe import Recipe
from longtail.training.schedules import Schedule

ParameterGroups = Sequence[Mapping[str, Any]]
"""Parameters with a learning rate or a weight decay of their own, as torch's optimisers take them."""


@dataclass(frozen=True)
class Stage:
    """One recipe with its data, optimiser and schedule.

    Args:
        name: of the method.
        recipe: the algorithm, on its device.
        train: batches to learn from.
        optimiser: over the recipe's parameters; each group's `lr` is the base rate.
        schedule: multiple of the base rate, by epoch.
        epochs: planned epochs.
        metric: the field of `Summary` that chooses the best epoch.
        shown: makes the loader of a part of the data for evaluation; None shows every image once, unaugmented.
        rate_steps: batches that make an epoch of the schedule, where the rate changes with every batch; None changes it from
            epoch to epoch.
    """

    name: str
    recipe: Recipe
    train: Loader
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    epochs: int
    metric: str = "accuracy"
    shown: Callable[[ImageData], Loader] | None = None
    rate_steps: int | None = None

    def rate_factor(self, epoch: int, step: int) -> float:
        """The multiple of the base rate at a batch, both numbers from 0."""
        return self.schedule(epoch if self.rate_steps is None else epoch + step / self.rate_steps)


def create_sgd(
    trained: nn.Module | ParameterGroups, *, lr: float, momentum: float, weight_decay: float, nesterov: bool = False
) -> torch.optim.SGD:
    """SGD, fused on CUDA so that a step with a non-finite loss can be skipped without waiting for it.

    Without momentum there is nothing for Nesterov's to look ahead with, and it is left out.

    Args:
        trained: a module, of which all parameters are trained that require a gradient, or groups of parameters.
        lr, momentum, weight_decay, nesterov: of the groups that have none of their own.
    """
    groups = _groups(trained)
    return torch.optim.SGD(
        groups,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        nesterov=nesterov and momentum > 0,
        fused=_fused(groups),
    )


def create_adamw(
    trained: nn.Module | ParameterGroups,
    *,
    lr: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019), fused on CUDA; the arguments are as for `create_sgd`."""
    groups = _groups(trained)
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=_fused(groups))


def _groups(trained: nn.Module | ParameterGroups) -> list[dict[str, Any]]:
    if isinstance(trained, nn.Module):
        return [{"params": [each for each in trained.parameters() if each.requires_grad]}]
    return [{**group, "params": list(group["params"])} for group in trained]


def _fused(groups: Sequence[Mapping[str, Any]]) -> bool | None:
    return True if any(each.is_cuda for group in groups for each in group["params"]) else None
