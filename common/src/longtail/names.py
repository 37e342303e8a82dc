"""What backbones, losses, augmentations and data sets are called: flags offer these names, and must not wait for torch.

What makes the things has the same names, in the same order, and asserts that when it is imported.
"""

from __future__ import annotations

CIFAR_BACKBONES = (
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet1202",
    "cifar_resnet18",
    "cifar_resnet34",
    "cifar_resnet50",
)
IMAGENET_BACKBONES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnet50_plain",
)
VIT_BACKBONES = ("vit_tiny_patch16", "vit_small_patch16", "vit_base_patch16")
BACKBONES = (*CIFAR_BACKBONES, *IMAGENET_BACKBONES, *VIT_BACKBONES)
"""What `longtail.backbones.create_backbone` makes, where the three kinds are told."""

LOSSES = ("ce", "focal", "class_balanced", "ldam", "balanced_softmax", "logit_adjustment")
"""What `longtail.losses.create_loss` makes."""

TRAIN_RULES = ("none", "reweight", "drw")
"""The class weights that `longtail.training.plain.ClassWeights` gives to a loss."""

AUGMENTATIONS = ("standard", "padded", "reflect", "strong", "policy", "distortions", "none")
AUGMENTATIONS_IN_WORDS = (
    "augmentation: crop and flip (standard); the crop that CIFAR has, of the image in a black margin, for images in files too "
    "(padded); mirrored margins, for images in memory (reflect); crop, flip and AutoAugment, or RandAugment for images in "
    "files (policy); crop, flip and distorted colours (distortions); one of the last two for each image (strong); none"
)
"""What a help text says of the augmentations that `longtail.loading.presets.create_augmentation` makes."""

PROFILES = ("exp", "step", "balanced")
"""How class sizes may fall in a data set that is cut to be long-tailed, see `longtail.datasets.splits.class_counts`."""

LONG_TAILED_BY_RULE = ("cifar10", "cifar100", "digits")
"""The data sets that an imbalance factor, a profile and a split seed cut a long tail from; images in memory."""

LISTED = ("imagenet-lt", "places-lt", "inat18", "imagenet-lt-csv", "inat18-json")
"""The data sets that are given by lists, see `longtail.datasets.published`."""

IN_FILES = (*LISTED, "csv", "folder")
"""The data sets that are as long-tailed as they come; images in files."""

DATASETS = (*LONG_TAILED_BY_RULE, *IN_FILES)
"""What `longtail.datasets.factory.create_data` knows by name."""

ON_BAD_IMAGE = ("fail", "skip")
"""What may happen to an image that is missing or cannot be read."""
