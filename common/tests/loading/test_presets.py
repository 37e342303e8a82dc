"""The papers' augmentations by name: for which images, and what they are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from pillow_reference import each, varied_images
from torchvision.transforms import functional

from longtail.datasets.base import ArrayImages, FileImages, ImageData, LongTailData
from longtail.errors import UserError
from longtail.loading import Sequential, create_loader, files, transfer
from longtail.loading.augment import Compose, Draws, RandomApply, RandomChoice
from longtail.loading.autoaugment import AutoAugment
from longtail.loading.blur import GaussianBlur
from longtail.loading.colour import ColorJitter, Grayscale
from longtail.loading.framing import CentreCrop, Framed
from longtail.loading.geometry import Cutout, HorizontalFlip, RandomCrop, RandomResizedCrop
from longtail.loading.presets import (
    cifar_distortions,
    cifar_policy,
    cifar_reflect,
    cifar_standard,
    cifar_strong,
    create_augmentation,
    imagenet_distortions,
    imagenet_policy,
    imagenet_standard,
    imagenet_strong,
)
from longtail.loading.randaugment import RandAugment
from longtail.names import AUGMENTATIONS
from longtail.randomness import Randomness

COUNT = 60
SIZE = (24, 24)


def data(images, size):
    some = ImageData(images, np.arange(2), ("a", "b"))
    return LongTailData("toy", some, None, some, size, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


IN_MEMORY = data(ArrayImages(np.zeros((2, 8, 8, 3), np.uint8)), 8)
IN_FILES = data(FileImages(Path("pictures"), ("a.jpg", "b.jpg")), 24)


def applied(augmentation, images, seed=0):
    size = (images.shape[1], images.shape[2])
    return augmentation.apply(images, augmentation.draw(np.random.default_rng(seed), len(images), size))


@pytest.mark.parametrize("where", [IN_MEMORY, IN_FILES])
def test_no_augmentation_and_wrong_names(where):
    assert create_augmentation("none", where, jitter=0.4) is None
    with pytest.raises(UserError, match="choose one of standard, padded, reflect, strong, policy, distortions, none"):
        create_augmentation("mild", where)


def test_images_in_memory_get_cifars():
    images = varied_images(COUNT, 8, 8)
    presets = {
        "standard": cifar_standard(8, 1),
        "padded": cifar_standard(8, 1),
        "reflect": cifar_reflect(8, 1),
        "strong": cifar_strong(8, 1),
        "policy": cifar_policy(8, 1),
        "distortions": cifar_distortions(8),
    }
    for name, preset in presets.items():
        augmentation = create_augmentation(name, IN_MEMORY)
        assert augmentation.output_size((8, 8)) == (8, 8)
        assert torch.equal(applied(augmentation, images), applied(preset, images))


def test_images_in_files_get_imagenets():
    images = varied_images(COUNT, *SIZE)
    presets = {
        "standard": imagenet_standard(24),
        "reflect": imagenet_standard(24),
        "strong": imagenet_strong(24),
        "policy": imagenet_policy(24),
        "distortions": imagenet_distortions(24),
    }
    for name, preset in presets.items():
        framed = create_augmentation(name, IN_FILES)
        assert isinstance(framed, Framed)
        assert isinstance(framed.framing, RandomResizedCrop)
        assert (framed.framing.size, framed.framing.scale, framed.framing.ratio) == (24, (0.08, 1.0), (3 / 4, 4 / 3))
        assert torch.equal(applied(framed.augmentation, images), applied(preset.augmentation, images))
        assert framed.on_host == (name in ("strong", "policy"))


def test_padded_files_get_cifars_on_the_centre_of_the_image_size():
    framed = create_augmentation("padded", IN_FILES, jitter=0.4)
    assert isinstance(framed, Framed)
    assert isinstance(framed.framing, CentreCrop)
    assert (framed.framing.size, framed.framing.resize, framed.on_host) == (24, 24, False)
    images = varied_images(COUNT, *SIZE)
    assert torch.equal(applied(framed.augmentation, images), applied(cifar_standard(24, 3, 0.4), images))
    for image in images[:5]:
        assert torch.equal(framed.framing.frame(image, Draws()), image), "nothing happens to images of that size before"


def test_every_name_makes_an_augmentation():
    for where in (IN_MEMORY, IN_FILES):
        made = [create_augmentation(name, where) for name in AUGMENTATIONS]
        assert [augmentation is None for augmentation in made] == [name == "none" for name in AUGMENTATIONS]


def test_reflection_draws_what_the_standard_draws_and_shows_no_black():
    """The same places and flips, so that both differ in the margin alone; the whole equals torchvision's transforms."""
    images = varied_images(COUNT).clamp_(min=1)
    draws = cifar_reflect().draw(np.random.default_rng(0), COUNT, (32, 32))
    standard = cifar_standard().draw(np.random.default_rng(0), COUNT, (32, 32))
    for ours, theirs in zip(draws.parts, standard.parts, strict=True):
        assert {name: value.tolist() for name, value in ours.values.items()} == {
            name: value.tolist() for name, value in theirs.values.items()
        }
    mirrored, black = cifar_reflect().apply(images, draws), cifar_standard().apply(images, standard)
    inside = black > 0
    assert torch.equal(mirrored[inside], black[inside])
    assert mirrored.min() > 0
    assert not inside.all()
    crop, flip = draws.parts

    def single(image: Image.Image, at: int) -> Image.Image:
        padded = functional.pad(image, 4, padding_mode="reflect")
        cut = functional.crop(padded, int(crop.values["top"][at]), int(crop.values["left"][at]), 32, 32)
        return functional.hflip(cut) if flip.values["flipped"][at] else cut

    np.testing.assert_array_equal(mirrored.numpy(), each(images, single))


def test_the_policy_for_images_in_memory():
    """Crop of the padded image, flip, AutoAugment, and a hole of half the side."""
    images = varied_images(COUNT)
    parts = RandomCrop(32, 4), HorizontalFlip(), AutoAugment(), Cutout(16)
    assert torch.equal(applied(cifar_policy(), images), applied(Compose(*parts), images))


def test_the_distortions_for_images_in_memory():
    """A resized crop of at least a fifth, flip, and SimCLR's jitter, grey and blur."""
    images = varied_images(COUNT)
    parts = (
        RandomResizedCrop(32, (0.2, 1.0)),
        HorizontalFlip(),
        RandomApply(ColorJitter(0.4, 0.4, 0.4, 0.1), 0.8),
        Grayscale(0.2),
        RandomApply(GaussianBlur((0.1, 2.0)), 0.5),
    )
    assert torch.equal(applied(cifar_distortions(), images), applied(Compose(*parts), images))


@pytest.mark.parametrize(
    ("strong", "policy", "distortions"),
    [
        (cifar_strong(24, 3), cifar_policy(24, 3), cifar_distortions(24)),
        (imagenet_strong(24).augmentation, imagenet_policy(24).augmentation, imagenet_distortions(24).augmentation),
    ],
)
def test_the_strong_recipe_chooses_between_policy_and_distortions(strong, policy, distortions):
    images = varied_images(COUNT, *SIZE)
    draws = strong.draw(np.random.default_rng(0), COUNT, SIZE)
    both = [half.apply(images, part) for half, part in zip((policy, distortions), draws.parts, strict=True)]
    chosen = torch.from_numpy(draws.values["first"])[:, None, None, None]
    assert torch.equal(strong.apply(images, draws), torch.where(chosen, *both))
    assert torch.equal(applied(strong, images), applied(RandomChoice(policy, distortions), images))


@pytest.mark.parametrize("preset", [cifar_standard(8, 1), cifar_reflect(8, 1), imagenet_standard(24).augmentation])
def test_no_jitter_draws_none(preset):
    draws = preset.draw(np.random.default_rng(0), COUNT, (8, 8))
    assert [sorted(part.values) for part in draws.parts] in ([["left", "top"], ["flipped"]], [["flipped"]])


@pytest.mark.parametrize(
    ("without", "with_jitter"),
    [
        (create_augmentation("standard", IN_MEMORY), create_augmentation("standard", IN_MEMORY, jitter=0.4)),
        (create_augmentation("reflect", IN_MEMORY), create_augmentation("reflect", IN_MEMORY, jitter=0.4)),
        (imagenet_standard(24).augmentation, create_augmentation("standard", IN_FILES, jitter=0.4).augmentation),
    ],
)
def test_jitter_comes_last_and_keeps_the_hue(without, with_jitter):
    images = varied_images(COUNT, 8, 8)
    draws = with_jitter.draw(np.random.default_rng(0), COUNT, (8, 8))
    *others, jitter = draws.parts
    for name in ("brightness", "contrast", "saturation"):
        assert 0.6 <= jitter.values[name].min() < 0.65 < 1.35 < jitter.values[name].max() <= 1.4
    assert not jitter.values["hue"].any()
    before = without.apply(images, Draws(parts=tuple(others)))
    expected = each(before, lambda image, at: jittered(image, jitter, at))
    np.testing.assert_array_equal(with_jitter.apply(images, draws).numpy(), expected)


def jittered(image: Image.Image, draws: Draws, at: int) -> Image.Image:
    for which in draws.values["order"][at]:
        if which < 3:
            name = ("brightness", "contrast", "saturation")[which]
            image = getattr(functional, f"adjust_{name}")(image, draws.values[name][at])
    return image


def test_strong_recipe_for_files():
    """Half flip, jitter, RandAugment; half jitter, some grey, some blurred, flip."""
    images = varied_images(COUNT, *SIZE)
    augmentation = imagenet_strong(24).augmentation
    draws = augmentation.draw(np.random.default_rng(0), COUNT, SIZE)
    (first_flip, first_jitter, policy), (second_jitter, grey, blur, second_flip) = (part.parts for part in draws.parts)
    randomly_augmented = RandAugment()

    def single(image: Image.Image, at: int) -> Image.Image:
        if draws.values["first"][at]:
            image = functional.hflip(image) if first_flip.values["flipped"][at] else image
            pixels = torch.from_numpy(np.array(jittered(image, first_jitter, at)))[None]
            return Image.fromarray(randomly_augmented.apply(pixels, policy[at : at + 1])[0].numpy())
        image = jittered(image, second_jitter, at)
        if grey.values["grey"][at]:
            image = image.convert("L").convert("RGB")
        if blur.values["applied"][at]:
            image = image.filter(ImageFilter.GaussianBlur(float(blur.parts[0].values["sigma"][at])))
        return functional.hflip(image) if second_flip.values["flipped"][at] else image

    np.testing.assert_array_equal(augmentation.apply(images, draws).numpy(), each(images, single))


def test_an_accelerator_leaves_what_needs_pillow_to_the_processes(monkeypatch):
    in_processes = []
    monkeypatch.setattr(files, "Reading", lambda _, augmentation: in_processes.append(augmentation))
    monkeypatch.setattr(transfer, "on_host", lambda _: False)
    strong, policy = imagenet_strong(24), imagenet_policy(24)
    for framed in (imagenet_standard(24), imagenet_distortions(24), strong, policy):
        create_loader(
            IN_FILES.train,
            Sequential(2),
            batch_size=2,
            mean=IN_FILES.mean,
            std=IN_FILES.std,
            randomness=Randomness(0),
            augmentation=framed,
        )
    assert in_processes == [None, None, strong.augmentation, policy.augmentation]


def test_shares_of_the_strong_recipe_for_files():
    draws = imagenet_strong(24).augmentation.draw(np.random.default_rng(0), 4000, SIZE)
    (first_flip, first_jitter, _), (second_jitter, grey, blur, second_flip) = (part.parts for part in draws.parts)
    for chosen, share in (
        (draws.values["first"], 0.5),
        (first_flip.values["flipped"], 0.5),
        (second_flip.values["flipped"], 0.5),
        (grey.values["grey"], 0.2),
        (blur.values["applied"], 0.5),
    ):
        assert abs(chosen.mean() - share) < 0.04
    sigma = blur.parts[0].values["sigma"]
    assert 0.1 <= sigma.min() < 0.11 < 1.99 < sigma.max() <= 2.0
    for jitter in (first_jitter, second_jitter):
        assert not jitter.values["hue"].any()
        assert 0.6 <= jitter.values["contrast"].min() < 0.61 < 1.39 < jitter.values["contrast"].max() <= 1.4
