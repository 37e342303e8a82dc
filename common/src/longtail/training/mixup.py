"""Mixup: which image is blended with which, and how much of each (Zhang et al., mixup, ICLR 2018)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from longtail.distributed import gather_rows, own_slice
from longtail.training.recipe import Clock


class Mix(NamedTuple):
    """How a global batch is blended.

    share: of an image itself, lambda in [0, 1]; the same for the whole batch.
    partners: int64, shape (B,), on the host: which image each one is blended with, a permutation.
    """

    share: float
    partners: Tensor


Mixing = Callable[[Clock, int], Mix]
"""The blend of the batch at a point of the run, given the size of the global batch; each paper draws it in its own way."""


def draw_mix(rng: np.random.RandomState, generator: torch.Generator, size: int, alpha: float) -> Mix:
    """Draw lambda from numpy's legacy Beta(alpha, alpha) and the permutation from torch, as mixup's reference code does."""
    return Mix(float(rng.beta(alpha, alpha)), torch.randperm(size, generator=generator))


def mixup(alpha: float) -> Mixing:
    """The run's blends, each a pure function of (seed, epoch, step).

    Args:
        alpha: of the Beta distribution, positive.
    """

    def mix_at(clock: Clock, size: int) -> Mix:
        place = (clock.epoch, clock.step)
        rng, generator = clock.randomness.legacy("mixup", *place), clock.randomness.torch_generator("mixup", *place)
        return draw_mix(rng, generator, size, alpha)

    return mix_at


@torch.no_grad()
def blended(images: Tensor, mix: Mix) -> Tensor:
    """lambda x + (1 - lambda) x', where partners x' come from the whole global batch.

    Args:
        images: x, shape (B, 3, H, W), this rank's slice of the global batch.
        mix: of the global batch.
    """
    everyone = gather_rows(images)
    partners = mix.partners[own_slice(len(mix.partners))].to(images.device, non_blocking=True)
    # partners in the memory format of the images, which fancy indexing would lose
    others = torch.index_select(everyone, 0, partners, out=torch.empty_like(images))
    return mix.share * images + (1 - mix.share) * others
