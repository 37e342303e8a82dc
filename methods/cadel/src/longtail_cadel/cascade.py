"""One trunk with several classifiers, one deeper than the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from longtail.backbones import StagedBackbone
from longtail_cadel.heads import SquashedCosine


class Cascade(nn.Module):
    """A backbone with auxiliary heads on some of its stages, and a squashed cosine on top instead of its own classifier.

    One pass through the trunk serves all heads, and the gradients of all of them flow into it.

    The auxiliary heads are not computed as one batch: on a convolutional trunk they see maps of different sizes all the way to
    their pooling, and each of their convolutions is large enough to fill a machine by itself.

    Args:
        trunk: its classifier is removed.
        taps: stages, 0-based, in ascending order, whose output an auxiliary head sees. Without any it is an ordinary network.
        aux: a head for each of them, from the stage's output, a map (B, channels, H, W) or tokens (B, N, channels), to logits
            (B, C).
        head: of the trunk's features.

    Attributes:
        num_classes: C.
        num_heads: K, the auxiliary ones and the last.

    Raises:
        ValueError: the stages are not in order, or not as many as the auxiliary heads.
    """

    def __init__(self, trunk: StagedBackbone, taps: Sequence[int], aux: Sequence[nn.Module], head: SquashedCosine) -> None:
        super().__init__()
        depth = len(trunk.stages)
        if len(taps) != len(aux):
            raise ValueError(f"{len(taps)} stages for {len(aux)} auxiliary heads")
        if not all(0 <= tap < depth for tap in taps) or any(a >= b for a, b in pairwise(taps)):
            raise ValueError(f"stages are counted from 0 to {depth - 1} in ascending order, got {list(taps)}")
        _remove_classifier(trunk)
        self.trunk = trunk
        self.taps = tuple(taps)
        self.aux = nn.ModuleList(aux)
        self.head = head
        self.num_classes = head.num_classes
        self.num_heads = len(aux) + 1

    def forward(self, images: Tensor, *, only_last: bool = False) -> Tensor:
        """Logits of all heads from shallow to deep, shape (B, K, C), of images of shape (B, 3, H, W).

        With `only_last` those of the last one, shape (B, 1, C): a convolutional network's auxiliary heads have ten times as
        much to do as all the rest.
        """
        heads = {} if only_last else dict(zip(self.taps, self.aux, strict=True))
        logits = []
        hidden = self.trunk.stem(images)
        for index, stage in enumerate(self.trunk.stages):
            hidden = stage(hidden)
            if index in heads:
                logits.append(heads[index](hidden))
        logits.append(self.head(self.trunk.pooled(hidden)))
        return torch.stack(logits, dim=1)


def _remove_classifier(trunk: StagedBackbone) -> None:
    """Put nothing in its place, so that neither an optimiser nor a checkpoint sees it."""
    (name,) = (name for name, module in trunk.named_modules() if module is trunk.classifier)
    parent, _, attribute = name.rpartition(".")
    setattr(trunk.get_submodule(parent), attribute, nn.Identity())
