"""CADEL's losses: each head's own, shifted towards samples as sure of their class as many others are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from longtail.distributed import gather_rows
from longtail.losses import Loss
from longtail.losses.base import full_precision

_LAST_EDGE = 1e-6
"""How far the last bin reaches beyond 1, so that it holds a confidence of exactly 1."""


@dataclass(frozen=True)
class Weighting:
    """How samples are weighted.

    Args:
        bins: of the ensemble confidence, equal ones in [0, 1].
        gamma: what the share of the batch in a sample's bin adds to its weight.
        base: the weight without that (the paper's beta).
        per_sample: weight each sample's own cross entropy. The authors' code multiplies the mean cross entropy by the mean
            weight instead, and presumably did so for the published numbers. The binary one always weights each sample's own.
    """

    bins: int = 8
    gamma: float = 1.0
    base: float = 2.0
    per_sample: bool = False


def cascade_cross_entropy(logits: Tensor, labels: Tensor, plain: float, weighting: Weighting) -> Tensor:
    """L^k = T mean(l) + (1 - T) mean(w) mean(l) with l = -log softmax(z)_y; with `per_sample`, T mean(l) + (1 - T) mean(w l).

    Means and weights are those of the global batch, so that the number of ranks changes nothing. Where several processes train
    together, the authors' code weights the samples of each by themselves.

    Args:
        logits: z, shape (B, K, C), of this rank's slice of the global batch, for the K heads from the shallowest on.
        labels: y, int64, shape (B,).
        plain: T, share of the unweighted loss, in [0, 1].
        weighting: of the samples.

    Returns:
        The loss of each head, shape (K,), float32 or better.
    """
    losses = _of_each_head(_softmax_losses, logits, labels)
    losses, confidence = _of_global_batch(losses, torch.exp(-losses.detach()))
    weights = ensemble_weights(confidence, weighting)
    mean = losses.mean(dim=0)
    weighted = (weights * losses).mean(dim=0) if weighting.per_sample else weights.mean(dim=0) * mean
    return plain * mean + (1 - plain) * weighted


def cascade_binary_cross_entropy(logits: Tensor, labels: Tensor, plain: float, weighting: Weighting) -> Tensor:
    """L^k = T mean(l) + (1 - T) mean(w l), where l is the sum over classes of the binary cross entropies.

    Arguments, ranks and the returned value are as for `cascade_cross_entropy`.
    """
    losses = _of_each_head(_sigmoid_losses, logits, labels)
    own = full_precision(logits.detach()).gather(2, labels[:, None, None].expand(-1, logits.shape[1], 1))
    losses, confidence = _of_global_batch(losses, own.squeeze(2).sigmoid())
    weights = ensemble_weights(confidence, weighting)
    return plain * losses.mean(dim=0) + (1 - plain) * (weights * losses).mean(dim=0)


@torch.no_grad()
def ensemble_weights(confidence: Tensor, weighting: Weighting) -> Tensor:
    """w = beta + gamma n / B, shape (B, K), where n of the B samples have an ensemble confidence in the same bin.

    The ensemble of a head is that head and all shallower ones; its confidence is the mean of theirs. A bin holds its lower edge
    and not its upper one. A confidence that is not a number is in no bin, and has weight 1.

    Args:
        confidence: of each head in the true class, shape (B, K).
        weighting: beta, gamma and the number of bins.
    """
    heads, bins = confidence.shape[1], weighting.bins
    # not a cumulative sum, which is not deterministic on CUDA
    seen = torch.ones(heads, heads, dtype=torch.bool, device=confidence.device).tril()
    ensemble = torch.where(seen, confidence[:, None], 0.0).sum(dim=2) / seen.sum(dim=1)
    edges = torch.arange(bins + 1, dtype=confidence.dtype, device=confidence.device) / bins
    edges[-1] += _LAST_EDGE
    members = (edges[:-1] <= ensemble[..., None]) & (ensemble[..., None] < edges[1:])
    density = (members * members.sum(dim=0)).sum(dim=2).to(confidence.dtype) / len(confidence)
    return torch.where(members.any(dim=2), weighting.base + weighting.gamma * density, 1.0)


class BinaryCrossEntropy(Loss):
    """The sum over classes of -log sigmoid(z_c) for the true class and -log(1 - sigmoid(z_c)) for the others.

    Args:
        class_counts: training images per class, shape (C,); only their number matters here.
    """

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each sample, shape (B,)."""
        return _sigmoid_losses(full_precision(logits), labels)


def _of_each_head(losses_of: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor) -> Tensor:
    size, heads, _ = logits.shape
    return losses_of(full_precision(logits).flatten(0, 1), labels.repeat_interleave(heads)).view(size, heads)


def _softmax_losses(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def _sigmoid_losses(logits: Tensor, labels: Tensor) -> Tensor:
    targets = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    # from logits: the log of a sigmoid that has rounded to 1 is 0, and of its complement infinite
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1)


def _of_global_batch(losses: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
    """Both, shape (B, K) on every rank, of the global batch; in one message, and much smaller than the logits."""
    both = gather_rows(torch.stack([losses, confidence], dim=2))
    return both[..., 0], both[..., 1]
