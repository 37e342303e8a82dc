"""What a loss may assume of class counts, and the prior that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.errors import UserError

ClassCounts: TypeAlias = npt.NDArray[np.int64] | Sequence[int]
"""Training images per class, integers >= 0, shape (C,)."""

_NAMED = 5  # empty classes that a message names before it only counts them


def checked_counts(class_counts: ClassCounts) -> npt.NDArray[np.int64]:
    """The class counts as an int64 array of shape (C,), C >= 1.

    Raises:
        ValueError: they are no non-empty one-dimensional list of non-negative integers.
    """
    counts = np.asarray(class_counts)
    if counts.ndim != 1 or not len(counts) or counts.dtype.kind not in "iu" or counts.min() < 0:
        raise ValueError(f"class counts are non-negative integers of shape (C,), got {counts.dtype} {counts.shape}")
    return counts.astype(np.int64)


def occupied_counts(class_counts: ClassCounts) -> npt.NDArray[np.int64]:
    """The class counts, where a class without images has no meaning: its prior is zero, its weight and its margin infinite.

    Raises:
        UserError: a class has no image.
    """
    counts = checked_counts(class_counts)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        named = ", ".join(map(str, empty[:_NAMED])) + (f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else "")
        raise UserError(
            f"no training image of class {named}: losses, weights and samplers made from class counts need one.\n"
            "Leave the empty classes out of the data, or choose a loss and an order that ignore counts (ce, focal; shuffled)."
        )
    return counts


def log_prior(class_counts: ClassCounts) -> Tensor:
    """Log of the share of each class in the training set, log(n_c / N), float32, shape (C,).

    Raises:
        UserError: a class has no image.
    """
    counts = torch.from_numpy(occupied_counts(class_counts)).to(torch.float32)
    return torch.log(counts / counts.sum())
