"""The augmentations of the papers, by name."""

from __future__ import annotations

from longtail.datasets.base import LongTailData
from longtail.errors import UserError
from longtail.loading.augment import Augmentation, Compose, RandomApply, RandomChoice
from longtail.loading.autoaugment import AutoAugment
from longtail.loading.blur import GaussianBlur
from longtail.loading.colour import ColorJitter, Grayscale
from longtail.loading.framing import Framed
from longtail.loading.geometry import Cutout, HorizontalFlip, RandomCrop, RandomResizedCrop


def cifar_standard(size: int = 32, padding: int = 4) -> Augmentation:
    """Random crop of the zero-padded image and horizontal flip, as in almost every CIFAR paper.

    Args:
        size: side of the crop in pixels.
        padding: pixels added on every side.
    """
    return Compose(RandomCrop(size, padding), HorizontalFlip())


def cifar_strong(size: int = 32, padding: int = 4) -> Augmentation:
    """For each image, with equal chance, AutoAugment with Cutout or the colour distortions of SimCLR.

    Args:
        size: side of the result in pixels.
        padding: of the crop before AutoAugment.

    Source: Cui et al., Parametric Contrastive Learning (PaCo), ICCV 2021; CMO's 400-epoch recipe.
    """
    policy = Compose(RandomCrop(size, padding), HorizontalFlip(), AutoAugment(), Cutout(2 * (size // 4)))
    distortions = Compose(
        RandomResizedCrop(size, scale=(0.2, 1.0)),
        HorizontalFlip(),
        RandomApply(ColorJitter(0.4, 0.4, 0.4, 0.1), 0.8),
        Grayscale(0.2),
        RandomApply(GaussianBlur((0.1, 2.0)), 0.5),
    )
    return RandomChoice(policy, distortions)


AUGMENTATIONS = ("standard", "strong", "none")


def create_augmentation(name: str, data: LongTailData) -> Augmentation | Framed | None:
    """The training augmentation of this name for the images of a data set.

    For images in memory, `standard` is crop and flip, where the crop's padding is an eighth of the side (the 4 pixels that are
    usual for 32), and `strong` is `cifar_strong`.

    Args:
        name: one of `AUGMENTATIONS`.
        data: the data set; its training images decide.

    Raises:
        UserError: no augmentation has this name.
    """
    if name not in AUGMENTATIONS:
        raise UserError(f"no augmentation is called {name!r}; choose one of {', '.join(AUGMENTATIONS)}")
    if name == "none":
        return None
    preset = cifar_strong if name == "strong" else cifar_standard
    return preset(data.image_size, data.image_size // 8)
