"""The running covariance of every class's features (Wang et al., Implicit Semantic Data Augmentation, NeurIPS 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from longtail.distributed import gather_rows


class ClassCovariance(nn.Module):
    """Count, mean and biased covariance of all features that each class has shown so far; nothing fades.

    It is the exact covariance of what it was given, one batch after another. Under several ranks all of them hold the same.

    Args:
        num_classes: C.
        num_features: A.
        diagonal: keep the variances alone, for features so wide that C matrices would not fit into memory.

    Attributes:
        count: int64, shape (C,).
        mean: shape (C, A).
        covariance: shape (C, A, A), or (C, A) where it is diagonal.
    """

    count: Tensor
    mean: Tensor
    covariance: Tensor

    def __init__(self, num_classes: int, num_features: int, *, diagonal: bool = False) -> None:
        super().__init__()
        shape = (num_features,) if diagonal else (num_features, num_features)
        self.register_buffer("count", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(num_classes, num_features))
        self.register_buffer("covariance", torch.zeros(num_classes, *shape))

    @torch.no_grad()
    def update(self, features: Tensor, labels: Tensor) -> None:
        """Take in this rank's slice of a batch.

        Args:
            features: floating point, shape (B, A); no gradient goes through here.
            labels: int64, shape (B,).
        """
        features, labels = gather_rows(features.detach()).to(self.mean.dtype), gather_rows(labels)
        new = self.count.new_zeros(self.count.shape).index_add_(0, labels, torch.ones_like(labels))
        size = new.clamp_min(1).to(self.mean.dtype)[:, None]
        mean = torch.zeros_like(self.mean).index_add_(0, labels, features) / size
        spread = torch.zeros_like(self.covariance).index_add_(0, labels, self._squared(features - mean[labels]))

        count = self.count + new
        # a class that is not in the batch has share 0 and keeps what it has
        share = new.to(mean.dtype)[:, None] / count.clamp_min(1).to(mean.dtype)[:, None]
        distance = self._squared(mean - self.mean)
        wide = share.view(-1, *[1] * (self.covariance.dim() - 1))
        spread = spread / size.view_as(wide) + (1 - wide) * distance
        self.covariance.copy_((1 - wide) * self.covariance + wide * spread)
        self.mean.copy_((1 - share) * self.mean + share * mean)
        self.count.copy_(count)

    def _squared(self, vectors: Tensor) -> Tensor:
        """x x^T of each vector, or its diagonal."""
        return vectors.square() if self.covariance.dim() == 2 else vectors[:, :, None] * vectors[:, None, :]
