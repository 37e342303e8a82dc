"""The augmentations of the papers, by name."""

from __future__ import annotations

from longtail.datasets.base import FileImages, LongTailData
from longtail.errors import UserError
from longtail.loading.augment import Augmentation, Compose, RandomApply, RandomChoice
from longtail.loading.autoaugment import AutoAugment
from longtail.loading.blur import GaussianBlur
from longtail.loading.colour import ColorJitter, Grayscale
from longtail.loading.framing import Framed
from longtail.loading.geometry import Cutout, HorizontalFlip, RandomCrop, RandomResizedCrop
from longtail.loading.randaugment import RandAugment


def cifar_standard(size: int = 32, padding: int = 4, jitter: float = 0.0) -> Augmentation:
    """Random crop of the zero-padded image and horizontal flip, as in almost every CIFAR paper.

    Args:
        size: side of the crop in pixels.
        padding: pixels added on every side.
        jitter: of brightness, contrast and saturation, see `ColorJitter`; the papers have none.
    """
    return Compose(RandomCrop(size, padding), HorizontalFlip(), *_jitter(jitter))


def _jitter(strength: float) -> tuple[Augmentation, ...]:
    return (ColorJitter(strength, strength, strength),) if strength else ()


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


def imagenet_standard(size: int = 224, jitter: float = 0.0) -> Framed:
    """Random resized crop and horizontal flip, as in almost every ImageNet paper.

    Args:
        size: side of the squares in pixels.
        jitter: of brightness, contrast and saturation, see `ColorJitter`; papers on ImageNet-LT take 0.4, on iNaturalist none.
    """
    return Framed(RandomResizedCrop(size), Compose(HorizontalFlip(), *_jitter(jitter)))


def imagenet_strong(size: int = 224) -> Framed:
    """Random resized crop, then for each image, with equal chance, RandAugment or the colour distortions of MoCo v2.

    Args:
        size: side of the squares in pixels.

    Source: Cui et al., Parametric Contrastive Learning (PaCo), ICCV 2021; CMO's 400-epoch recipes of ImageNet-LT and
    iNaturalist 2018.
    """
    policy = Compose(HorizontalFlip(), *_jitter(0.4), RandAugment())
    distortions = Compose(*_jitter(0.4), Grayscale(0.2), RandomApply(GaussianBlur((0.1, 2.0)), 0.5), HorizontalFlip())
    return Framed(RandomResizedCrop(size), RandomChoice(policy, distortions), on_host=True)


AUGMENTATIONS = ("standard", "strong", "none")


def create_augmentation(name: str, data: LongTailData, *, jitter: float = 0.0) -> Augmentation | Framed | None:
    """The training augmentation of this name for the images of a data set.

    For images in files, `standard` and `strong` are `imagenet_standard` and `imagenet_strong`. For images in memory they are
    `cifar_standard` and `cifar_strong`, where the crop's padding is an eighth of the side (the 4 pixels that are usual for 32).

    Args:
        name: one of `AUGMENTATIONS`; `none` is None.
        data: the data set; its training images decide.
        jitter: of brightness, contrast and saturation, for `standard`; `strong` has its own.

    Raises:
        UserError: no augmentation has this name.
    """
    if name not in AUGMENTATIONS:
        raise UserError(f"no augmentation is called {name!r}; choose one of {', '.join(AUGMENTATIONS)}")
    if name == "none":
        return None
    size = data.image_size
    if isinstance(data.train.images, FileImages):
        return imagenet_strong(size) if name == "strong" else imagenet_standard(size, jitter)
    return cifar_strong(size, size // 8) if name == "strong" else cifar_standard(size, size // 8, jitter)
