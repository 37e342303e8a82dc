"""Which head sample gives its displacement to which tail sample, and what the transformation in between may change."""

from __future__ import annotations

import torch
from torch import Tensor

from longtail.losses.base import full_precision

TINY = 1e-12
"""Shortest length that a vector is divided by."""


def transfer_pairs(in_head: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Which samples of a batch give their vector to which others, two int64 tensors (M,): head samples and tail samples.

    The rarer kind meets the first samples of the other kind, then, all of it again, the samples after those, and so on while
    there are enough, or as often as `strength` lets it. These segments are equally long. Samples that fill no segment stay out.

    Args:
        in_head: whether each sample is of a head class, bool, shape (N,).
        strength: the share of the more frequent kind that takes part; the first segment is always complete.
    """
    order = in_head.to(torch.uint8).argsort(descending=True, stable=True)
    count = int(in_head.sum())
    few, many = sorted((count, len(in_head) - count))
    segments = min(max(1, int(many * strength / few)), many // few) if few else 0
    # what there is enough of is cut, and what is repeated ends where it should
    heads, tails = (kind.repeat(segments)[: segments * few] for kind in (order[:count], order[count:]))
    return heads, tails


def vector_change(moved: Tensor, vectors: Tensor, targets: Tensor) -> Tensor:
    """How far transformed vectors changed in length and are from the direction of others: a sum per map, averaged over maps.

    All three have shape (M, C, H, W). A vector is not a position's C channels but C values that follow one another in memory in
    the default format, as in the paper's code. Its direction differs by the sum over entries of |u v' - 1|, u and v' being of
    length 1: as no product exceeds 1, that is C minus the cosine.

    Args:
        moved: what became of the vectors; the gradient goes here.
        vectors: what they were: head samples less their centres.
        targets: what they should point along: tail samples less their centres.
    """
    # all segments of a batch are equally long, so the mean of their means is this mean over all pairs
    after, before, along = (_blocks(each) for each in (moved, vectors, targets))
    length: Tensor = torch.linalg.vector_norm(after, dim=2)
    change = (length - torch.linalg.vector_norm(before, dim=2)).abs()
    both = torch.linalg.vector_norm(along, dim=2).clamp_min(TINY) * length.clamp_min(TINY)
    cosine = (along * after).sum(dim=2) / both
    per_map: Tensor = (change - cosine).sum() / len(moved)
    return moved[0].numel() + per_map


def _blocks(maps: Tensor) -> Tensor:
    """C values after one another in the default memory format, shape (M, H W, C), float32 or better."""
    # reshape reads in the default format's order whatever the format is
    return full_precision(maps).reshape(len(maps), -1, maps.shape[1])
