"""Squares out of pictures of any size: against torchvision on Pillow's images, and the boxes against a loop over attempts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize
from torchvision.transforms import functional as pillow_functional
from torchvision.transforms.v2 import functional as tensor_functional

from longtail.loading.augment import Draws
from longtail.loading.framing import CentreCrop, Framing, resized
from longtail.loading.geometry import RandomResizedCrop

SIZES = [
    (1, 1),
    (1, 2),
    (2, 1),
    (1, 500),
    (500, 1),
    (3, 5),
    (37, 37),
    (64, 37),
    (37, 64),
    (73, 73),
    (100, 75),
    (375, 500),
    (301, 99),
]

few = settings(max_examples=40, derandomize=True, deadline=None)
sides = st.integers(1, 120)


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def assert_within_one(square: torch.Tensor, expected: Image.Image) -> None:
    assert square.dtype == torch.uint8
    assert square.is_contiguous()
    assert square.shape == (expected.height, expected.width, 3)
    assert np.abs(square.numpy().astype(np.int64) - np.asarray(expected)).max() <= 1


def drawn(framing: Framing, count: int, seed: int = 0) -> Draws:
    return framing.draw(np.random.default_rng(seed), count)


# the centre


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize(("size", "resize"), [(32, None), (32, 64), (33, 40), (64, 64)])
def test_the_centre_is_torchvisions(height, width, size, resize):
    picture = noise(height, width)
    crop = CentreCrop(size, resize)
    expected = Compose([Resize(crop.resize), CenterCrop(size)])(Image.fromarray(picture.numpy()))
    assert_within_one(crop.frame(picture, Draws()), expected)


@given(height=sides, width=sides, size=st.integers(1, 40), more=st.integers(0, 9))
@few
def test_the_centre_of_any_picture_is_torchvisions(height, width, size, more):
    picture = noise(height, width)
    expected = Compose([Resize(size + more), CenterCrop(size)])(Image.fromarray(picture.numpy()))
    assert_within_one(CentreCrop(size, size + more).frame(picture, Draws()), expected)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize(("size", "resize"), [(32, None), (33, 40), (64, 64)])
def test_a_distorted_picture_is_torchvisions(height, width, size, resize):
    picture = noise(height, width)
    crop = CentreCrop(size, resize, keep_aspect=False)
    expected = Compose([Resize((crop.resize, crop.resize)), CenterCrop(size)])(Image.fromarray(picture.numpy()))
    assert_within_one(crop.frame(picture, Draws()), expected)


def test_distortion_tells_squares_from_other_pictures():
    kept, distorted = (CentreCrop(32, 40, keep_aspect=keep) for keep in (True, False))
    assert torch.equal(kept.frame(noise(50, 50), Draws()), distorted.frame(noise(50, 50), Draws()))
    assert not torch.equal(kept.frame(noise(50, 70), Draws()), distorted.frame(noise(50, 70), Draws()))


@pytest.mark.parametrize(("size", "resize"), [(224, 256), (112, 128), (384, 439), (32, 37), (1, 1)])
def test_the_usual_margin_in_proportion(size, resize):
    assert CentreCrop(size).resize == resize


def test_the_centre_is_no_choice():
    draws = drawn(CentreCrop(8), 5)
    assert draws == Draws()
    assert draws[2:3] == Draws()


@pytest.mark.parametrize(("size", "resize"), [(8, 7), (0, 7)])
def test_impossible_squares_are_refused(size, resize):
    with pytest.raises(ValueError, match=f"cannot cut {size} x {size} pixels out of pictures whose shorter side is 7"):
        CentreCrop(size, resize)


# random boxes


def first_fitting_box(crop: RandomResizedCrop, draws: Draws, at: int, height: int, width: int) -> tuple[int, int, int, int]:
    """torchvision's algorithm, one attempt after another, with numbers that are drawn already."""
    values = {name: array[at] for name, array in draws.values.items()}
    for share, log_ratio in zip(values["share"], values["log_ratio"], strict=True):
        area, ratio = height * width * share, math.exp(log_ratio)
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return math.floor(values["row"] * (height - h + 1)), math.floor(values["column"] * (width - w + 1)), h, w
    w, h = width, height
    if width / height < min(crop.ratio):
        h = round(w / min(crop.ratio))
    elif width / height > max(crop.ratio):
        w = round(h * max(crop.ratio))
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.9, 1.3), (2.0, 3.0)])
def test_boxes_follow_torchvisions_algorithm(scale):
    rng = np.random.default_rng(1)
    count = 300
    heights, widths = rng.integers(1, 400, (2, count))
    heights[:80], widths[40:120] = rng.integers(1, 4, (2, 80))
    crop = RandomResizedCrop(32, scale=scale)
    draws = drawn(crop, count)
    boxes = crop.boxes(draws, zip(heights.tolist(), widths.tolist(), strict=True))
    expected = [first_fitting_box(crop, draws, at, int(heights[at]), int(widths[at])) for at in range(count)]
    np.testing.assert_array_equal(boxes, expected)


def test_extreme_numbers_stay_inside():
    crop = RandomResizedCrop(8)
    almost_one = np.nextafter(1.0, 0.0)
    draws = Draws(
        {
            "share": np.full((3, crop.ATTEMPTS), 0.08),
            "log_ratio": np.zeros((3, crop.ATTEMPTS)),
            "row": np.array([0.0, 0.5, almost_one]),
            "column": np.array([almost_one, 0.0, 0.5]),
        }
    )
    top, left, height, width = np.array(crop.boxes(draws, [(100, 5000)] * 3)).T
    np.testing.assert_array_equal(height, 100)
    np.testing.assert_array_equal(width, 133)
    np.testing.assert_array_equal(top, 0)
    np.testing.assert_array_equal(left, [(5000 - 133) // 2] * 3)
    top, left, height, width = np.array(crop.boxes(draws, [(700, 700)] * 3)).T
    np.testing.assert_array_equal(top, [0, (700 - height[0] + 1) // 2, 700 - height[0]])
    np.testing.assert_array_equal(left, [700 - width[0], 0, (700 - width[0] + 1) // 2])


@given(ratio=st.sampled_from([(3.0, 4.0), (0.2, 0.3), (1.0, 1.0)]), height=sides, width=sides)
@few
def test_a_box_is_never_empty(ratio, height, width):
    crop = RandomResizedCrop(8, scale=(4.0, 5.0), ratio=ratio)
    ((top, left, h, w),) = crop.boxes(drawn(crop, 1), [(height, width)])
    assert 0 <= top < top + h <= height
    assert 0 <= left < left + w <= width


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pictures_of_boxes_are_pillows(height, width):
    picture = noise(height, width)
    crop = RandomResizedCrop(32)
    draws = drawn(crop, 6)
    for at in range(6):
        one = draws[at : at + 1]
        (box,) = crop.boxes(one, [(height, width)])
        assert_within_one(
            crop.frame(picture, one), pillow_functional.resized_crop(Image.fromarray(picture.numpy()), *box, [32, 32])
        )


def test_a_picture_alone_shows_the_box_that_it_shows_in_a_batch():
    images = torch.stack([noise(48, 40, seed) for seed in range(20)])
    crop = RandomResizedCrop(24)
    draws = drawn(crop, 20)
    together = crop.apply(images, draws)
    alone = torch.stack([crop.frame(image, draws[at : at + 1]) for at, image in enumerate(images)])
    assert (together.int() - alone.int()).abs().max() <= 1


# resizing


@given(height=sides, width=sides, to=st.tuples(sides, sides))
@few
def test_resized_is_torchvisions(height, width, to):
    picture = noise(height, width)
    expected = tensor_functional.resize(picture.permute(2, 0, 1), list(to), antialias=True).permute(1, 2, 0)
    # equal, except on processors without AVX2, where torchvision resizes floats
    assert (resized(picture, *to).int() - expected.int()).abs().max() <= 1


def test_resizing_leaves_the_picture_as_it_is():
    picture = noise(20, 30)
    before = picture.clone()
    resized(picture[2:, 3:], 7, 50)
    assert torch.equal(picture, before)
    assert resized(picture, 20, 30) is picture
