"""Losses by name."""

from __future__ import annotations

import inspect
from typing import Any

from longtail import names
from longtail.errors import UserError
from longtail.losses.balanced_softmax import BalancedSoftmax
from longtail.losses.base import Loss
from longtail.losses.class_balanced import ClassBalanced
from longtail.losses.class_counts import ClassCounts
from longtail.losses.cross_entropy import CrossEntropy
from longtail.losses.focal import Focal
from longtail.losses.ldam import LDAM
from longtail.losses.logit_adjustment import LogitAdjustment

LOSSES: dict[str, type[Loss]] = {
    "ce": CrossEntropy,
    "focal": Focal,
    "class_balanced": ClassBalanced,
    "ldam": LDAM,
    "balanced_softmax": BalancedSoftmax,
    "logit_adjustment": LogitAdjustment,
}
"""Every loss under the name that `create_loss` knows it by."""

assert tuple(LOSSES) == names.LOSSES


def create_loss(name: str, *, class_counts: ClassCounts, **options: Any) -> Loss:
    """Make the loss of this name.

    Args:
        name: a key of `LOSSES`.
        class_counts: training images per class, integers, shape (C,).
        options: the keyword arguments of the loss, such as `gamma` or `weight`.

    Raises:
        UserError: no loss has this name, the loss has no such option, or cannot work with these values.
    """
    if name not in LOSSES:
        raise UserError(f"no loss is called {name!r}; choose one of {', '.join(LOSSES)}")
    loss = LOSSES[name]
    known = [option for option in inspect.signature(loss).parameters if option != "class_counts"]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise UserError(f"loss {name!r} has no option {unknown[0]!r}; its options: {', '.join(known) or 'none'}")
    return loss(class_counts, **options)
