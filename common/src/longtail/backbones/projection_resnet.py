"""ResNets of ImageNet's widths with projection shortcuts, for small images and for large ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from longtail.backbones.base import StagedBackbone
from longtail.backbones.blocks import BasicBlock, Bottleneck, stage
from longtail.backbones.heads import create_head


def projection(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """The learned shortcut: a strided 1x1 convolution and batch normalisation.

    He et al., Deep Residual Learning for Image Recognition, CVPR 2016 (arXiv 1512.03385), option B of section 4.
    """
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))


class ProjectionResNet(StagedBackbone):
    """The ResNet of LCSL's code: four stages of 64, 128, 256 and 512 channels (four times that with bottlenecks).

    He et al., CVPR 2016 (arXiv 1512.03385), section 4.1. Parameters carry the names of LCSL's checkpoints: a projection is
    `shortcut`, the classifier `fc`. Its features are the mean over the whole map. LCSL's code averages the first 4 x 4 cells,
    which is the same for images of 32 px, but leaves out two thirds of the 7 x 7 cells of an image of 224 px.

    With the large stem this is torchvision's ResNet of the same blocks; it differs in the names of parameters and in their
    initial values, which are PyTorch's defaults. They are drawn from torch's current generator; `create_backbone` makes them
    a function of a seed.

    Args:
        layers: blocks of each of the four stages.
        bottleneck: blocks of three convolutions with a fourfold output, instead of two.
        large_stem: begin with a 7x7 convolution and a max-pool, both of stride 2, for images of about 224 px; otherwise with a
            3x3 convolution of stride 1, for images of about 32 px.
        num_classes: C.
        head: "linear" or "cosine".

    Raises:
        UserError: no head has this name.
    """

    def __init__(
        self, layers: Sequence[int], *, bottleneck: bool, large_stem: bool, num_classes: int, head: str = "linear"
    ) -> None:
        super().__init__()
        block: type[BasicBlock | Bottleneck] = Bottleneck if bottleneck else BasicBlock
        width = 64
        kernel, stride = (7, 2) if large_stem else (3, 1)
        self.conv1 = nn.Conv2d(3, width, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.max_pool = nn.MaxPool2d(3, 2, padding=1) if large_stem else nn.Identity()
        channels = [width * block.expansion * factor for factor in (1, 2, 4, 8)]
        self.layer1 = stage(block, layers[0], width, channels[0], 1, projection)
        self.layer2 = stage(block, layers[1], channels[0], channels[1], 2, projection)
        self.layer3 = stage(block, layers[2], channels[1], channels[2], 2, projection)
        self.layer4 = stage(block, layers[3], channels[2], channels[3], 2, projection)
        self.num_features = channels[3]
        self.stage_widths = tuple(channels)
        self.fc = create_head(head, self.num_features, num_classes)

    @property
    def classifier(self) -> nn.Module:
        """The head."""
        return self.fc

    @property
    def stages(self) -> Sequence[nn.Module]:
        """Four, each but the first with half the resolution of the one before."""
        return self.layer1, self.layer2, self.layer3, self.layer4

    def stem(self, images: Tensor) -> Tensor:
        """Maps of 64 channels of images of shape (B, 3, H, W), a quarter as high and wide with the large stem."""
        hidden: Tensor = self.max_pool(F.relu(self.bn1(self.conv1(images)), inplace=True))
        return hidden

    def pooled(self, hidden: Tensor) -> Tensor:
        """The mean over the map, shape (B, D); D is 512, or 2048 with bottlenecks."""
        return hidden.mean(dim=(2, 3))
