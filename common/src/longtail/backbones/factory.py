"""Backbones by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from longtail import names
from longtail.backbones.base import Backbone
from longtail.backbones.cifar_resnet import CifarResNet
from longtail.backbones.projection_resnet import ProjectionResNet
from longtail.errors import UserError


def _imagenet_resnet(*layers: int, bottleneck: bool = True, **arguments: Any) -> Backbone:
    # torchvision takes seconds to import, which runs on CIFAR need not spend
    from longtail.backbones.imagenet_resnet import ImageNetResNet

    return ImageNetResNet(layers, bottleneck=bottleneck, **arguments)


def _vision_transformer(**arguments: Any) -> Backbone:
    # as does timm
    from longtail.backbones.vision_transformer import VisionTransformer

    return VisionTransformer(**arguments)


CIFAR_BACKBONES: dict[str, Callable[..., Backbone]] = {
    **{f"resnet{depth}": partial(CifarResNet, depth) for depth in (20, 32, 44, 56, 110, 1202)},
    "cifar_resnet18": partial(ProjectionResNet, (2, 2, 2, 2), bottleneck=False, large_stem=False),
    "cifar_resnet34": partial(ProjectionResNet, (3, 4, 6, 3), bottleneck=False, large_stem=False),
    "cifar_resnet50": partial(ProjectionResNet, (3, 4, 6, 3), bottleneck=True, large_stem=False),
}
"""The networks for images of about 32 px: `resnetN` are narrow, `cifar_resnetN` as wide as ImageNet's."""

IMAGENET_BACKBONES: dict[str, Callable[..., Backbone]] = {
    "resnet18": partial(_imagenet_resnet, 2, 2, 2, 2, bottleneck=False),
    "resnet34": partial(_imagenet_resnet, 3, 4, 6, 3, bottleneck=False),
    "resnet50": partial(_imagenet_resnet, 3, 4, 6, 3),
    "resnet101": partial(_imagenet_resnet, 3, 4, 23, 3),
    "resnet152": partial(_imagenet_resnet, 3, 8, 36, 3),
    "resnext50_32x4d": partial(_imagenet_resnet, 3, 4, 6, 3, groups=32, width_per_group=4),
    "resnext101_32x8d": partial(_imagenet_resnet, 3, 4, 23, 3, groups=32, width_per_group=8),
    "resnext101_64x4d": partial(_imagenet_resnet, 3, 4, 23, 3, groups=64, width_per_group=4),
    "wide_resnet50_2": partial(_imagenet_resnet, 3, 4, 6, 3, width_per_group=128),
    "wide_resnet101_2": partial(_imagenet_resnet, 3, 4, 23, 3, width_per_group=128),
    "resnet50_plain": partial(ProjectionResNet, (3, 4, 6, 3), bottleneck=True, large_stem=True),
}
"""The networks for images of about 224 px, under torchvision's names, for which torchvision is imported when one is made;
`resnet50_plain` is `resnet50` with PyTorch's default initial weights and other names of parameters."""

VIT_BACKBONES: dict[str, Callable[..., Backbone]] = {
    "vit_tiny_patch16": partial(_vision_transformer, patch_size=16, width=192, num_heads=3),
    "vit_small_patch16": partial(_vision_transformer, patch_size=16, width=384, num_heads=6),
    "vit_base_patch16": partial(_vision_transformer, patch_size=16, width=768, num_heads=12),
}
"""Vision transformers of 12 blocks for images of about 224 px, for which timm is imported when one is made.

They take the keyword argument `image_size` as well, and those of `VisionTransformer`."""

BACKBONES: dict[str, Callable[..., Backbone]] = {**CIFAR_BACKBONES, **IMAGENET_BACKBONES, **VIT_BACKBONES}
"""Every backbone under its name; each takes the keyword arguments `num_classes` and `head`."""

assert tuple(CIFAR_BACKBONES) == names.CIFAR_BACKBONES
assert tuple(IMAGENET_BACKBONES) == names.IMAGENET_BACKBONES
assert tuple(VIT_BACKBONES) == names.VIT_BACKBONES


def create_backbone(name: str, *, num_classes: int, head: str = "linear", seed: int, image_size: int = 224) -> Backbone:
    """Make the backbone of this name on the CPU, with initial weights that depend on the arguments alone.

    The caller's random state, torch's global generators included, is left as it was.

    Args:
        name: a key of `BACKBONES`.
        num_classes: C, at least 1.
        head: "linear", or "cosine" for logits that are cosines.
        seed: of the initial weights.
        image_size: side in pixels of the images that it will see; only vision transformers depend on it.

    Raises:
        UserError: no backbone or head has this name, there is no class, or a transformer's patches do not cover such an image.
    """
    if name not in BACKBONES:
        families = {"CIFAR": CIFAR_BACKBONES, "ImageNet": {**IMAGENET_BACKBONES, **VIT_BACKBONES}}
        known = "; ".join(f"for {family}: {', '.join(members)}" for family, members in families.items())
        raise UserError(f"no backbone is called {name!r}; there are\n{known}")
    if num_classes < 1:
        raise UserError(f"a classifier needs at least one class, got {num_classes}")
    sized = {"image_size": image_size} if name in VIT_BACKBONES else {}
    with seeded_weights(seed):
        return BACKBONES[name](num_classes=num_classes, head=head, **sized)


@contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Modules made in this context are on the CPU, and their initial weights depend on the seed alone.

    The caller's random state, torch's global generators included, is afterwards as it was.
    """
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would re-seed the GPUs as well.
        torch.default_generator.manual_seed(seed)
        yield


def check_size(name: str, *, small: bool, title: str, instead: str) -> None:
    """Refuse a backbone that is made for images of the other size.

    Args:
        name: of the backbone; one that nobody knows passes here.
        small: whether the images are of CIFAR's size, not of ImageNet's.
        title: of the data set.
        instead: the backbone to advise.

    Raises:
        UserError: it is one.
    """
    others, pixels = ({**IMAGENET_BACKBONES, **VIT_BACKBONES}, 224) if small else (CIFAR_BACKBONES, 32)
    if name in others:
        raise UserError(f"--arch {name} is a network for images of {pixels} pixels; for {title} take {instead}")
