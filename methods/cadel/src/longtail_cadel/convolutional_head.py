"""The auxiliary head on a stage of a convolutional network."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from longtail_cadel.heads import SquashedCosine

SMALL = 7
"""Maps with a side below this are padded; one of 7 px leaves at least one pixel to the last of three 3x3 convolutions."""


class ConvolutionalHead(nn.Module):
    """Four convolutions, squeeze and excitation, global pooling, dropout, and the squashed cosine: logits of a map.

    Squeeze and excitation: Hu et al., CVPR 2018 (arXiv 1709.01507). All 3x3 convolutions but the first are unpadded, so the map
    shrinks by 4 pixels on its way, or by 6 with a last kernel of 3. On a map with a side below 7 they are padded and it keeps
    its size; the paper's networks, at 224 px, have none so small.

    With the default sizes it is the head of the paper's ResNet-50 and ResNeXt-50 (last kernel 1) and of its ResNet-152 for
    Places (last kernel 3), under their checkpoints' names of parameters. It costs more than their trunks: on the second stage
    of ResNet-50 at 224 px 34.8 billion multiplications an image, where the trunk takes 4.1; three fifths are `preBlock.6`.
    Initialised from torch's current generator with PyTorch's default values.

    Args:
        in_channels: channels of the map.
        num_classes: C.
        width: channels of the first three convolutions.
        out_width: channels of the last one, so the width of the features.
        groups: of the second convolution.
        reduction: the excitation works at `out_width / reduction`.
        last_kernel: side of the last convolution's kernel.
        scale: of the cosines.
        dropout: probability that a feature is left out in training.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 2048,
        out_width: int = 4096,
        groups: int = 32,
        reduction: int = 8,
        last_kernel: Literal[1, 3],
        scale: float = 30.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.preBlock = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, groups=groups),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, out_width, last_kernel),
            nn.BatchNorm2d(out_width),
        )
        self.seBlock = nn.Sequential(
            nn.Linear(out_width, out_width // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(out_width // reduction, out_width, bias=False),
            nn.Sigmoid(),
        )
        self.dropout = nn.Dropout(dropout)
        self.FC = SquashedCosine(out_width, num_classes, scale=scale)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits, shape (B, C), of maps of shape (B, in_channels, H, W)."""
        squeezed = F.relu(self._convolved(maps), inplace=True).mean(dim=(2, 3))
        # A channel is excited by one factor everywhere, so it can be pooled first: the map is never multiplied.
        features = squeezed * self.seBlock(squeezed)
        logits: Tensor = self.FC(self.dropout(features))
        return logits

    def _convolved(self, maps: Tensor) -> Tensor:
        is_small = min(maps.shape[2:]) < SMALL
        hidden = maps
        for layer in self.preBlock:
            if is_small and isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) and layer.padding == (0, 0):
                hidden = F.pad(hidden, (1, 1, 1, 1))
            hidden = layer(hidden)
        return hidden
