"""ResNets and ResNeXts for images of ImageNet's size. Importing this module imports torchvision, which takes seconds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet  # type: ignore[import-untyped]

from longtail.backbones.base import Backbone
from longtail.backbones.heads import create_head


class ImageNetResNet(Backbone, ResNet):  # type: ignore[misc]
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
        # torchvision's own classifier is the linear head, drawn in torchvision's order of draws
        if head != "linear":
            self.fc = create_head(head, self.num_features, num_classes)

    @property
    def classifier(self) -> nn.Module:
        """The head."""
        return self.fc

    def features(self, images: Tensor) -> Tensor:
        """Pooled features, shape (B, D), of images of shape (B, 3, H, W); D is 512, or 2048 with bottlenecks."""
        hidden = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        hidden = self.layer4(self.layer3(self.layer2(self.layer1(hidden))))
        return torch.flatten(self.avgpool(hidden), 1)
