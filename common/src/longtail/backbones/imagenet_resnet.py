"""ResNets and ResNeXts for images of ImageNet's size. Importing this module imports torchvision, which takes seconds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet  # type: ignore[import-untyped]

from longtail.backbones.base import StagedBackbone
from longtail.backbones.heads import create_head


class ImageNetResNet(StagedBackbone, ResNet):  # type: ignore[misc]
    """torchvision's ResNet with a choice of heads: its layers, parameter names and initial weights.

    He et al., Deep Residual Learning for Image Recognition, CVPR 2016 (arXiv 1512.03385); Xie et al., Aggregated Residual
    Transformations for Deep Neural Networks, CVPR 2017 (arXiv 1611.05431). A bottleneck strides in its 3x3 convolution, as in
    the networks that long-tail papers trained. The classifier is called `fc`. Initialised from torch's current generator;
    `create_backbone` makes it a function of a seed.

    Args:
        layers: blocks of each of the four stages.
        bottleneck: blocks of three convolutions with a fourfold output, instead of two.
        groups: groups of the 3x3 convolutions (ResNeXt's cardinality).
        width_per_group: channels of a group in the first stage.
        num_classes: C.
        head: "linear" or "cosine".

    Raises:
        UserError: no head has this name.
    """

    conv1: nn.Module
    bn1: nn.Module
    relu: nn.Module
    maxpool: nn.Module
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module
    avgpool: nn.Module
    fc: nn.Module

    def __init__(
        self,
        layers: Sequence[int],
        *,
        bottleneck: bool,
        groups: int = 1,
        width_per_group: int = 64,
        num_classes: int,
        head: str = "linear",
    ) -> None:
        block = Bottleneck if bottleneck else BasicBlock
        super().__init__(block, list(layers), num_classes, groups=groups, width_per_group=width_per_group)
        self.num_features = 512 * block.expansion
        self.stage_widths = tuple(width * block.expansion for width in (64, 128, 256, 512))
        # torchvision's own classifier is the linear head, drawn in torchvision's order of draws
        if head != "linear":
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
        """Maps of 64 channels, a quarter as high and wide as the images of shape (B, 3, H, W)."""
        hidden: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return hidden

    def pooled(self, hidden: Tensor) -> Tensor:
        """The mean over the map, shape (B, D); D is 512, or 2048 with bottlenecks."""
        return torch.flatten(self.avgpool(hidden), 1)
