"""The auxiliary head on a block of a vision transformer. Importing this module imports timm, which takes seconds."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from longtail.backbones.vision_transformer import TransformerBlock, patch_mean


class TransformerHead(nn.Module):
    """More blocks of the trunk's kind, the mean of the patch tokens, and a classifier: logits of tokens.

    The paper's code makes a layer norm here and never applies it: `norm` is in its checkpoints, and here for their sake,
    without a gradient. Initialised from torch's current generator with PyTorch's default values, unlike the trunk's blocks.

    Args:
        dim: D of the tokens.
        num_heads: of each attention; divides D.
        depth: blocks.
        drop_path: of each block, the rate of the block that it follows.
        num_classes: C.
        make_head: (D, C) -> what maps features (B, D) to logits (B, C).
        checkpointing: compute the blocks once more in the backward pass instead of keeping what they need there.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        depth: int = 2,
        drop_path: float = 0.0,
        num_classes: int,
        make_head: Callable[[int, int], nn.Module],
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.block_fn = nn.Sequential(
            *(TransformerBlock(dim, num_heads, drop_path=drop_path, checkpointing=checkpointing) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6).requires_grad_(False)
        self.head = make_head(dim, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, shape (B, C), of tokens of shape (B, 1 + N, D), the class token first."""
        logits: Tensor = self.head(patch_mean(self.block_fn(tokens)))
        return logits
