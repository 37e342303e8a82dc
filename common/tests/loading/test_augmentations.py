"""Augmentations of batches: against PIL one image at a time with the same draws, and their distributions."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from pillow_reference import autoaugment_step, each, slope_image, varied_images
from torchvision.transforms import RandomCrop as TorchvisionCrop
from torchvision.transforms import RandomResizedCrop as TorchvisionResizedCrop
from torchvision.transforms import functional

from longtail.loading import transfer
from longtail.loading.augment import Augmentation, Compose, Draws, RandomApply, RandomChoice
from longtail.loading.autoaugment import CIFAR10_POLICY, AutoAugment, Step
from longtail.loading.blur import GaussianBlur
from longtail.loading.colour import ColorJitter, Grayscale
from longtail.loading.geometry import Cutout, HorizontalFlip, RandomCrop, RandomResizedCrop
from longtail.loading.presets import cifar_standard, cifar_strong

COUNT = 150
SIZE = (32, 32)

AUGMENTATIONS: dict[str, Augmentation] = {
    "crop": RandomCrop(32, 4),
    "reflected crop": RandomCrop(32, 4, "reflect"),
    "inner crop": RandomCrop(24),
    "flip": HorizontalFlip(),
    "cutout": Cutout(16),
    "two holes": Cutout(7, holes=2),
    "resized crop": RandomResizedCrop(32, scale=(0.2, 1.0)),
    "jitter": ColorJitter(0.4, 0.4, 0.4, 0.1),
    "grey": Grayscale(0.2),
    "blur": GaussianBlur(),
    "autoaugment": AutoAugment(),
    "some blurred": RandomApply(GaussianBlur(), 0.5),
    "standard": cifar_standard(),
    "strong": cifar_strong(),
}


def drawn(augmentation: Augmentation, count: int = COUNT, seed: int = 0) -> Draws:
    return augmentation.draw(np.random.default_rng(seed), count, SIZE)


@pytest.fixture(params=AUGMENTATIONS.values(), ids=list(AUGMENTATIONS))
def augmentation(request) -> Augmentation:
    return request.param


def test_images_come_out_as_announced_and_go_in_unharmed(augmentation):
    images = varied_images(COUNT)
    before = images.clone()
    result = augmentation.apply(images, drawn(augmentation))
    assert result.dtype == torch.uint8
    assert result.shape == (COUNT, *augmentation.output_size(SIZE), 3)
    assert result.is_contiguous()
    assert torch.equal(images, before)
    assert not torch.equal(result[:, :24, :24], images[:, :24, :24])


def test_an_image_does_not_depend_on_its_batch(augmentation):
    images, draws = varied_images(COUNT), drawn(augmentation)
    together = augmentation.apply(images, draws)
    bounds = (0, 1, 3, 64, COUNT)
    apart = [augmentation.apply(images[a:b], draws[a:b]) for a, b in pairwise(bounds)]
    assert torch.equal(torch.cat(apart), together)
    backwards = np.arange(COUNT)[::-1].copy()
    assert torch.equal(augmentation.apply(images[torch.from_numpy(backwards)], draws[backwards]).flip(0), together)


def test_no_image_gives_no_image(augmentation):
    result = augmentation.apply(varied_images(1)[:0], drawn(augmentation)[0:0])
    assert result.shape == (0, *augmentation.output_size(SIZE), 3)


def test_accelerators_compute_the_same_without_waiting(augmentation, monkeypatch, no_waiting):
    """What runs on a GPU, on the CPU: the same bytes, and no operation that reads a result back."""
    images, draws = varied_images(COUNT), drawn(augmentation)
    expected = augmentation.apply(images, draws)
    monkeypatch.setattr(transfer, "on_host", lambda _: False)
    with no_waiting:
        result = augmentation.apply(images, draws)
    assert torch.equal(result, expected)


# crops


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_crops_equal_torchvisions(mode):
    images = varied_images(COUNT)
    crop = RandomCrop(32, 4, mode)
    draws = drawn(crop)
    padding = "constant" if mode == "zeros" else "reflect"

    def single(image: Image.Image, at: int) -> Image.Image:
        padded = functional.pad(image, 4, padding_mode=padding)
        return functional.crop(padded, int(draws.values["top"][at]), int(draws.values["left"][at]), 32, 32)

    np.testing.assert_array_equal(crop.apply(images, draws).numpy(), each(images, single))


@pytest.mark.parametrize(("size", "padding"), [(8, 1), (8, 5), (8, 6), (19, 6), (2, 6), (1, 3), (7, 0)])
def test_images_that_are_not_square_are_mirrored_as_far_as_they_can_be(size, padding, monkeypatch):
    images = varied_images(80, 9, 7)
    crop = RandomCrop(size, padding, "reflect")
    draws = crop.draw(np.random.default_rng(0), 80, (9, 7))
    expected = torch.nn.functional.pad(images.permute(0, 3, 1, 2).float(), [padding] * 4, mode="reflect").byte()
    places = zip(expected, draws.values["top"].tolist(), draws.values["left"].tolist(), strict=True)
    expected = torch.stack([functional.crop(image, top, left, size, size) for image, top, left in places]).permute(0, 2, 3, 1)
    assert torch.equal(crop.apply(images, draws), expected)
    monkeypatch.setattr(transfer, "on_host", lambda _: False)
    assert torch.equal(crop.apply(images, draws), expected)


def test_every_image_of_a_batch_has_a_crop_of_its_own():
    images = varied_images(1).expand(500, -1, -1, -1).contiguous()
    crop = RandomCrop(32, 4)
    draws = drawn(crop, 500)
    places = set(zip(draws.values["top"].tolist(), draws.values["left"].tolist(), strict=True))
    assert places == {(y, x) for y in range(9) for x in range(9)}
    assert len({image.numpy().tobytes() for image in crop.apply(images, draws)}) == 81


def test_a_crop_without_choice_is_torchvisions():
    images = varied_images(4)
    crop = RandomCrop(32)
    expected = each(images, lambda image, _: TorchvisionCrop(32)(image))
    np.testing.assert_array_equal(crop.apply(images, drawn(crop, 4)).numpy(), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: drawn(RandomCrop(42, 4)), "cannot cut 42 x 42"),
        (lambda: drawn(RandomCrop(32, 32, "reflect")), "cannot mirror 32"),
        (lambda: RandomCrop(32, 4, "wrap"), "'zeros' or 'reflect', got 'wrap'"),
    ],
)
def test_impossible_crops_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_flip_mirrors_about_half_of_the_images():
    images = varied_images(400)
    flip = HorizontalFlip()
    draws = drawn(flip, 400)
    flipped = draws.values["flipped"]
    assert 160 < flipped.sum() < 240
    expected = each(images, lambda image, at: functional.hflip(image) if flipped[at] else image)
    np.testing.assert_array_equal(flip.apply(images, draws).numpy(), expected)


def test_resized_crops_equal_torchvisions():
    images = varied_images(COUNT)
    crop = RandomResizedCrop(32, scale=(0.2, 1.0))
    draws = drawn(crop)
    boxes = np.array(crop.boxes(draws, [(32, 32)] * COUNT))

    def single(image: Image.Image, at: int) -> Image.Image:
        return functional.resized_crop(image, *boxes[at].tolist(), [32, 32])

    np.testing.assert_array_equal(crop.apply(images, draws).numpy(), each(images, single))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (60, 35)])
def test_boxes_are_distributed_like_torchvisions(height, width):
    count = 4000
    crop = RandomResizedCrop(32, scale=(0.2, 1.0))
    boxes = np.array(crop.boxes(drawn(crop, count), [(height, width)] * count)).T
    torch.manual_seed(0)
    picture = torch.empty(3, height, width)
    expected = [TorchvisionResizedCrop.get_params(picture, [0.2, 1.0], [3 / 4, 4 / 3]) for _ in range(count)]
    for ours, theirs in zip(boxes, np.array(expected).T, strict=True):
        np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=6 * theirs.std() / np.sqrt(count))
        np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.06)


@pytest.mark.parametrize(("size", "central"), [((10, 40), (10, 13)), ((40, 10), (13, 10)), ((20, 20), (20, 20))])
def test_where_no_box_fits_the_central_one_is_taken(size, central):
    crop = RandomResizedCrop(8, scale=(2.0, 3.0))
    top, left, height, width = np.array(crop.boxes(drawn(crop, 3), [size] * 3)).T
    np.testing.assert_array_equal(height, central[0])
    np.testing.assert_array_equal(width, central[1])
    np.testing.assert_array_equal(top, (size[0] - central[0]) // 2)
    np.testing.assert_array_equal(left, (size[1] - central[1]) // 2)


# cutout


@pytest.mark.parametrize(
    ("seed", "rows", "columns"),
    [
        (0, range(4, 20), range(7, 23)),
        (1, range(13), range(3, 19)),
        (2, range(16), range(7, 23)),
        (3, range(2, 18), range(16, 32)),
    ],
)
def test_published_holes(seed, rows, columns):
    legacy = np.random.RandomState(seed)
    y, x = legacy.randint(32), legacy.randint(32)
    images = torch.full((1, 32, 32, 3), 255, dtype=torch.uint8)
    holed = Cutout(16).apply(images, Draws({"y": np.array([[y]]), "x": np.array([[x]])}))
    expected = images.clone()
    expected[:, rows.start : rows.stop, columns.start : columns.stop] = 0
    assert torch.equal(holed, expected)
    assert int((holed == 0).sum()) == 3 * len(rows) * len(columns)


def test_centres_lie_anywhere_in_the_image():
    draws = Cutout(16, holes=2).draw(np.random.default_rng(0), 2000, (8, 16))
    assert draws.values["y"].shape == draws.values["x"].shape == (2000, 2)
    assert set(draws.values["y"].ravel()) == set(range(8))
    assert set(draws.values["x"].ravel()) == set(range(16))


# colour


def test_jitter_equals_torchvisions_in_the_drawn_order():
    images = varied_images(COUNT)
    jitter = ColorJitter(0.4, 0.4, 0.4, 0.1)
    draws = drawn(jitter)
    names = ("brightness", "contrast", "saturation", "hue")

    def single(image: Image.Image, at: int) -> Image.Image:
        for which in draws.values["order"][at]:
            image = getattr(functional, f"adjust_{names[which]}")(image, draws.values[names[which]][at])
        return image

    np.testing.assert_array_equal(jitter.apply(images, draws).numpy(), each(images, single))


def test_jitter_draws_factors_and_orders_uniformly():
    draws = drawn(ColorJitter(0.4, 1.5, 0.4, 0.1), 4800)
    assert 0.6 <= draws.values["brightness"].min() < 0.61 < 1.39 < draws.values["brightness"].max() <= 1.4
    assert 0 <= draws.values["contrast"].min() < 0.01 < 2.49 < draws.values["contrast"].max() <= 2.5
    assert -0.1 <= draws.values["hue"].min() < -0.099 < 0.099 < draws.values["hue"].max() <= 0.1
    orders, counts = np.unique(draws.values["order"], axis=0, return_counts=True)
    assert len(orders) == 24
    assert (np.abs(counts - 200) < 75).all()


def test_jitter_leaves_out_what_has_no_spread():
    images = varied_images(20)
    jitter = ColorJitter(brightness=0.4)
    draws = drawn(jitter, 20)
    expected = each(images, lambda image, at: functional.adjust_brightness(image, draws.values["brightness"][at]))
    np.testing.assert_array_equal(jitter.apply(images, draws).numpy(), expected)


@pytest.mark.parametrize("arguments", [(-0.1,), (0, 0, 0, 0.6)])
def test_impossible_jitter_is_refused(arguments):
    with pytest.raises(ValueError, match="not negative, and hue at most"):
        ColorJitter(*arguments)


def test_grey_and_blur_equal_pillows():
    images = varied_images(COUNT)
    grey, blur = Grayscale(0.2), GaussianBlur((0.1, 2.0))
    for augmentation, single in (
        (grey, lambda draws: lambda image, at: image.convert("L").convert("RGB") if draws.values["grey"][at] else image),
        (blur, lambda draws: lambda image, at: image.filter(ImageFilter.GaussianBlur(float(draws.values["sigma"][at])))),
    ):
        draws = drawn(augmentation)
        np.testing.assert_array_equal(augmentation.apply(images, draws).numpy(), each(images, single(draws)))


# AutoAugment


def once(operation: str, level: int, sign: int) -> torch.Tensor:
    """The slope image after one operation that certainly happens."""
    policy = ((Step(1.0, operation, level), Step(0.0, "invert", 0)),)
    draws = Draws({"pair": np.array([0]), "u": np.array([[0.0, 0.0]]), "sign": np.array([[sign, 1.0]])})
    return AutoAugment(policy).apply(slope_image(), draws)[0]


PUBLISHED_SUMS = {
    ("shear_x", 5, 1): (136651, 123656, 129915),
    ("shear_x", 5, -1): (117070, 123656, 120119),
    ("shear_y", 5, 1): (123656, 136651, 129915),
    ("shear_y", 8, 1): (121680, 141572, 131402),
    ("shear_y", 8, -1): (121680, 112663, 116967),
    ("translate_x", 9, 1): (161536, 128896, 145216),
    ("translate_x", 9, -1): (96256, 128896, 112576),
    ("translate_y", 9, 1): (128896, 161536, 145216),
    ("translate_y", 9, -1): (128896, 96256, 112576),
    ("rotate", 2, 1): (127184,) * 3,
    ("rotate", 2, -1): (127184,) * 3,
    ("rotate", 9, 1): (127600,) * 3,
    ("color", 3, 1): (127185, 126940, 126524),
    ("color", 3, -1): (126511, 126538, 126524),
    ("color", 9, 1): (128019, 127526, 126524),
    ("contrast", 6, 1): (128064, 128064, 127134),
    ("contrast", 7, 1): (128256, 128256, 127248),
    ("contrast", 7, -1): (126560, 126560, 126567),
    ("brightness", 6, 1): (175488, 175488, 189628),
    ("brightness", 6, -1): (50400, 50400, 50381),
    ("brightness", 7, 1): (180256, 180256, 196789),
    ("posterize", 7, 1): (126976, 126976, 124928),
    ("solarize", 2, 1): (83744, 83744, 110869),
    ("solarize", 5, 1): (65504, 65504, 88179),
    ("autocontrast", 0, 1): (130080, 130080, 130049),
    ("equalize", 0, 1): (159488, 159488, 128467),
    ("invert", 0, 1): (134144,) * 3,
}


@pytest.mark.parametrize(("operation", "level", "sign"), PUBLISHED_SUMS)
def test_published_channel_sums(operation, level, sign):
    assert tuple(once(operation, level, sign).sum((0, 1)).tolist()) == PUBLISHED_SUMS[operation, level, sign]


@pytest.mark.parametrize(
    ("operation", "level", "sign", "pixel"),
    [
        ("shear_x", 5, 1, (62, 40, 51)),
        ("shear_x", 5, -1, (49, 40, 44)),
        ("shear_y", 8, 1, (56, 56, 56)),
        ("shear_y", 8, -1, (56, 24, 40)),
        ("translate_x", 9, 1, (176, 40, 108)),
        ("translate_x", 9, -1, (128, 128, 128)),
        ("translate_y", 9, 1, (56, 160, 108)),
        ("translate_y", 9, -1, (128, 128, 128)),
        ("rotate", 2, 1, (64, 32, 48)),
        ("color", 3, 1, (59, 38, 48)),
        ("color", 3, -1, (53, 41, 47)),
        ("contrast", 7, 1, (8, 0, 0)),
        ("contrast", 7, -1, (103, 98, 101)),
        ("brightness", 6, 1, (89, 64, 76)),
        ("brightness", 6, -1, (22, 16, 19)),
        ("posterize", 7, 1, (56, 40, 48)),
        ("solarize", 2, 1, (56, 40, 48)),
        ("autocontrast", 0, 1, (57, 41, 49)),
        ("equalize", 0, 1, (75, 53, 20)),
        ("invert", 0, 1, (199, 215, 207)),
    ],
)
def test_published_pixels(operation, level, sign, pixel):
    assert tuple(once(operation, level, sign)[5, 7].tolist()) == pixel


@pytest.mark.parametrize(
    ("seed", "pair", "sums", "pixel"),
    [
        (0, 12, (126976,) * 3, (56, 40, 48)),
        (1, 4, (159488, 159488, 128467), (75, 53, 20)),
        (2, 1, (127184,) * 3, (64, 32, 48)),
        (3, 7, (188352, 188352, 208678), (106, 76, 91)),
        (4, 7, (126976,) * 3, (56, 40, 48)),
        (5, 19, (126976,) * 3, (56, 40, 48)),
    ],
)
def test_published_runs_of_the_policy(seed, pair, sums, pixel):
    """Draws of Python's generator in the published order: the pair, then of each step whether it happens, and its sign."""
    signed = {"shear_x", "shear_y", "translate_x", "translate_y", "color", "contrast", "sharpness", "brightness"}
    rng = random.Random(seed)
    assert rng.randint(0, 24) == pair
    u, sign = [], []
    for step in CIFAR10_POLICY[pair]:
        u.append(rng.random())
        sign.append(rng.choice([-1, 1]) if u[-1] < step.probability and step.operation in signed else 1)
    draws = Draws({"pair": np.array([pair]), "u": np.array([u]), "sign": np.array([sign], dtype=np.float64)})
    (result,) = AutoAugment().apply(slope_image(), draws)
    assert tuple(result.sum((0, 1)).tolist()) == sums
    assert tuple(result[5, 7].tolist()) == pixel
    assert torch.equal(result, slope_image()[0]) == (sums == (126976,) * 3)


def test_the_policy_equals_pillows():
    images = varied_images(600)
    policy = AutoAugment()
    draws = drawn(policy, 600)

    def single(image: Image.Image, at: int) -> Image.Image:
        for slot, step in enumerate(CIFAR10_POLICY[draws.values["pair"][at]]):
            if draws.values["u"][at, slot] < step.probability:
                image = autoaugment_step(image, step.operation, step.level, int(draws.values["sign"][at, slot]))
        return image

    np.testing.assert_array_equal(policy.apply(images, draws).numpy(), each(images, single))


def test_the_policy_draws_pairs_and_signs_uniformly():
    draws = drawn(AutoAugment(), 10_000)
    assert (np.abs(np.bincount(draws.values["pair"]) - 400) < 100).all()
    assert len(np.bincount(draws.values["pair"])) == 25
    assert set(draws.values["sign"].ravel()) == {-1.0, 1.0}
    assert np.abs(draws.values["sign"].mean(0)).max() < 0.05


def test_a_wrong_operation_is_refused_with_the_valid_ones():
    with pytest.raises(ValueError, match=r"unknown operations \['swirl'\]; there are \['autocontrast', 'brightness'"):
        AutoAugment(((Step(0.5, "swirl", 1), Step(0.5, "invert", 1)),))


# combinations


def test_a_choice_sends_every_image_one_way():
    images = varied_images(COUNT)
    choice = RandomChoice(HorizontalFlip(1.0), Grayscale(1.0), probability=0.3)
    draws = drawn(choice)
    first = draws.values["first"]
    assert 0.15 < first.mean() < 0.45
    expected = each(images, lambda image, at: functional.hflip(image) if first[at] else image.convert("L").convert("RGB"))
    np.testing.assert_array_equal(choice.apply(images, draws).numpy(), expected)


def test_compose_hands_the_size_on():
    both = Compose(RandomCrop(20), RandomCrop(10))
    assert both.output_size(SIZE) == (10, 10)
    draws = drawn(both, 2000)
    assert draws.parts[0].values["top"].max() == 12
    assert draws.parts[1].values["top"].max() == 10


@pytest.mark.parametrize("combination", [RandomChoice(RandomCrop(20), RandomCrop(16)), RandomApply(RandomCrop(20), 0.5)])
def test_sizes_that_do_not_fit_are_refused(combination):
    with pytest.raises(ValueError, match="size"):
        combination.output_size(SIZE)


def test_the_strong_recipe_is_half_policy_half_distortions():
    strong = cifar_strong()
    draws = drawn(strong, 4000)
    assert abs(draws.values["first"].mean() - 0.5) < 0.04
    distortions = draws.parts[1]
    assert abs(distortions.parts[2].values["applied"].mean() - 0.8) < 0.04
    assert abs(distortions.parts[3].values["grey"].mean() - 0.2) < 0.04
    assert abs(distortions.parts[4].values["applied"].mean() - 0.5) < 0.04
