"""The papers' augmentations on one PIL image at a time, written for clarity: what the batched ones are compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

GREY = (128, 128, 128)
LEVELS = {
    "posterize": (8, 8, 7, 7, 6, 6, 5, 5, 4, 4),
    "solarize": [256 - 256 * level / 9 for level in range(10)],
    "shear_x": [0.3 * level / 9 for level in range(10)],
    "shear_y": [0.3 * level / 9 for level in range(10)],
    "translate_x": [150 / 331 * level / 9 for level in range(10)],
    "translate_y": [150 / 331 * level / 9 for level in range(10)],
    "rotate": [30 * level / 9 for level in range(10)],
}
ENHANCERS = {
    "color": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "sharpness": ImageEnhance.Sharpness,
    "brightness": ImageEnhance.Brightness,
}


def autoaugment_step(image: Image.Image, operation: str, level: int, sign: int) -> Image.Image:
    """One operation of a sub-policy."""
    if operation in ENHANCERS:
        return ENHANCERS[operation](image).enhance(1 + sign * 0.9 * level / 9)
    if operation in ("autocontrast", "equalize", "invert"):
        return getattr(ImageOps, operation)(image)
    magnitude = LEVELS[operation][level]
    if operation in ("posterize", "solarize"):
        return getattr(ImageOps, operation)(image, magnitude)
    if operation == "rotate":
        turned = image.convert("RGBA").rotate(magnitude)
        return Image.composite(turned, Image.new("RGBA", image.size, (128,) * 4), turned).convert("RGB")
    width, height = image.size
    matrix, resample = {
        "shear_x": ((1, sign * magnitude, 0, 0, 1, 0), Image.Resampling.BICUBIC),
        "shear_y": ((1, 0, 0, sign * magnitude, 1, 0), Image.Resampling.BICUBIC),
        "translate_x": ((1, 0, sign * magnitude * width, 0, 1, 0), Image.Resampling.NEAREST),
        "translate_y": ((1, 0, 0, 0, 1, sign * magnitude * height), Image.Resampling.NEAREST),
    }[operation]
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample, fillcolor=GREY)


def each(images: Tensor, change: Callable[[Image.Image, int], Image.Image]) -> np.ndarray:
    """`change` of every image and its position, as int64 for differences."""
    changed = [np.asarray(change(Image.fromarray(image.numpy()), at)) for at, image in enumerate(images)]
    return np.stack(changed).astype(np.int64)


def varied_images(count: int, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    """Noise, low-contrast noise, smooth pictures, pictures of two colours, and single-coloured ones, in turn."""
    rng = np.random.default_rng(seed)
    kinds = (
        lambda: rng.integers(0, 256, (height, width, 3)),
        lambda: np.clip(rng.normal(110, 25, (height, width, 3)), 0, 255),
        lambda: Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((width, height)),
        lambda: (
            np.where(np.arange(width)[:, None] < rng.integers(1, width), rng.integers(0, 256, 3), rng.integers(0, 256, 3))
            + np.zeros((height, 1, 1))
        ),
        lambda: np.full((height, width, 3), rng.integers(0, 256)),
    )
    return torch.from_numpy(np.stack([np.asarray(kinds[at % 5]()).astype(np.uint8) for at in range(count)]))


def slope_image() -> Tensor:
    """The image of the published values, alone in its batch: red rises to the right, green downwards, blue to both."""
    x, y = np.meshgrid(np.arange(32), np.arange(32))
    return torch.from_numpy(np.stack((8 * x, 8 * y, 4 * (x + y)), axis=-1).astype(np.uint8))[None]
