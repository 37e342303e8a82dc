"""The metrics of one evaluation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from longtail.metrics.counts import ClassificationCounts
from longtail.metrics.shots import Mask, ShotThresholds

_STANDARD = ShotThresholds()


@dataclass(frozen=True)
class Summary:
    """The metrics of one evaluation; shares are fractions in [0, 1], and what does not exist is None.

    Args:
        samples: how many were evaluated.
        accuracy: share of samples whose class has the largest logit.
        top5: share of samples whose class is among the `top_k` largest logits.
        top_k: 5 by default, fewer where there are fewer classes.
        loss: mean of the loss values handed in, or None if there were none.
        nll: mean negative log likelihood of the softmax, in nats.
        balanced_accuracy: mean of the per-class accuracies.
        many, medium, few: mean of the per-class accuracies in a shot group; None if no class of the group was evaluated.
        macro_f1: mean F1 over the classes that occur among labels or predictions.
        worst_class, worst_accuracy: the class with the lowest accuracy, the first of them in a tie.
        ece: expected calibration error over equal bins of confidence (Guo et al., On Calibration of Modern Neural Networks,
            ICML 2017, equation 3).
        per_class_accuracy: share of each class's samples that are predicted right (its recall), C values; None for a class
            without samples.
    """

    samples: int
    accuracy: float
    top5: float
    top_k: int
    loss: float | None
    nll: float
    balanced_accuracy: float
    many: float | None
    medium: float | None
    few: float | None
    macro_f1: float
    worst_class: int
    worst_accuracy: float
    ece: float
    per_class_accuracy: tuple[float | None, ...]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON knows them: lists for tuples, null for what is absent or not finite."""
        return {name: _json(value) for name, value in asdict(self).items()}


def summarise(counts: ClassificationCounts, class_counts: npt.ArrayLike, thresholds: ShotThresholds = _STANDARD) -> Summary:
    """Turn counts, already summed over ranks, into metrics.

    Args:
        counts: of one evaluation.
        class_counts: training images per class, integers, shape (C,); they define the shot groups.
        thresholds: where the shot groups end.

    Raises:
        ValueError: nothing was counted, or the numbers of classes differ.
    """
    training = np.asarray(class_counts)
    if training.shape != (counts.num_classes,):
        raise ValueError(f"class counts have shape ({counts.num_classes},), got {training.shape}")
    support, hits, predicted = (_numpy(tensor) for tensor in (counts.support, counts.true_positives, counts.predicted))
    samples = int(support.sum())
    if not samples:
        raise ValueError("no sample was counted")
    seen = support > 0
    recall = np.divide(hits, support, out=np.full(len(support), np.nan), where=seen)
    groups = thresholds.groups(training)
    worst = int(np.nanargmin(recall))
    loss_samples = int(counts.loss_samples)
    return Summary(
        samples=samples,
        accuracy=int(hits.sum()) / samples,
        top5=int(counts.top_k_hits) / samples,
        top_k=counts.top_k,
        loss=float(counts.loss_sum) / loss_samples if loss_samples else None,
        nll=float(counts.nll_sum) / samples,
        balanced_accuracy=float(recall[seen].mean()),
        many=_mean_over(groups.many & seen, recall),
        medium=_mean_over(groups.medium & seen, recall),
        few=_mean_over(groups.few & seen, recall),
        macro_f1=_macro_f1(support, hits, predicted),
        worst_class=worst,
        worst_accuracy=float(recall[worst]),
        ece=_calibration_error(counts),
        per_class_accuracy=tuple(float(value) if known else None for value, known in zip(recall, seen, strict=True)),
    )


def _mean_over(members: Mask, recall: npt.NDArray[np.float64]) -> float | None:
    return float(recall[members].mean()) if members.any() else None


def _macro_f1(support: npt.NDArray[Any], hits: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> float:
    occurrences = support + predicted
    return float(np.mean(2 * hits[occurrences > 0] / occurrences[occurrences > 0]))


def _calibration_error(counts: ClassificationCounts) -> float:
    # sum over bins of (n_b / N) |accuracy_b - confidence_b|; the n_b cancel
    gap = np.abs(_numpy(counts.bin_correct) - _numpy(counts.bin_confidence))
    return float(gap.sum() / _numpy(counts.bin_samples).sum())


def _numpy(tensor: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = tensor.cpu().numpy()
    return array


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json(member) for member in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
