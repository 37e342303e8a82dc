"""The paper's mixup."""

from __future__ import annotations

from longtail.training.mixup import mixup

BETA = 1.0
"""The share is drawn from Beta(1, 1), so it is uniform; the paper's `--alpha` is something else."""

mix_at = mixup(BETA)
"""The run's blend at a point, a pure function of (seed, epoch, step)."""
