"""The paper's draws of mixup."""

from __future__ import annotations

import torch

from longtail.training.mixup import Mix
from longtail.training.recipe import Clock


def draw_mix(generator: torch.Generator, size: int) -> Mix:
    """Draw lambda from Beta(1, 1), then the permutation, as the paper's code does from torch's global generator."""
    # what `torch.distributions.Beta` draws with, which takes no generator
    share = torch._sample_dirichlet(torch.ones(2), generator)[0]
    return Mix(float(share), torch.randperm(size, generator=generator))


def mix_at(clock: Clock, size: int) -> Mix:
    """The run's blend at this point, a pure function of (seed, epoch, step)."""
    return draw_mix(clock.randomness.torch_generator("mixup", clock.epoch, clock.step), size)
