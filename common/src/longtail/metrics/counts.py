"""What an evaluation counts, batch by batch, on the device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class ClassificationCounts:
    """Sums over samples from which every metric follows, so that batches and ranks simply add up.

    All sums live in two flat tensors, one of integers and one of floats; the attributes are views of them. Nothing here waits
    for the device. The predicted class is the one with the largest logit, the first of them in a tie; the k best are ranked by
    the same rule, so that top-1 never exceeds top-k and equal logits give equal results everywhere. NaN ranks below any number.

    Args:
        num_classes: C.
        device: where logits will be.
        top_k: a sample is a top-k hit if its class is among the `top_k` best; at most C of them.
        calibration_bins: equal bins of confidence in [0, 1].
        confusion_limit: the C x C confusion matrix is kept for at most this many classes, 0 for never; at 8142 classes it would
            take half a gigabyte.

    Attributes:
        support, predicted, true_positives: int64, shape (C,): samples of a class, predictions of it, and both.
        top_k_hits: int64, scalar.
        confusion: int64, shape (C, C), true class by predicted class, or None.
        bin_samples, bin_correct, bin_confidence: int64, int64 and float, shape (bins,).
        nll_sum: float scalar, sum of -log softmax(z)_y.
        loss_sum, loss_samples: sum of the loss values handed in, and the samples that they cover.

    Raises:
        ValueError: a number is not positive.
    """

    def __init__(
        self,
        num_classes: int,
        device: torch.device | str = "cpu",
        *,
        top_k: int = 5,
        calibration_bins: int = 15,
        confusion_limit: int = 1000,
    ) -> None:
        if min(num_classes, top_k, calibration_bins) < 1:
            raise ValueError(f"need classes, k and bins, got {num_classes}, {top_k} and {calibration_bins}")
        self.num_classes = num_classes
        self.top_k = min(top_k, num_classes)
        bins = calibration_bins
        keeps_confusion = num_classes <= confusion_limit
        integer_sizes = [num_classes, num_classes, num_classes, bins, bins, 1, 1, num_classes**2 if keeps_confusion else 0]
        float_sizes = [bins, 1, 1]
        self._integers = torch.zeros(sum(integer_sizes), dtype=torch.int64, device=device)
        # Apple's GPUs have no float64.
        double = torch.float32 if self._integers.device.type == "mps" else torch.float64
        self._floats = torch.zeros(sum(float_sizes), dtype=double, device=device)

        integers = self._integers.split_with_sizes(integer_sizes)
        self.support, self.predicted, self.true_positives, self.bin_samples, self.bin_correct = integers[:5]
        self.top_k_hits, self.loss_samples = integers[5][0], integers[6][0]
        self.confusion = integers[7].view(num_classes, num_classes) if keeps_confusion else None
        self._flat_confusion = integers[7]
        self.bin_confidence, nll_sum, loss_sum = self._floats.split_with_sizes(float_sizes)
        self.nll_sum, self.loss_sum = nll_sum[0], loss_sum[0]

        self._classes = torch.arange(num_classes, device=device)
        self._bins = torch.arange(bins, device=device)

    def tensors(self) -> list[Tensor]:
        """The state itself: sum each of these tensors over the ranks in place, and the counts are those of all ranks."""
        return [self._integers, self._floats]

    @torch.no_grad()
    def update(self, logits: Tensor, labels: Tensor, loss_sum: Tensor | None = None) -> None:
        """Count one batch.

        Args:
            logits: floating point, shape (B, C), on the device of the counts.
            labels: int64, shape (B,), values in [0, C).
            loss_sum: sum over the batch of whatever loss the run reports, a scalar tensor, or None.

        Raises:
            ValueError: other shapes.
        """
        if logits.shape != (len(labels), self.num_classes):
            raise ValueError(f"logits have shape ({len(labels)}, {self.num_classes}), got {tuple(logits.shape)}")
        if not len(labels):
            return
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        scores = logits.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
        predictions = scores.argmax(dim=1)
        correct = predictions == labels
        ones = torch.ones_like(labels)
        self.support.index_add_(0, labels, ones)
        self.predicted.index_add_(0, predictions, ones)
        self.true_positives.index_add_(0, labels, correct.long())
        self.top_k_hits += (self._rank(scores, labels) < self.top_k).sum()
        if self.confusion is not None:
            self._flat_confusion.index_add_(0, labels * self.num_classes + predictions, ones)

        log_probabilities = F.log_softmax(logits, dim=1)
        self.nll_sum -= log_probabilities.gather(1, labels[:, None]).sum(dtype=self._floats.dtype)
        self._calibrate(log_probabilities.amax(dim=1).exp().nan_to_num(nan=0.0), correct)
        if loss_sum is not None:
            self.loss_sum += loss_sum.detach()
            self.loss_samples += len(labels)

    def _rank(self, scores: Tensor, labels: Tensor) -> Tensor:
        """How many classes come before the true one: larger scores, and equal ones of a smaller index. int64, shape (B,)."""
        own = scores.gather(1, labels[:, None])
        return ((scores > own) | ((scores == own) & (self._classes < labels[:, None]))).sum(dim=1)

    def _calibrate(self, confidence: Tensor, correct: Tensor) -> None:
        # A sum over a mask, not a scatter of floats: on a GPU the order of a scatter's additions differs from run to run.
        bins = (confidence * len(self._bins)).long().clamp(max=len(self._bins) - 1)
        members = bins[:, None] == self._bins
        self.bin_samples += members.sum(dim=0)
        self.bin_correct += (members & correct[:, None]).sum(dim=0)
        self.bin_confidence += (members * confidence[:, None].to(self._floats.dtype)).sum(dim=0)
