"""ResNets for images of CIFAR's size."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from longtail.backbones.base import StagedBackbone
from longtail.backbones.blocks import BasicBlock, stage
from longtail.backbones.heads import create_head


def shortcut_a(images: Tensor, stride: int, channels: int) -> Tensor:
    """The parameter-free shortcut: every `stride`-th row and column, and zero channels around to make `channels`.

    He et al., Deep Residual Learning for Image Recognition, CVPR 2016 (arXiv 1512.03385), option A of section 4. Slice and
    padding both keep a `channels_last` layout.
    """
    missing = channels - images.shape[1]
    return F.pad(images[:, :, ::stride, ::stride], (0, 0, 0, 0, missing // 2, missing - missing // 2))


class ShortcutA(nn.Module):
    """`shortcut_a` around one block."""

    def __init__(self, _in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, channels, H / stride, W / stride)."""
        return shortcut_a(images, self.stride, self.channels)


class CifarResNet(StagedBackbone):
    """The ResNet of the CIFAR experiments: 3x3 stem, stages of 16, 32 and 64 channels, 6 n + 2 layers.

    He et al., CVPR 2016 (arXiv 1512.03385), section 4.2, with option-A shortcuts. Parameters carry the names of the checkpoints
    that long-tail papers publish. Initialised from torch's current generator; `create_backbone` makes it a function of a seed.

    Args:
        depth: 6 n + 2: 20, 32, 44, 56, 110, 1202.
        num_classes: C.
        head: "linear" or "cosine".

    Raises:
        ValueError: the depth is not of the form 6 n + 2, n >= 1.
        UserError: no head has this name.
    """

    num_features = 64
    stage_widths = (16, 32, 64)

    def __init__(self, depth: int, *, num_classes: int, head: str = "linear") -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if blocks < 1 or rest:
            raise ValueError(f"a CIFAR ResNet has 6 n + 2 layers, got {depth}")
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(BasicBlock, blocks, 16, 16, 1, ShortcutA)
        self.layer2 = stage(BasicBlock, blocks, 16, 32, 2, ShortcutA)
        self.layer3 = stage(BasicBlock, blocks, 32, 64, 2, ShortcutA)
        self.linear = create_head(head, self.num_features, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    @property
    def classifier(self) -> nn.Module:
        """The head."""
        return self.linear

    @property
    def stages(self) -> Sequence[nn.Module]:
        """Three, each with half the resolution of the one before."""
        return self.layer1, self.layer2, self.layer3

    def stem(self, images: Tensor) -> Tensor:
        """Maps, shape (B, 16, H, W), of images of shape (B, 3, H, W)."""
        return F.relu(self.bn1(self.conv1(images)), inplace=True)

    def pooled(self, hidden: Tensor) -> Tensor:
        """The mean over the map, shape (B, 64)."""
        return hidden.mean(dim=(2, 3))
