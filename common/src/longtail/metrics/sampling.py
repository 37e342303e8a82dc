"""How far the choice of the test images leaves an accuracy uncertain."""

from __future__ import annotations

import math
from collections.abc import Sequence


def balanced_standard_error(per_class_accuracy: Sequence[float | None], test_counts: Sequence[int]) -> float:
    """Standard error of a balanced accuracy, had other images of the same classes been drawn to test on.

    A class's share of hits is binomial; its variance is taken at (hits + 1) / (images + 2), since one image that is right does
    not make a class certain.

    Args:
        per_class_accuracy: fractions, C values; None for a class without test images.
        test_counts: test images per class, C values.

    Raises:
        ValueError: the lengths differ, or no class has test images.
    """
    if len(per_class_accuracy) != len(test_counts):
        raise ValueError(f"as many accuracies as classes, got {len(per_class_accuracy)} and {len(test_counts)}")
    variances = [
        _variance((accuracy * images + 1) / (images + 2), images)
        for accuracy, images in zip(per_class_accuracy, test_counts, strict=True)
        if accuracy is not None and images
    ]
    if not variances:
        raise ValueError("no class has test images")
    return math.sqrt(sum(variances)) / len(variances)


def _variance(share: float, images: int) -> float:
    return share * (1 - share) / images
