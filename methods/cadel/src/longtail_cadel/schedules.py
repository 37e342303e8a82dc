"""The paper's learning rates."""

from __future__ import annotations

import math

from longtail.training.schedules import Schedule, warmup_steps


def cosine(epochs: int, *, lr: float = 1.0, end_lr: float = 0.0) -> Schedule:
    """Of CNNs: half a cosine by whole epochs, which the last epoch does not quite end; without warm-up.

    With i the 0-based epoch: end + (lr - end) (1 + cos(pi i / E)) / 2.

    Args:
        epochs: E.
        lr: base learning rate, positive. Parameters with a base rate of their own end at the same part of it.
        end_lr: learning rate after the last epoch.
    """
    end = end_lr / lr

    def schedule(epoch: float) -> float:
        return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * math.floor(epoch) / epochs))

    return schedule


def stepped(warmup: int, first: int, second: int, *, factor: float = 0.1) -> Schedule:
    """Of CNNs with `coslr: false`: linear warm-up by whole epochs, and two drops that do not wait for its end.

    With i the 0-based epoch: (i + 1) / W while i < W, times g from the first drop on, times g again from the second on.

    Args:
        warmup: W, epochs of warm-up, 0 for none.
        first, second: 0-based epochs of the drops.
        factor: g. No published configuration says it, and the authors' code cannot do without; 0.1 is usual.
    """
    rising, falling = warmup_steps(warmup, ()), warmup_steps(0, ((first, factor), (second, factor**2)))
    return lambda epoch: rising(epoch) * falling(epoch)


def warmup_cosine_by_batch(warmup: float, epochs: int, *, lr: float = 1.0, min_lr: float = 0.0) -> Schedule:
    """Of vision transformers: linear warm-up, then half a cosine, changing with every batch.

    With t = 1 + epoch, the fraction included: t / W for t < W, else min + (lr - min) (1 + cos(pi (t - W) / (E - W))) / 2. The
    paper's code counts t from 1: the first batch has the rate of a whole epoch of warm-up, and in the last epoch, where t goes
    from E to E + 1, the cosine rises again.

    Args:
        warmup: W, epochs of warm-up.
        epochs: E.
        lr: base learning rate, positive.
        min_lr: the least learning rate.
    """
    least = min_lr / lr
    falling = max(epochs - warmup, 1)

    def schedule(epoch: float) -> float:
        t = 1 + epoch
        if t < warmup:
            return t / warmup
        return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * (t - warmup) / falling))

    return schedule
