"""Learning rates that grow from the first layer of a transformer to the last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from torch import nn

from longtail_cadel.cascade import Cascade

_FIRST = re.compile(r"trunk\.(cls_token|pos_embed|patch_embed)\b")
_BLOCK = re.compile(r"trunk\.blocks\.(\d+)\.")
_AUX = re.compile(r"aux\.(\d+)\.")


def parameter_groups(network: Cascade, lr: float, weight_decay: float, decay: float) -> list[dict[str, Any]]:
    """The parameters of a cascade on a vision transformer, each with the rate of its layer.

    Layer-wise decay of the learning rate: Bao et al., BEiT, ICLR 2022 (arXiv 2106.08254). The rate is
    `lr * decay ** (depth + 1 - layer)`, see `layer_of`.

    Args:
        network: parameters that require no gradient are left out.
        lr: of the last layer.
        weight_decay: of everything but vectors (biases, the scales of norms), the class token and the position embedding.
        decay: factor from one layer to the one before, in (0, 1].

    Returns:
        Groups from the first layer to the last, as `create_adamw` takes them.
    """
    depth = len(network.trunk.stages)
    members: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and not name.endswith(("cls_token", "pos_embed"))
            members.setdefault((layer_of(name, depth, network.taps), decays), []).append(parameter)
    return [
        {"params": members[layer, decays], "lr": lr * decay ** (depth + 1 - layer), "weight_decay": weight_decay * decays}
        for layer, decays in sorted(members)
    ]


def layer_of(name: str, depth: int, taps: Sequence[int]) -> int:
    """The layer that a parameter counts to.

    0 is the embedding, 1 to `depth` are the blocks, `depth + 1` is what follows them. All of an auxiliary head counts to the
    layer below the block that it taps: the paper's code gives it the block's index, and the block its index plus one.

    Args:
        name: of a parameter of a `Cascade` on a `VisionTransformer`.
        depth: blocks of the trunk.
        taps: of the cascade.
    """
    if _FIRST.match(name):
        return 0
    if block := _BLOCK.match(name):
        return int(block[1]) + 1
    if aux := _AUX.match(name):
        return taps[int(aux[1])]
    return depth + 1
