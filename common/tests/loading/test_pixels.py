"""Pixel operations against Pillow, one image at a time: equal to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from pillow_reference import each, varied_images
from torchvision.transforms import functional

from longtail.loading import affine, pixels
from longtail.loading.blur import gaussian_blur
from longtail.loading.resample import resize_boxes

COUNT = 60
RNG = np.random.default_rng(7)
FACTORS = np.concatenate(([0.0, 1.0, 0.1, 1.9, 0.7], RNG.uniform(0, 2, COUNT - 5)))
BITS = np.arange(COUNT) % 8 + 1
THRESHOLDS = np.concatenate(([0.0, 256.0, 128.0, 256 - 256 * 2 / 9], RNG.uniform(0, 256, COUNT - 4)))
SHIFTS = np.concatenate(([0.0, 0.5, -0.5, 0.1, -0.1], RNG.uniform(-0.5, 0.5, COUNT - 5)))
SIGMA = np.concatenate(([0.1, 2.0, 1.4142, 1.4143, 7.0], RNG.uniform(0.1, 2.0, COUNT - 5)))

OPERATIONS = {
    "invert": (pixels.invert, lambda image, _: ImageOps.invert(image)),
    "posterize": (lambda x: pixels.posterize(x, BITS), lambda image, at: ImageOps.posterize(image, int(BITS[at]))),
    "solarize": (lambda x: pixels.solarize(x, THRESHOLDS), lambda image, at: ImageOps.solarize(image, THRESHOLDS[at])),
    "autocontrast": (pixels.autocontrast, lambda image, _: ImageOps.autocontrast(image)),
    "equalize": (pixels.equalize, lambda image, _: ImageOps.equalize(image)),
    "brightness": (
        lambda x: pixels.brightness(x, FACTORS),
        lambda image, at: ImageEnhance.Brightness(image).enhance(FACTORS[at]),
    ),
    "contrast": (lambda x: pixels.contrast(x, FACTORS), lambda image, at: ImageEnhance.Contrast(image).enhance(FACTORS[at])),
    "saturation": (lambda x: pixels.saturation(x, FACTORS), lambda image, at: ImageEnhance.Color(image).enhance(FACTORS[at])),
    "sharpness": (lambda x: pixels.sharpness(x, FACTORS), lambda image, at: ImageEnhance.Sharpness(image).enhance(FACTORS[at])),
    "grayscale": (pixels.grayscale, lambda image, _: image.convert("L").convert("RGB")),
    "hue": (
        lambda x: pixels.rotate_hue(x, (SHIFTS * 255).astype(np.int64)),
        lambda image, at: functional.adjust_hue(image, SHIFTS[at]),
    ),
    "blur": (
        lambda x: gaussian_blur(x, SIGMA),
        lambda image, at: image.filter(ImageFilter.GaussianBlur(radius=float(SIGMA[at]))),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("size", [(32, 32), (24, 40), (8, 8)])
def test_operations_equal_pillows(name, size):
    images = varied_images(COUNT, *size)
    before = images.clone()
    batched, single = OPERATIONS[name]
    result = batched(images)
    assert result.dtype == torch.uint8
    assert result.is_contiguous()
    np.testing.assert_array_equal(result.numpy(), each(images, single))
    assert torch.equal(images, before)


def test_hue_of_every_kind_of_colour():
    # every third level of each channel, as one picture; every hue is met
    levels = np.arange(0, 256, 3, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, len(levels), 3)
    shifted = pixels.rotate_hue(torch.from_numpy(colours), np.array([23]))
    expected = functional.adjust_hue(Image.fromarray(colours[0]), 23.5 / 255)
    np.testing.assert_array_equal(shifted[0].numpy(), np.asarray(expected))


@pytest.mark.parametrize("degrees", [0.0, 20 / 3, 30.0, -17.5, 90.0, 180.0, 359.0])
@pytest.mark.parametrize("size", [(32, 32), (20, 20)])
def test_rotation_equals_pillows(degrees, size):
    images = varied_images(10, *size)
    expected = each(images, lambda image, _: image.rotate(degrees, fillcolor=(128, 128, 128)))
    np.testing.assert_array_equal(affine.rotate(images, degrees, 128).numpy(), expected)


@pytest.mark.parametrize("shift", [0.0, 0.49, 0.5, -0.5, 14.5015, -14.5015, 40.0])
def test_translation_equals_pillows(shift):
    images = varied_images(10, 24, 40)
    for matrix, result in (
        ((1, 0, shift, 0, 1, 0), affine.translate(images, shift, 0.0, 128)),
        ((1, 0, 0, 0, 1, shift), affine.translate(images, 0.0, shift, 128)),
    ):
        expected = each(
            images,
            lambda image, _, m=matrix: image.transform(image.size, Image.Transform.AFFINE, m, fillcolor=(128, 128, 128)),
        )
        np.testing.assert_array_equal(result.numpy(), expected)


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.3, -0.3])
def test_shear_equals_pillows(slope):
    images = varied_images(10, 24, 40)
    for matrix, result in (
        ((1, slope, 0, 0, 1, 0), affine.shear_x(images, slope, 128)),
        ((1, 0, 0, slope, 1, 0), affine.shear_y(images, slope, 128)),
    ):
        expected = each(
            images,
            lambda image, _, m=matrix: image.transform(
                image.size, Image.Transform.AFFINE, m, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128)
            ),
        )
        np.testing.assert_array_equal(result.numpy(), expected)


@pytest.mark.parametrize(("size", "tolerance"), [((32, 32), 0), ((48, 40), 0), ((8, 12), 1), ((24, 40), 1)])
def test_resized_boxes_equal_pillows(size, tolerance):
    images = varied_images(COUNT)
    rng = np.random.default_rng(0)
    height, width = rng.integers(1, 33, (2, COUNT))
    top, left = (rng.integers(0, 33 - side) for side in (height, width))
    expected = each(
        images,
        lambda image, at: functional.resized_crop(
            image, int(top[at]), int(left[at]), int(height[at]), int(width[at]), list(size)
        ),
    )
    result = resize_boxes(images, top, left, height, width, size)
    assert result.is_contiguous()
    assert np.abs(result.numpy() - expected).max() <= tolerance
