"""The paper's draws of mixup."""

from __future__ import annotations

import numpy as np
import torch

from longtail.training.mixup import Mix, Mixing
from longtail.training.recipe import Clock


def draw_mix(rng: np.random.RandomState, generator: torch.Generator, size: int, alpha: float) -> Mix:
    """Draw lambda from numpy's legacy Beta(alpha, alpha) and the permutation from torch, as the paper's code does."""
    return Mix(float(rng.beta(alpha, alpha)), torch.randperm(size, generator=generator))


def mixup(alpha: float) -> Mixing | None:
    """The run's blends, each a pure function of (seed, epoch, step); None, without mixup, where alpha is not positive."""
    if alpha <= 0:
        return None

    def mix_at(clock: Clock, size: int) -> Mix:
        place = (clock.epoch, clock.step)
        rng, generator = clock.randomness.legacy("mixup", *place), clock.randomness.torch_generator("mixup", *place)
        return draw_mix(rng, generator, size, alpha)

    return mix_at
