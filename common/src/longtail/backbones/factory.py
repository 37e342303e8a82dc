"""Backbones by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from longtail.backbones.base import Backbone
from longtail.backbones.cifar_resnet import CifarResNet
from longtail.errors import UserError

BACKBONES: dict[str, Callable[..., Backbone]] = {
    f"resnet{depth}": partial(CifarResNet, depth) for depth in (20, 32, 44, 56, 110, 1202)
}
"""Every backbone under its name; each takes the keyword arguments `num_classes` and `head`."""


def create_backbone(name: str, *, num_classes: int, head: str = "linear", seed: int) -> Backbone:
    """Make the backbone of this name on the CPU, with initial weights that depend on the arguments alone.

    The caller's random state, torch's global generators included, is left as it was.

    Args:
        name: a key of `BACKBONES`.
        num_classes: C, at least 1.
        head: "linear", or "cosine" for logits that are cosines.
        seed: of the initial weights.

    Raises:
        UserError: no backbone or head has this name, or there is no class.
    """
    if name not in BACKBONES:
        raise UserError(f"no backbone is called {name!r}; choose one of {', '.join(BACKBONES)}")
    if num_classes < 1:
        raise UserError(f"a classifier needs at least one class, got {num_classes}")
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would re-seed the GPUs as well.
        torch.default_generator.manual_seed(seed)
        return BACKBONES[name](num_classes=num_classes, head=head)
