"""A small data set for each kind of loader, and how their batches are compared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pillow_reference import varied_images

from longtail.datasets.base import ArrayImages, FileImages, ImageData
from longtail.loading import Framed, Shuffled, cifar_strong, create_loader
from longtail.loading.augment import Compose
from longtail.loading.colour import ColorJitter
from longtail.loading.geometry import HorizontalFlip, RandomResizedCrop
from longtail.loading.slicing import SlicedLoader
from longtail.randomness import Randomness

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
N, SIDE = 41, 16
RANDOMNESS = Randomness(11)
LABELS = np.repeat(np.arange(3), (30, 10, 1))


@dataclass(frozen=True)
class Kind:
    """A kind of loader: a data set of N images for it and an augmentation."""

    data: ImageData
    augmentation: Any

    def loader(self, batch_size: int = 8, **options: Any) -> SlicedLoader:
        options = {"augmentation": self.augmentation, "randomness": RANDOMNESS, "image_size": SIDE} | options
        data = options.pop("data", self.data)
        order = options.pop("order", None) or Shuffled(len(data), RANDOMNESS)
        return create_loader(data, order, batch_size=batch_size, mean=MEAN, std=STD, **options)

    @cached_property
    def reference(self) -> dict[int, tuple[torch.Tensor, ...]]:
        """Two epochs, each as one batch."""
        return {epoch: joined(self.loader(N).epoch(epoch)) for epoch in (0, 1)}


def in_memory(_folder: Path) -> Kind:
    return Kind(ImageData(ArrayImages(varied_images(N, SIDE, SIDE).numpy()), LABELS, ("a", "b", "c")), cifar_strong(SIDE, 2))


def in_files(folder: Path) -> Kind:
    rng = np.random.default_rng(0)
    paths = tuple(f"{at % 3}/{at}.png" for at in range(N))
    for at, path in enumerate(paths):
        (folder / path).parent.mkdir(exist_ok=True)
        height, width = rng.integers(5, 40, 2)
        Image.fromarray(varied_images(5, height, width, seed=at)[at % 5].numpy()).save(folder / path)
    data = ImageData(FileImages(folder, paths), LABELS, ("a", "b", "c"))
    return Kind(data, Framed(RandomResizedCrop(SIDE), Compose(HorizontalFlip(), ColorJitter(0.4, 0.4, 0.4))))


def joined(batches) -> tuple[torch.Tensor, ...]:
    """Images, labels and indices of several batches, one after another."""
    batches = list(batches)
    return tuple(torch.cat([batch[field] for batch in batches]) for field in range(3))


def assert_same(first, second) -> None:
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
