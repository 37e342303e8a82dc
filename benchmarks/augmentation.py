"""Images a second that one thread augments and normalises, against PIL transforms for each sample, as a ratio.

    python benchmarks/augmentation.py [--images 10240] [--rounds 3]

The two pipelines of each recipe take turns, so that a change of the machine's speed meets both; the ratio is of the rounds'
minima of CPU time. The per-sample pipelines are torchvision's transforms on PIL images, stacked to batches, without the cost of
worker processes; torchvision's AutoAugment stands for the papers', whose operations it shares. The images are smooth noise.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image, ImageFilter
from torchvision import transforms

from longtail.datasets.base import ArrayImages, ImageData
from longtail.loading import Shuffled, create_loader
from longtail.loading.augment import Augmentation
from longtail.loading.presets import cifar_distortions, cifar_policy, cifar_standard, cifar_strong
from longtail.randomness import Randomness

BATCH = 128
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def smooth_noise(count: int) -> ImageData:
    """Noise at a quarter of the resolution, enlarged."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    enlarged = [np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC)) for image in coarse]
    return ImageData(ArrayImages(np.stack(enlarged)), np.zeros(count, dtype=np.int64), ("noise",))


def batched(data: ImageData, augmentation: Augmentation) -> Callable[[], None]:
    """One epoch of this project's loader."""
    randomness = Randomness(0)
    order = Shuffled(len(data), randomness)
    loader = create_loader(data, order, batch_size=BATCH, mean=MEAN, std=STD, randomness=randomness, augmentation=augmentation)
    epochs = iter(range(1_000_000))

    def epoch() -> None:
        for _ in loader.epoch(next(epochs)):
            pass

    return epoch


def per_sample(data: ImageData, transform: Callable[[Image.Image], torch.Tensor]) -> Callable[[], None]:
    """One epoch of a transform for each image, stacked to batches."""
    pixels = data.images.array

    def epoch() -> None:
        order = torch.randperm(len(pixels)).tolist()
        for start in range(0, len(order), BATCH):
            torch.stack([transform(Image.fromarray(pixels[index])) for index in order[start : start + BATCH]])

    return epoch


def standard_transform() -> Callable[[Image.Image], torch.Tensor]:
    return transforms.Compose([transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), *normalised()])


def normalised() -> Iterator[Callable]:
    yield transforms.ToTensor()
    yield transforms.Normalize(MEAN, STD)


def policy_transform() -> Callable[[Image.Image], torch.Tensor]:
    policy = transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10, fill=(128, 128, 128))
    scaled, standardised = normalised()
    crop, flip = transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()
    return transforms.Compose([crop, flip, policy, scaled, cutout, standardised])


def distortions_transform() -> Callable[[Image.Image], torch.Tensor]:
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(32, scale=(0.2, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.RandomApply([blur], p=0.5),
            *normalised(),
        ]
    )


def strong_transform() -> Callable[[Image.Image], torch.Tensor]:
    policy, distortions = policy_transform(), distortions_transform()
    return lambda image: (policy if random.random() < 0.5 else distortions)(image)


def cutout(image: torch.Tensor) -> torch.Tensor:
    y, x = random.randrange(32), random.randrange(32)
    image[:, max(0, y - 8) : y + 8, max(0, x - 8) : x + 8] = 0
    return image


def blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


def fastest(contestants: list[Callable[[], None]], rounds: int) -> list[float]:
    """The least CPU seconds of each, taking turns; one round more warms up."""
    seconds = [[] for _ in contestants]
    for _ in range(rounds + 1):
        for epoch, taken in zip(contestants, seconds, strict=True):
            start = time.process_time()
            epoch()
            taken.append(time.process_time() - start)
    return [min(taken[1:]) for taken in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=80 * BATCH, help="images of an epoch")
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each pipeline that are timed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = smooth_noise(options.images)
    recipes = {
        "crop, flip, normalise": (standard_transform(), cifar_standard()),
        "policy": (policy_transform(), cifar_policy()),
        "distortions": (distortions_transform(), cifar_distortions()),
        "strong recipe": (strong_transform(), cifar_strong()),
    }
    print(f"{'images/s, one thread':24}{'per sample':>12}{'batched':>12}{'ratio':>8}")
    for name, (transform, augmentation) in recipes.items():
        alone, together = fastest([per_sample(data, transform), batched(data, augmentation)], options.rounds)
        print(f"{name:24}{options.images / alone:12,.0f}{options.images / together:12,.0f}{alone / together:8.1f}")


if __name__ == "__main__":
    main()
