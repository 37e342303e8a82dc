"""Residual blocks, and stages of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

Shortcut = Callable[[int, int, int], nn.Module]
"""(channels of the input, channels of the output, stride) -> the module around a block that changes the shape."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, each with batch normalisation, and a shortcut around them.

    He et al., Deep Residual Learning for Image Recognition, CVPR 2016 (arXiv 1512.03385), figure 5, left.

    Args:
        in_channels, channels: channels of the input and of the output.
        stride: of the first convolution.
        shortcut: makes the module around the block, unless the block leaves the shape as it is.
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = _around(in_channels, channels, stride, shortcut)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, channels, H / stride, W / stride)."""
        shortcut = self.shortcut(images)
        hidden = F.relu(self.bn1(self.conv1(images)), inplace=True)
        return F.relu(self.bn2(self.conv2(hidden)) + shortcut, inplace=True)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 convolutions that work at a quarter of the width; it is the 3x3 that strides.

    He et al., CVPR 2016 (arXiv 1512.03385), figure 5, right. Arguments and shapes as for `BasicBlock`.
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        width = channels // self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.shortcut = _around(in_channels, channels, stride, shortcut)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, channels, H / stride, W / stride)."""
        shortcut = self.shortcut(images)
        hidden = F.relu(self.bn1(self.conv1(images)), inplace=True)
        hidden = F.relu(self.bn2(self.conv2(hidden)), inplace=True)
        return F.relu(self.bn3(self.conv3(hidden)) + shortcut, inplace=True)


def _around(in_channels: int, channels: int, stride: int, shortcut: Shortcut) -> nn.Module:
    return nn.Identity() if stride == 1 and in_channels == channels else shortcut(in_channels, channels, stride)


def stage(
    block: type[BasicBlock | Bottleneck], blocks: int, in_channels: int, channels: int, stride: int, shortcut: Shortcut
) -> nn.Sequential:
    """`blocks` blocks one after the other, the first of which strides."""
    widths = [in_channels] + [channels] * blocks
    return nn.Sequential(*(block(a, b, stride if i == 0 else 1, shortcut) for i, (a, b) in enumerate(pairwise(widths))))
