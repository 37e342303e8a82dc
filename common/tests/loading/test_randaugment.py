"""RandAugment: timm's policy is the one that the papers used, and its draws stay within an image."""

from __future__ import annotations

import pickle
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from pillow_reference import each, slope_image, varied_images
from timm.data.auto_augment import LEVEL_TO_ARG, rand_augment_transform
from timm.data.auto_augment import RandAugment as TimmRandAugment

from longtail.loading import transfer
from longtail.loading.augment import Draws
from longtail.loading.randaugment import MEAN_COLOUR, POLICY, TRANSLATION, RandAugment
from longtail.randomness import lend_global_generators

OPERATIONS = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd"),
    *("Color", "Contrast", "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel"),
)
ENHANCERS = ("Color", "Contrast", "Brightness", "Sharpness")
INTERPOLATIONS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
COUNT = 60


@pytest.fixture
def timm_policy():
    return rand_augment_transform(POLICY, {"translate_const": TRANSLATION, "img_mean": MEAN_COLOUR})


def drawn(count=COUNT):
    return RandAugment().draw(np.random.default_rng(0), count, (32, 32))


# what timm makes of the policy's name


def test_the_policy_has_fifteen_operations_with_the_published_settings(timm_policy):
    assert tuple(operation.name for operation in timm_policy.ops) == OPERATIONS
    for operation in timm_policy.ops:
        assert (operation.prob, operation.magnitude, operation.magnitude_std) == (0.5, 10, 0.5)
        assert operation.magnitude_max is None
        assert operation.kwargs == {"fillcolor": (124, 116, 104), "resample": INTERPOLATIONS}


def test_published_choices_of_two_operations_with_replacement(timm_policy):
    assert (timm_policy.num_layers, timm_policy.choice_weights) == (2, None)
    seen = []
    operations = [lambda image, at=at: seen.append(at) or image for at in range(len(OPERATIONS))]
    choose = TimmRandAugment(operations, timm_policy.num_layers, timm_policy.choice_weights)
    with lend_global_generators() as seed:
        seed(0)
        for _ in range(5):
            choose(Image.new("RGB", (1, 1)))
    assert seen == [12, 5, 0, 3, 11, 3, 7, 9, 3, 5]


@pytest.mark.parametrize(
    ("level", "bits", "threshold", "added", "factor", "degrees", "slope", "share"),
    [
        (10.0, 4, 256, 110, 1.9, 30.0, 0.3, 0.45),
        (9.7, 3, 248, 106, 1.846, 29.1, 0.291, 0.4365),
        (9.5, 3, 243, 104, 1.81, 28.5, 0.285, 0.4275),
        (9.0, 3, 230, 99, 1.72, 27.0, 0.27, 0.405),
        (5.0, 2, 128, 55, 1, 15, 0.15, 0.225),
    ],
)
def test_published_arguments(level, bits, threshold, added, factor, degrees, slope, share):
    expected = {"Posterize": bits, "Solarize": threshold, "SolarizeAdd": added, "Rotate": degrees}
    expected |= dict.fromkeys(ENHANCERS, factor) | dict.fromkeys(("ShearX", "ShearY"), slope)
    expected |= dict.fromkeys(("TranslateXRel", "TranslateYRel"), share)
    with lend_global_generators() as seed:
        seed(0)
        for name, value in expected.items():
            found = {LEVEL_TO_ARG[name](level, {})[0] for _ in range(20)}
            signs = (1,) if name in (*ENHANCERS, "Posterize", "Solarize", "SolarizeAdd") else (-1, 1)
            assert sorted(found) == pytest.approx(sorted(sign * value for sign in signs))
    assert all(LEVEL_TO_ARG[name] is None for name in ("AutoContrast", "Equalize", "Invert"))


def test_published_levels_are_cut_off_at_ten(timm_policy):
    operation = timm_policy.ops[OPERATIONS.index("Color")]
    operation.prob, factors = 1.0, []
    operation.aug_fn = lambda _, factor, **__: factors.append(factor)
    with lend_global_generators() as seed:
        seed(0)
        for _ in range(3):
            operation(None)
    levels = np.minimum([10.470857702340332, 9.301710947649426, 9.66014276597079], 10)
    assert factors == pytest.approx((0.18 * levels + 0.1).tolist())


class Recorder:
    """Stands for an image of 200 x 100 pixels and notes how it is transformed."""

    size = (200, 100)

    def __init__(self):
        self.calls = []

    def transform(self, _size, _method, matrix, *, fillcolor, resample):
        assert fillcolor == (124, 116, 104)
        self.calls.append((matrix, resample))

    def rotate(self, degrees, *, fillcolor, resample):
        self.transform(None, None, degrees, fillcolor=fillcolor, resample=resample)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Rotate", lambda level, sign: sign * 3.0 * level),
        ("ShearX", lambda level, sign: (1, sign * 0.03 * level, 0, 0, 1, 0)),
        ("ShearY", lambda level, sign: (1, 0, 0, sign * 0.03 * level, 1, 0)),
        ("TranslateXRel", lambda level, sign: (1, 0, sign * 0.045 * level * 200, 0, 1, 0)),
        ("TranslateYRel", lambda level, sign: (1, 0, 0, 0, 1, sign * 0.045 * level * 100)),
    ],
)
def test_geometric_operations_draw_in_the_published_order(timm_policy, name, expected):
    operation = timm_policy.ops[OPERATIONS.index(name)]
    applied = 0
    for value in range(40):
        image, rng = Recorder(), random.Random(value)
        with lend_global_generators() as seed:
            seed(value)
            operation(image)
        if rng.random() > 0.5:
            assert not image.calls
            continue
        applied += 1
        level = min(10.0, rng.gauss(10, 0.5))
        sign = -1 if rng.random() > 0.5 else 1
        ((matrix, resample),) = image.calls
        assert matrix == pytest.approx(expected(level, sign))
        assert resample == rng.choice(INTERPOLATIONS)
    assert 10 < applied < 30


# the augmentation


def test_images_are_those_of_timm_seeded_alike(timm_policy):
    images, draws = varied_images(COUNT, 24, 40), drawn()
    before = images.clone()

    def single(image, at):
        random.seed(int(draws.values["seed"][at]))
        np.random.seed(int(draws.values["seed"][at]))
        return timm_policy(image)

    result = RandAugment().apply(images, draws)
    with lend_global_generators():
        expected = each(images, single)
    np.testing.assert_array_equal(result.numpy(), expected)
    assert result.is_contiguous()
    assert torch.equal(images, before)
    assert 0.5 < (result != images).flatten(1).any(1).float().mean() < 0.95


@pytest.mark.parametrize(
    ("seed", "operations", "sums", "pixel"),
    [
        (0, ("ShearY", "Solarize"), (126976,) * 3, (56, 40, 48)),
        (1, ("Solarize", "ShearX"), (141418, 119644, 128007), (68, 40, 54)),
        (2, ("Contrast", "TranslateXRel"), (126976,) * 3, (56, 40, 48)),
        (3, ("Sharpness", "Contrast"), (126976,) * 3, (56, 40, 48)),
        (4, ("Sharpness", "TranslateYRel"), (126976, 157344, 134720), (56, 155, 105)),
    ],
)
def test_published_images(seed, operations, sums, pixel):
    """Python's and NumPy's generators seeded alike, as the published values were made."""
    assert tuple(OPERATIONS[at] for at in np.random.RandomState(seed).randint(0, 15, 2)) == operations
    (result,) = RandAugment().apply(slope_image(), Draws({"seed": np.array([seed])}))
    assert tuple(result.sum((0, 1)).tolist()) == sums
    assert tuple(result[5, 7].tolist()) == pixel
    assert torch.equal(result, slope_image()[0]) == (sums == (126976,) * 3)


def test_draws_alone_decide():
    images, draws = varied_images(COUNT), drawn()
    random.seed(1)
    np.random.seed(1)
    together = RandAugment().apply(images, draws)
    apart = [RandAugment().apply(images[a:b], draws[a:b]) for a, b in pairwise((0, 1, 7, 7, COUNT))]
    assert torch.equal(torch.cat(apart), together)
    assert torch.equal(pickle.loads(pickle.dumps(RandAugment())).apply(images, draws), together)
    assert (random.random(), np.random.rand()) == (random.Random(1).random(), np.random.RandomState(1).rand())


def test_seeds_fill_what_numpy_accepts():
    seeds = drawn(1000).values["seed"]
    assert len(np.unique(seeds)) == 1000
    assert 0 <= seeds.min() < 1 << 24
    assert (1 << 32) - (1 << 24) < seeds.max() < 1 << 32


def test_accelerators_are_refused(monkeypatch):
    monkeypatch.setattr(transfer, "on_host", lambda _: False)
    with pytest.raises(ValueError, match="Pillow's images"):
        RandAugment().apply(varied_images(1), drawn(1))


def test_an_unknown_policy_is_refused_at_once():
    with pytest.raises(AssertionError, match="Unknown RandAugment"):
        RandAugment("rand-q3")
