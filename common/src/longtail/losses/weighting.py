"""Weights per class from class counts, and when they set in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from longtail.errors import UserError
from longtail.losses.class_counts import ClassCounts, occupied_counts

Weights: TypeAlias = npt.NDArray[np.float64]
"""Weight per class, float64, shape (C,), sum C."""


def _sum_to_number(weights: Weights) -> Weights:
    scaled: Weights = weights * (len(weights) / weights.sum())
    return scaled


def effective_number_weights(class_counts: ClassCounts, beta: float = 0.9999) -> Weights:
    """Inverse effective numbers of samples, (1 - beta) / (1 - beta^n_c), scaled to sum C; exactly ones for beta 0.

    Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019 (arXiv 1901.05555), proposition 1.

    Args:
        class_counts: training images per class, shape (C,), all > 0.
        beta: in [0, 1).

    Raises:
        UserError: a class has no image, or beta lies outside [0, 1).
    """
    if not 0 <= beta < 1:
        raise UserError(f"beta of class-balanced weights lies in [0, 1), got {beta}")
    return _sum_to_number((1.0 - beta) / (1.0 - np.power(beta, occupied_counts(class_counts), dtype=np.float64)))


def inverse_frequency_weights(class_counts: ClassCounts, power: float = 1.0) -> Weights:
    """Inverse class counts n_c^(-power), scaled to sum C; exactly ones for power 0.

    Raises:
        UserError: a class has no image.
    """
    return _sum_to_number(occupied_counts(class_counts).astype(np.float64) ** -power)


@dataclass(frozen=True, eq=False)
class DeferredReweighting:
    """DRW: no weights at first, effective-number weights from an epoch on until the end of training.

    Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019 (arXiv 1906.07413),
    algorithm 1.

    Args:
        class_counts: training images per class, shape (C,), all > 0.
        start_epoch: first weighted epoch, 0-based.
        beta: of the effective numbers, in [0, 1).
    """

    class_counts: ClassCounts
    start_epoch: int
    beta: float = 0.9999

    def weights(self, epoch: int) -> Weights:
        """The weights in this epoch (0-based): ones before `start_epoch`.

        Raises:
            UserError: a class has no image, or beta lies outside [0, 1).
        """
        return effective_number_weights(self.class_counts, self.beta if epoch >= self.start_epoch else 0.0)
