"""Rare-class sample generation: new feature maps for tail classes, made of how head classes vary about their centres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longtail_rsg_study.pooling import convolved_mean
from longtail_rsg_study.transfer import transfer_pairs, vector_change


def head_classes(class_counts: npt.ArrayLike, ratio: float) -> list[int]:
    """The int(K ratio) classes with the most images, the largest first, the lower index first among equals.

    Args:
        class_counts: training images per class, integers, shape (K,); stays as it is.
        ratio: share of the classes, in [0, 1].

    Raises:
        ValueError: the ratio is outside [0, 1].
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f"a share of the classes is in [0, 1], got {ratio}")
    counts = np.asarray(class_counts, dtype=np.int64)
    heads: list[int] = np.argsort(-counts, kind="stable")[: int(len(counts) * ratio)].tolist()
    return heads


class Generated(NamedTuple):
    """A batch of N samples with M new ones behind it, and what RSG's own parameters are trained on.

    maps: shape (N + M, C, H, W); the first N carry the gradient they came with, the others none but the transform's.
    labels: int64, shape (N + M,).
    cesc: scalar, the loss of centre estimation and sample contrast; once samples are generated, of centre estimation alone.
    mv: scalar, the loss of maximised vectors; 0 where nothing was generated.
    """

    maps: Tensor
    labels: Tensor
    cesc: Tensor
    mv: Tensor


class RSG(nn.Module):
    """Estimates several centres per class and, later in training, gives tail samples the displacements of head samples.

    Wang et al., RSG: A Simple but Effective Module for Learning Imbalanced Datasets, CVPR 2021 (arXiv 2106.09859). It stands
    between two stages of a network, in training only. Up to epoch `threshold` it learns the centres and the contrastive net
    that tells whether two maps are of one class; afterwards it generates, and the contrastive net stays as it is.

    Nothing of it sends a gradient to the stages before it. Which parameters get one follows from `epoch` and the batch alone:
    `requires_grad` never changes, so that optimisers, `DistributedDataParallel` and resumed runs have nothing to remember. No
    random numbers are drawn. While it generates, a step waits once for the device: shapes depend on how many samples of head
    classes there are.

    Args:
        num_classes: K.
        channels: C, of the maps.
        heads: the head classes; all others are tail classes.
        threshold: last 0-based epoch without generation.
        centres: centres of each class.
        width: channels of the contrastive net.
        strength: what share of the more frequent kind (head or tail) of a batch takes part; above 1 no more than all.

    Raises:
        ValueError: a head class does not exist.
    """

    is_head: Tensor

    def __init__(
        self,
        num_classes: int,
        channels: int,
        heads: Sequence[int],
        *,
        threshold: int,
        centres: int = 15,
        width: int = 256,
        strength: float = 1.0,
    ) -> None:
        super().__init__()
        if any(not 0 <= each < num_classes for each in heads):
            raise ValueError(f"head classes are among 0 to {num_classes - 1}, got {list(heads)}")
        self.threshold = threshold
        self.strength = strength
        self.linear = nn.Parameter(torch.empty(num_classes, channels, centres))
        self.bias = nn.Parameter(torch.empty(num_classes, centres))
        self.centers = nn.Parameter(torch.empty(num_classes, centres, channels))
        self.vec_transformation_module = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1))
        self.contrastive_module = nn.Sequential(
            nn.Conv2d(2 * channels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)
        )
        self.contrastive_fc = nn.Linear(width, 2)
        is_head = torch.zeros(num_classes, dtype=torch.bool)
        is_head[list(heads)] = True
        self.register_buffer("is_head", is_head, persistent=False)
        self.reset_parameters()

    def reset_parameters(self, *, fan_out: bool = False) -> None:
        """Draw all parameters anew from torch's current generator.

        Args:
            fan_out: as in the networks for ImageNet, whose own initialisation goes over RSG as well: convolutions are scaled by
                what they feed, and the linear layer by what feeds it. Otherwise, as in those for CIFAR, convolutions are scaled
                by what feeds them, and the linear layer is standard normal.
        """
        nn.init.normal_(self.linear)
        nn.init.ones_(self.bias)
        nn.init.zeros_(self.centers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out" if fan_out else "fan_in", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        if fan_out:
            nn.init.kaiming_normal_(self.contrastive_fc.weight)
        else:
            nn.init.normal_(self.contrastive_fc.weight)
        nn.init.zeros_(self.contrastive_fc.bias)

    def forward(self, maps: Tensor, labels: Tensor, epoch: int) -> Generated:
        """Losses of a batch and, where `epoch > threshold`, new samples of its tail classes.

        Without a sample of a head class, or without one of a tail class, there is nothing to generate.

        Args:
            maps: floating point, shape (N, C, H, W), in any memory format.
            labels: int64, shape (N,).
            epoch: 0-based.
        """
        seen = maps.detach()
        pooled = seen.mean(dim=(2, 3), dtype=torch.promote_types(seen.dtype, torch.float32))
        shares = self.shares(pooled, labels)
        cesc = self._centre_loss(seen, pooled, shares, labels)
        nothing = torch.zeros_like(cesc)
        if epoch <= self.threshold:
            return Generated(maps, labels, cesc + self._pair_loss(seen, labels), nothing)

        heads, tails = transfer_pairs(self.is_head[labels], self.strength)
        if not len(heads):
            return Generated(maps, labels, cesc, nothing)
        nearest = self.centers.detach()[labels, shares.detach().argmax(dim=1)][:, :, None, None]
        vectors = seen[heads] - nearest[heads]
        moved = self.vec_transformation_module(vectors)
        new = seen[tails] + moved
        mv = self._told_apart(seen[heads], moved) + vector_change(moved, vectors, seen[tails] - nearest[tails])
        return Generated(torch.cat([maps, new]), torch.cat([labels, labels[tails]]), cesc, mv)

    def shares(self, pooled: Tensor, labels: Tensor) -> Tensor:
        """How much each sample belongs to each centre of its class, shape (N, centres), rows of sum 1; the paper's gamma.

        Args:
            pooled: maps averaged over positions, float32 or better, shape (N, C).
            labels: int64, shape (N,).
        """
        with torch.autocast(pooled.device.type, enabled=False):
            # index_select: what indexing adds up for the gradient varies in its last bits when there are several threads
            weight, bias = (each.index_select(0, labels) for each in (self.linear, self.bias))
            return (torch.einsum("nc,nck->nk", pooled, weight) + bias).softmax(dim=1)

    def related(self, first: Tensor, second: Tensor, *, frozen: bool) -> Tensor:
        """Logits, shape (M, 2), of whether pairs of maps, each (M, C, H, W), are of one class (1) or of two (0).

        Args:
            first: the one map of each pair.
            second: the other.
            frozen: leave the contrastive net's parameters without gradient.
        """
        parts = (*self.contrastive_module.parameters(), *self.contrastive_fc.parameters())
        net = [each.detach() for each in parts] if frozen else parts
        hidden = F.conv2d(torch.cat([first, second], dim=1), *net[:2]).relu()
        with torch.autocast(hidden.device.type, enabled=False):
            # nothing but a mean follows the second convolution, which would be most of the net's cost
            return F.linear(convolved_mean(hidden, *net[2:4]), *net[4:])

    def _centre_loss(self, seen: Tensor, pooled: Tensor, shares: Tensor, labels: Tensor) -> Tensor:
        """The mean over samples of the squared distances from a map to its class's centres, each weighted by its share.

        A map's squared distance from a centre is its mean's, once per position, plus the map's spread about its mean, in which
        centres have no part: no map is compared with a centre position by position.
        """
        positions = seen.shape[2:].numel()
        # not torch.var, which takes ten times as long
        spread: Tensor = torch.linalg.vector_norm(seen, dtype=pooled.dtype).square() - positions * pooled.square().sum()
        apart = (pooled[:, None] - self.centers.index_select(0, labels)).square().sum(dim=2)
        return (spread + positions * (shares * apart).sum()) / max(len(labels), 1)

    def _pair_loss(self, seen: Tensor, labels: Tensor) -> Tensor:
        """Of the first half of the batch paired with the second; of an odd number the last sample has no partner."""
        half = len(labels) // 2
        if not half:
            return torch.zeros((), device=seen.device)
        same = labels[:half] == labels[half : 2 * half]
        return F.cross_entropy(self.related(seen[:half], seen[half : 2 * half], frozen=False), same.long())

    def _told_apart(self, maps: Tensor, moved: Tensor) -> Tensor:
        """How far the contrastive net, frozen, is from telling head samples and transformed vectors apart."""
        return -self.related(maps, moved, frozen=True).log_softmax(dim=1)[:, 0].mean()

    def extra_repr(self) -> str:
        """The sizes that the modules inside do not show."""
        classes, channels, centres = self.linear.shape
        return f"{classes}, {channels}, centres={centres}, threshold={self.threshold}, strength={self.strength}"
