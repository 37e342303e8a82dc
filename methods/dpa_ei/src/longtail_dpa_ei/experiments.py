"""The paper's experiments: what its scripts do for each data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Experiment:
    """What the paper does on one data set.

    Args:
        dataset: as `--dataset` has it.
        title: as texts call it.
        num_classes: of the real data set.
        root: where its files lie unless the command line tells.
        stage1: where the scripts look for the network that large images are seen with, the first that exists.
        stage1_source: where its authors publish one.
        jitter: of brightness, contrast and saturation in the augmentation.
        lists: what the core calls these lists of images, of large data sets.
        meta_from: the part of the data set that meta images are taken from.
        augments_meta: whether meta images are augmented like training images.
        published_meta: meta images of a class that the paper's code takes, whatever its flag says; None where it follows it.
    """

    dataset: str
    title: str
    num_classes: int
    root: str
    stage1: tuple[str, ...] = ()
    stage1_source: str = ""
    jitter: float = 0.0
    lists: str = ""
    meta_from: str = "train"
    augments_meta: bool = True
    published_meta: int | None = None


_MODELS = "https://dl.fbaipublicfiles.com/classifier-balancing"

CIFAR = {
    each.dataset: each
    for each in (
        Experiment("cifar10", "CIFAR-10-LT", 10, "data/CIFAR10"),
        Experiment("cifar100", "CIFAR-100-LT", 100, "data/CIFAR100"),
    )
}
LARGE = {
    each.dataset: each
    for each in (
        Experiment(
            "ImageNet_LT",
            "ImageNet-LT",
            1000,
            "/ImageNet2012",
            (
                "ImageNet_iNat/stage1/ImageNet_LT/models/resnet50_uniform_e90/latest_model_checkpoint.pth",
                "stage1/resnet50_uniform_e90.pth",
            ),
            f"{_MODELS}/ImageNet_LT/models/resnet50_uniform_e90.pth",
            jitter=0.4,
            lists="imagenet-lt",
            meta_from="val",
            augments_meta=False,
            published_meta=10,
        ),
        Experiment(
            "iNaturalist18",
            "iNaturalist 2018",
            8142,
            "/iNaturalist18",
            (
                "ImageNet_iNat/stage1/iNaturalist18/models/resnet50_uniform_e90/latest_model_checkpoint.pth",
                "stage1/iNat18/resnet50_uniform_e200.pth",
            ),
            f"{_MODELS}/iNaturalist18/models/resnet50_uniform_e200.pth",
            lists="inat18",
            published_meta=2,
        ),
    )
}
