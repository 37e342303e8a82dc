"""RandAugment as timm does it on Pillow's images, with draws of its own for every image."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image
from torch import Tensor

from longtail.loading import transfer
from longtail.loading.augment import Draws, SameSize, Size
from longtail.randomness import lend_global_generators

POLICY = "rand-m10-n2-mstd0.5"
"""Two operations an image, each applied with probability 0.5; magnitudes around 10 with standard deviation 0.5, at most 10."""
MEAN_COLOUR = (124, 116, 104)
"""ImageNet's mean in bytes: what geometric operations show outside the image, for iNaturalist too."""
TRANSLATION = 100
"""Pixels that an absolute translation moves at most: 0.45 of 224. The policy has none; its translations are relative."""


class RandAugment(SameSize):
    """Some operations from a list of fifteen, drawn for each image with replacement.

    It works on the host only: see `Framed.on_host`.

    Args:
        policy: in timm's notation.
        fill: red, green and blue outside the image, in bytes.

    Source: Cubuk et al., RandAugment: Practical Automated Data Augmentation with a Reduced Search Space, NeurIPS 2020, in the
    form of timm, which the papers' 400-epoch recipes use.
    """

    def __init__(self, policy: str = POLICY, fill: tuple[int, int, int] = MEAN_COLOUR) -> None:
        self.policy = policy
        self.fill = fill
        # seconds of imports: better once here than in every process that is forked from this one
        _transform(policy, fill)

    def draw(self, rng: np.random.Generator, count: int, _size: Size) -> Draws:
        """A seed for each image, which decides everything else."""
        return Draws({"seed": rng.integers(1 << 32, size=count)})

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """The images after their operations."""
        if not transfer.on_host(images.device):
            raise ValueError(f"RandAugment works on Pillow's images, which cannot be on {images.device}")
        transform = _transform(self.policy, self.fill)
        changed = images.clone()
        with lend_global_generators() as seed:
            for pixels, own in zip(changed.numpy(), draws.values["seed"].tolist(), strict=True):
                seed(own)
                before = Image.fromarray(pixels)
                after = transform(before)
                if after is not before:
                    pixels[...] = np.asarray(after)
        return changed


@lru_cache(maxsize=4)
def _transform(policy: str, fill: tuple[int, int, int]) -> Callable[[Image.Image], Image.Image]:
    from timm.data.auto_augment import rand_augment_transform

    transform: Callable[[Image.Image], Image.Image] = rand_augment_transform(
        policy, {"translate_const": TRANSLATION, "img_mean": fill}
    )
    return transform
