"""The paper's learning rates: fixed epochs that do not depend on `--epochs` (the published behaviour)."""

from __future__ import annotations

import math

from longtail.training.schedules import Schedule, warmup_steps

CIFAR = warmup_steps(5, ((160, 0.01), (180, 0.0001)))
DEFERRAL = 160
"""The 0-based epoch at which DRW starts on CIFAR."""
CIFAR_EPOCHS = 200
CIFAR_STRONG_EPOCHS = 400


def cifar_strong(epoch: float) -> float:
    """The 400-epoch recipe on CIFAR: ten epochs of warm-up whose last step overshoots to 1.1, then steps after 320 and 360."""
    whole = math.floor(epoch)
    if whole <= 10:
        return (whole + 1) / 10
    if whole > 360:
        return 0.01
    return 0.1 if whole > 320 else 1.0


def schedule_of(strong: bool) -> Schedule:
    """The CIFAR schedule with or without `--use_randaug`."""
    return cifar_strong if strong else CIFAR


def epochs_written_for(strong: bool) -> int:
    """The number of epochs that the schedule's fixed epochs belong to."""
    return CIFAR_STRONG_EPOCHS if strong else CIFAR_EPOCHS
