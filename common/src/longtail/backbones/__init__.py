"""Networks: one factory, the parameter names of the published checkpoints, and heads."""

from longtail.backbones.base import Backbone, StagedBackbone, linear_classifier
from longtail.backbones.cifar_resnet import CifarResNet
from longtail.backbones.factory import (
    BACKBONES,
    CIFAR_BACKBONES,
    IMAGENET_BACKBONES,
    VIT_BACKBONES,
    check_size,
    create_backbone,
    seeded_weights,
)
from longtail.backbones.heads import HEADS, CosineLinear, create_head
from longtail.backbones.projection_resnet import ProjectionResNet
from longtail.backbones.weights import Loaded, begin_with, load_backbone_weights, load_matching_weights

__all__ = [
    "BACKBONES",
    "CIFAR_BACKBONES",
    "HEADS",
    "IMAGENET_BACKBONES",
    "VIT_BACKBONES",
    "Backbone",
    "CifarResNet",
    "CosineLinear",
    "Loaded",
    "ProjectionResNet",
    "StagedBackbone",
    "begin_with",
    "check_size",
    "create_backbone",
    "create_head",
    "linear_classifier",
    "load_backbone_weights",
    "load_matching_weights",
    "seeded_weights",
]
