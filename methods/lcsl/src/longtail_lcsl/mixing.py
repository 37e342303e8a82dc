"""The paper's draws of mixup."""

from __future__ import annotations

import numpy as np
import torch

from longtail.training.mixup import Mix
from longtail.training.recipe import Clock

BETA = 1.0
"""The share is drawn from Beta(1, 1), so it is uniform; the paper's `--alpha` is something else."""


def draw_mix(rng: np.random.RandomState, generator: torch.Generator, size: int) -> Mix:
    """Draw lambda from numpy's legacy Beta distribution and the permutation from torch, as the paper's code does."""
    return Mix(float(rng.beta(BETA, BETA)), torch.randperm(size, generator=generator))


def mix_at(clock: Clock, size: int) -> Mix:
    """The run's blend at this point, a pure function of (seed, epoch, step)."""
    place = (clock.epoch, clock.step)
    return draw_mix(clock.randomness.legacy("mixup", *place), clock.randomness.torch_generator("mixup", *place), size)
