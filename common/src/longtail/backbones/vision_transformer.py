"""Vision transformers of timm's blocks. Importing this module imports timm, which takes seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from longtail.backbones.base import StagedBackbone
from longtail.backbones.heads import create_head
from longtail.errors import UserError

_EPS = 1e-6  # of every layer norm; also the default of timm's blocks
_STD = 0.02


class TransformerBlock(Block):
    """timm's pre-norm block: attention with biased queries, keys and values, then two linear layers with GELU between them.

    Its linear layers begin with PyTorch's default weights.

    Args:
        width: D of the tokens (B, N, D) that it maps to tokens of the same shape.
        num_heads: of the attention; divides D.
        drop_path: probability, for each image of a batch, that a branch is left out in training.
        checkpointing: keep nothing but the input for the backward pass, and compute the block once more there: far less memory
            for a third more time, and the same gradients, as what was left out stays left out.
    """

    def __init__(self, width: int, num_heads: int, *, drop_path: float = 0.0, checkpointing: bool = False) -> None:
        super().__init__(width, num_heads, qkv_bias=True, drop_path=drop_path)
        self.checkpointing = checkpointing

    def forward(self, tokens: Tensor) -> Tensor:  # type: ignore[override]  # nothing here is masked
        """Tokens of the shape of `tokens`, (B, N, D)."""
        if self.checkpointing and torch.is_grad_enabled():
            again: Tensor = checkpoint(super().forward, tokens, use_reentrant=False)
            return again
        return super().forward(tokens)


class VisionTransformer(StagedBackbone):
    """A vision transformer whose features are the normed mean of the patch tokens, under timm's names of parameters.

    Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021 (arXiv 2010.11929), pooled as in the fine-tuning of He et al.,
    Masked Autoencoders Are Scalable Vision Learners, CVPR 2022 (arXiv 2111.06377). It is timm's `VisionTransformer` with
    `global_pool="avg"`: weights of MAE, LiVT and timm load. The classifier is called `head`.

    Initial weights are normal with standard deviation 0.02 (class token, position embedding, linear layers, whose biases are 0)
    and PyTorch's default (patch embedding). They are drawn from torch's current generator; `create_backbone` makes them a
    function of a seed, as does `seeded_weights` where other arguments are needed.

    Args:
        image_size: side in pixels of the images, a multiple of `patch_size`.
        patch_size: side in pixels of what becomes one token.
        width: D of the tokens.
        depth: blocks.
        num_heads: of each attention; divides D.
        drop_path: of the last block (`TransformerBlock`); it grows linearly from 0 in the first.
        num_classes: C.
        head: "linear" or "cosine".
        checkpointing: of every block (`TransformerBlock`).

    Raises:
        UserError: no head has this name, or patches do not cover the image.
    """

    def __init__(
        self,
        *,
        image_size: int = 224,
        patch_size: int = 16,
        width: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        drop_path: float = 0.0,
        num_classes: int,
        head: str = "linear",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if image_size < patch_size or image_size % patch_size:
            raise UserError(
                f"a vision transformer cuts images into patches of {patch_size} px, which {image_size} px is no multiple of; "
                f"the next larger size that is one: {patch_size * math.ceil(image_size / patch_size)}"
            )
        self.image_size = image_size
        self.num_features = width
        self.stage_widths = (width,) * depth
        self.patch_embed = PatchEmbed(image_size, patch_size, 3, width)
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + (image_size // patch_size) ** 2, width))
        rates = [drop_path * index / max(depth - 1, 1) for index in range(depth)]
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, num_heads, drop_path=rate, checkpointing=checkpointing) for rate in rates)
        )
        self.fc_norm = nn.LayerNorm(width, eps=_EPS)
        self.head = create_head(head, width, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        # Published code truncates at a hundred standard deviations, which cuts nothing off; but torch 2.9 then draws a few -2.
        nn.init.normal_(self.pos_embed, std=_STD)
        nn.init.normal_(self.cls_token, std=_STD)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_STD)
                nn.init.zeros_(module.bias)

    @property
    def classifier(self) -> nn.Module:
        """The head."""
        return self.head

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The blocks."""
        return tuple(self.blocks)

    def stem(self, images: Tensor) -> Tensor:
        """Tokens (B, 1 + N, D) with their positions, the class token before those of the N patches, of images (B, 3, H, W).

        Raises:
            UserError: H or W is not the size that the network was made for.
        """
        if images.shape[-2] != self.image_size or images.shape[-1] != self.image_size:
            found = f"{images.shape[-2]} x {images.shape[-1]}"
            raise UserError(f"this vision transformer was made for images of {self.image_size} px, these have {found}")
        patches: Tensor = self.patch_embed(images)
        return torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1) + self.pos_embed

    def pooled(self, hidden: Tensor) -> Tensor:
        """The layer norm of the mean of the patch tokens, shape (B, D)."""
        features: Tensor = self.fc_norm(patch_mean(hidden))
        return features


def patch_mean(tokens: Tensor) -> Tensor:
    """The mean, shape (B, D), of all tokens of shape (B, 1 + N, D) but the first, which is the class token."""
    return tokens[:, 1:].mean(dim=1)


def resized_position_embedding(pos_embed: Tensor, grid: int) -> Tensor:
    """A position embedding for another number of patches: bicubic between the patches, the class token's as it was.

    Args:
        pos_embed: shape (1, 1 + n * n, D).
        grid: patches along a side, at least 1.

    Returns:
        Shape (1, 1 + grid * grid, D), of the same dtype.

    Raises:
        ValueError: the shape is another, or there is no patch.
    """
    if pos_embed.ndim != 3 or pos_embed.shape[0] != 1 or grid < 1:
        raise ValueError(f"no position embedding for a grid of {grid} can be made of shape {tuple(pos_embed.shape)}")
    side = math.isqrt(max(pos_embed.shape[1] - 1, 0))
    if side == 0 or side * side != pos_embed.shape[1] - 1:
        raise ValueError(f"a class token and a square of patches make no {pos_embed.shape[1]} tokens")
    if side == grid:
        return pos_embed
    first, patches = pos_embed[:, :1], pos_embed[:, 1:]
    maps = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    exact = maps.to(torch.promote_types(maps.dtype, torch.float32))
    resized = F.interpolate(exact, size=(grid, grid), mode="bicubic", align_corners=False)
    return torch.cat([first, resized.to(maps.dtype).flatten(2).transpose(1, 2)], dim=1)
