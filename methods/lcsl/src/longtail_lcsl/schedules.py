"""The paper's learning rate."""

from __future__ import annotations

import math

from longtail.training.schedules import Schedule


def warmup_late_cosine(warmup: int, epochs: int) -> Schedule:
    """Linear warm-up by whole epochs, then half a cosine that has begun with its first epoch and not ended with the last.

    With t the 0-based epoch: (t + 1) / W for t < W, else (1 + cos(pi (t - W + 1) / (E - W + 1))) / 2. So the last epoch of the
    warm-up has the base rate alone, and the rate never reaches 0.

    Args:
        warmup: W, 0 for none.
        epochs: E.
    """

    def schedule(epoch: float) -> float:
        whole = math.floor(epoch)
        if whole < warmup:
            return (whole + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (whole - warmup + 1) / (epochs - warmup + 1)))

    return schedule
