"""The augmentations of the papers, by name."""

from __future__ import annotations

from collections.abc import Callable

from longtail.datasets.base import FileImages, LongTailData
from longtail.errors import UserError
from longtail.loading.augment import Augmentation, Compose, RandomApply, RandomChoice
from longtail.loading.autoaugment import AutoAugment
from longtail.loading.blur import GaussianBlur
from longtail.loading.colour import ColorJitter, Grayscale
from longtail.loading.framing import CentreCrop, Framed
from longtail.loading.geometry import Cutout, HorizontalFlip, RandomCrop, RandomResizedCrop
from longtail.loading.randaugment import RandAugment
from longtail.names import AUGMENTATIONS


def cifar_standard(size: int = 32, padding: int = 4, jitter: float = 0.0) -> Augmentation:
    """Random crop of the zero-padded image and horizontal flip, as in almost every CIFAR paper.

    Args:
        size: side of the crop in pixels.
        padding: pixels added on every side.
        jitter: of brightness, contrast and saturation, see `ColorJitter`; the papers have none.
    """
    return Compose(RandomCrop(size, padding), HorizontalFlip(), *_jitter(jitter))


def cifar_reflect(size: int = 32, padding: int = 4, jitter: float = 0.0) -> Augmentation:
    """Random crop of the image mirrored at its borders and horizontal flip: `cifar_standard` without black margins.

    Args:
        size, padding, jitter: see `cifar_standard`.

    Source: Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016; DPA-EI's recipe for CIFAR.
    """
    return Compose(RandomCrop(size, padding, "reflect"), HorizontalFlip(), *_jitter(jitter))


def _jitter(strength: float) -> tuple[Augmentation, ...]:
    return (ColorJitter(strength, strength, strength),) if strength else ()


def cifar_policy(size: int = 32, padding: int = 4) -> Augmentation:
    """Random crop of the zero-padded image, horizontal flip, AutoAugment and a black square of half the side (Cutout).

    Args:
        size: side of the result in pixels.
        padding: of the crop, in pixels.

    Source: Cubuk et al., AutoAugment, CVPR 2019, whose recipe for CIFAR this is.
    """
    return Compose(RandomCrop(size, padding), HorizontalFlip(), AutoAugment(), Cutout(2 * (size // 4)))


def cifar_distortions(size: int = 32) -> Augmentation:
    """Random resized crop, horizontal flip, and the colour distortions of SimCLR with a blur.

    Args:
        size: side of the result in pixels.

    Source: Chen et al., SimCLR, ICML 2020, in the form of MoCo v2.
    """
    return Compose(
        RandomResizedCrop(size, scale=(0.2, 1.0)),
        HorizontalFlip(),
        RandomApply(ColorJitter(0.4, 0.4, 0.4, 0.1), 0.8),
        Grayscale(0.2),
        RandomApply(GaussianBlur((0.1, 2.0)), 0.5),
    )


def cifar_strong(size: int = 32, padding: int = 4) -> Augmentation:
    """For each image, with equal chance, `cifar_policy` or `cifar_distortions`.

    Args:
        size: side of the result in pixels.
        padding: of the policy's crop, in pixels.

    Source: Cui et al., Parametric Contrastive Learning (PaCo), ICCV 2021; CMO's 400-epoch recipe.
    """
    return RandomChoice(cifar_policy(size, padding), cifar_distortions(size))


def imagenet_standard(size: int = 224, jitter: float = 0.0) -> Framed:
    """Random resized crop and horizontal flip, as in almost every ImageNet paper.

    Args:
        size: side of the squares in pixels.
        jitter: of brightness, contrast and saturation, see `ColorJitter`; papers on ImageNet-LT take 0.4, on iNaturalist none.
    """
    return Framed(RandomResizedCrop(size), Compose(HorizontalFlip(), *_jitter(jitter)))


def padded_files(size: int = 32, jitter: float = 0.0) -> Framed:
    """`cifar_standard` for images in files, whose central square is first brought to the size.

    Images that have the size already, such as CIFAR's in PNG files, get exactly what they would get in memory.

    Args:
        size: side of the squares in pixels.
        jitter: of brightness, contrast and saturation, see `ColorJitter`.
    """
    return Framed(CentreCrop(size, size), cifar_standard(size, size // 8, jitter))


def imagenet_policy(size: int = 224) -> Framed:
    """Random resized crop, horizontal flip, colour jitter and RandAugment.

    Args:
        size: side of the squares in pixels.

    Source: the first half of PaCo's mixture, see `imagenet_strong`; LCSL's recipe with RandAugment.
    """
    return Framed(RandomResizedCrop(size), _policy(), on_host=True)


def imagenet_distortions(size: int = 224) -> Framed:
    """Random resized crop and the colour distortions of MoCo v2, without its change of hue.

    Args:
        size: side of the squares in pixels.

    Source: the second half of PaCo's mixture, see `imagenet_strong`; LCSL's recipe after SimCLR.
    """
    return Framed(RandomResizedCrop(size), _distortions())


def imagenet_strong(size: int = 224) -> Framed:
    """Random resized crop, then for each image, with equal chance, what `imagenet_policy` or `imagenet_distortions` does.

    Args:
        size: side of the squares in pixels.

    Source: Cui et al., Parametric Contrastive Learning (PaCo), ICCV 2021; CMO's 400-epoch recipes of ImageNet-LT and
    iNaturalist 2018.
    """
    return Framed(RandomResizedCrop(size), RandomChoice(_policy(), _distortions()), on_host=True)


def _policy() -> Augmentation:
    return Compose(HorizontalFlip(), *_jitter(0.4), RandAugment())


def _distortions() -> Augmentation:
    return Compose(*_jitter(0.4), Grayscale(0.2), RandomApply(GaussianBlur((0.1, 2.0)), 0.5), HorizontalFlip())


# an eighth of the side is the padding of 4 pixels that is usual for 32
_IN_FILES: dict[str, Callable[[int, float], Framed]] = {
    "standard": imagenet_standard,
    "padded": padded_files,
    "reflect": imagenet_standard,
    "strong": lambda size, _: imagenet_strong(size),
    "policy": lambda size, _: imagenet_policy(size),
    "distortions": lambda size, _: imagenet_distortions(size),
}
_IN_MEMORY: dict[str, Callable[[int, float], Augmentation]] = {
    "standard": lambda size, jitter: cifar_standard(size, size // 8, jitter),
    "padded": lambda size, jitter: cifar_standard(size, size // 8, jitter),
    "reflect": lambda size, jitter: cifar_reflect(size, size // 8, jitter),
    "strong": lambda size, _: cifar_strong(size, size // 8),
    "policy": lambda size, _: cifar_policy(size, size // 8),
    "distortions": lambda size, _: cifar_distortions(size),
}
assert (*_IN_FILES, "none") == (*_IN_MEMORY, "none") == AUGMENTATIONS


def create_augmentation(name: str, data: LongTailData, *, jitter: float = 0.0) -> Augmentation | Framed | None:
    """The training augmentation of this name for the images of a data set.

    `standard` is crop and flip. `padded` is what `standard` is in memory, crop of the padded image and flip, for files too.
    `reflect` has mirrored instead of black margins; for images in files, whose crops have no margins, it is `standard`.
    `policy` is an automatic policy (AutoAugment in memory, RandAugment in files), `distortions` are those of SimCLR, and
    `strong` mixes the two. Images in files get `imagenet_<name>` or `padded_files`, images in memory `cifar_<name>`, where a
    crop's padding is an eighth of the side.

    Args:
        name: one of `AUGMENTATIONS`; `none` is None.
        data: the data set; its training images decide.
        jitter: of brightness, contrast and saturation, for `standard`, `padded` and `reflect`; the others have their own or
            none.

    Raises:
        UserError: no augmentation has this name.
    """
    if name not in AUGMENTATIONS:
        raise UserError(f"no augmentation is called {name!r}; choose one of {', '.join(AUGMENTATIONS)}")
    if name == "none":
        return None
    kind = _IN_FILES if isinstance(data.train.images, FileImages) else _IN_MEMORY
    return kind[name](data.image_size, jitter)
