"""Class-balanced cross entropy."""

from __future__ import annotations

from longtail.losses.class_counts import ClassCounts
from longtail.losses.cross_entropy import CrossEntropy
from longtail.losses.weighting import effective_number_weights


class ClassBalanced(CrossEntropy):
    """Cross entropy weighted by the inverse effective number of samples of each class.

    Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019 (arXiv 1901.05555), section 4.

    Args:
        class_counts: training images per class, shape (C,), all > 0.
        beta: in [0, 1): 0 weights all classes alike, towards 1 the weights approach the inverse counts; the paper tries 0.9 to
            0.9999.

    Raises:
        UserError: a class has no image, or beta lies outside [0, 1).
    """

    def __init__(self, class_counts: ClassCounts, *, beta: float = 0.9999) -> None:
        super().__init__(class_counts, weight=effective_number_weights(class_counts, beta))
