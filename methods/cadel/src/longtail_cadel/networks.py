"""The paper's convolutional cascades by name, and a cascade on any backbone of the core."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal, NamedTuple, cast

from torch import nn

from longtail.backbones import StagedBackbone, create_backbone, seeded_weights
from longtail.errors import UserError
from longtail.randomness import Randomness
from longtail_cadel.cascade import Cascade
from longtail_cadel.convolutional_head import ConvolutionalHead
from longtail_cadel.heads import SquashedCosine

GROUPS, GROUP_WIDTH = 32, 8
"""Groups of the grouped convolution in an auxiliary head, and the fewest channels of one: with fewer, a narrow head would have
less to compute but take more time."""
SHALLOW, DEEP = 7, 9
"""The blocks that the paper taps of a transformer's twelve, counted from 0."""


class _Kind(NamedTuple):
    backbone: str
    last_kernel: Literal[1, 3]
    fan_out: bool


KINDS = {
    "resnet50": _Kind("resnet50", last_kernel=1, fan_out=True),
    "resnext50": _Kind("resnext50_32x4d", last_kernel=1, fan_out=True),
    "resnet152-places": _Kind("resnet152", last_kernel=3, fan_out=False),
}
"""The paper's convolutional networks; in that for Places the heads have PyTorch's default initial values."""


def create_cascade(kind: str, *, num_classes: int, seed: int, scale: float = 30.0, dropout: float = 0.5) -> Cascade:
    """Make one of the paper's convolutional networks on the CPU, with initial weights that depend on the arguments alone.

    The caller's random state is left as it was. Images may have any size of at least 32 px.

    Args:
        kind: a key of `KINDS`.
        num_classes: C, at least 1.
        seed: of the initial weights.
        scale: of the cosines.
        dropout: of the auxiliary heads' features.

    Raises:
        UserError: no network has this name, or there is no class.
    """
    if kind not in KINDS:
        raise UserError(f"CADEL has no network called {kind!r}; choose one of {', '.join(KINDS)}")
    backbone, last_kernel, fan_out = KINDS[kind]
    trunk = create_backbone(backbone, num_classes=num_classes, seed=seed)
    assert isinstance(trunk, StagedBackbone)
    return cascade_on(
        trunk, num_classes=num_classes, seed=seed, scale=scale, last_kernel=last_kernel, fan_out=fan_out, dropout=dropout
    )


def cascade_on(
    trunk: StagedBackbone,
    *,
    num_classes: int,
    seed: int,
    scale: float = 30.0,
    last_kernel: Literal[1, 3] = 1,
    fan_out: bool = True,
    dropout: float = 0.5,
    aux_depth: int = 2,
) -> Cascade:
    """Put a cascade of three squashed cosines on a backbone, at the paper's places.

    A convolutional trunk is tapped after the last stage but two and the last but one; its auxiliary heads are as wide as its
    features, so those of a network with bottlenecks are the paper's. A transformer is tapped at the same share of its depth as
    the paper's: after blocks 7 and 9 of 12, counted from 0.

    The caller's random state is left as it was.

    Args:
        trunk: on the CPU, as the heads will be; keeps its weights, but for the classifier, which is removed.
        num_classes: C.
        seed: of the heads' initial weights.
        scale: of the cosines.
        last_kernel, dropout: of convolutional heads.
        fan_out: draw the convolutions of the heads like the trunk's, N(0, 2 / (kernel area * output channels)), instead of
            PyTorch's default.
        aux_depth: blocks of an auxiliary head on a transformer; their drop-path is that of the block that it taps.

    Raises:
        ValueError: the trunk has fewer than three stages, or is neither convolutional nor a transformer.
    """
    depth = len(trunk.stages)
    if depth < 3:
        raise ValueError(f"a cascade of three heads needs at least three stages, this trunk has {depth}")
    # A seed of their own, or the first head's weights would be those of the trunk's first convolution.
    with seeded_weights(Randomness(seed).integer("heads")):
        if _is_convolutional(trunk):
            taps = [depth - 3, depth - 2]
            aux = [_convolutional_head(trunk, tap, num_classes, last_kernel, scale, dropout) for tap in taps]
            if fan_out:
                _draw_convolutions(aux)
        else:
            taps = [depth * SHALLOW // 12, depth * DEEP // 12]
            aux = [_transformer_head(trunk, tap, num_classes, scale, aux_depth) for tap in taps]
        head = SquashedCosine(trunk.num_features, num_classes, scale=scale)
    return Cascade(trunk, taps, aux, head)


def _is_convolutional(trunk: StagedBackbone) -> bool:
    return any(isinstance(module, nn.Conv2d) for stage in trunk.stages for module in stage.modules())


def _convolutional_head(
    trunk: StagedBackbone, tap: int, num_classes: int, last_kernel: Literal[1, 3], scale: float, dropout: float
) -> nn.Module:
    width = trunk.num_features
    return ConvolutionalHead(
        trunk.stage_widths[tap],
        num_classes,
        width=width,
        out_width=2 * width,
        groups=1 if width % GROUP_WIDTH else math.gcd(GROUPS, width // GROUP_WIDTH),
        last_kernel=last_kernel,
        scale=scale,
        dropout=dropout,
    )


def _transformer_head(trunk: StagedBackbone, tap: int, num_classes: int, scale: float, depth: int) -> nn.Module:
    # timm, which they import, takes seconds
    from longtail.backbones.vision_transformer import TransformerBlock
    from longtail_cadel.transformer_head import TransformerHead

    block = trunk.stages[tap]
    if not isinstance(block, TransformerBlock):
        raise ValueError(f"no auxiliary head is made for stages of {type(block).__name__}")
    return TransformerHead(
        trunk.stage_widths[tap],
        cast(Any, block.attn).num_heads,
        depth=depth,
        drop_path=getattr(block.drop_path1, "drop_prob", 0.0),  # where nothing is dropped, nothing is there to drop it
        num_classes=num_classes,
        make_head=partial(SquashedCosine, scale=scale),
        checkpointing=block.checkpointing,
    )


def _draw_convolutions(heads: list[nn.Module]) -> None:
    for head in heads:
        for module in head.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
