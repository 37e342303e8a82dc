"""Images a second that one thread turns from JPEG files into normalised training batches, against the usual pipelines.

    python benchmarks/jpeg_transform.py [--images 128] [--rounds 5] [--folder PICTURES]

The pipelines of each recipe take turns, so that a change of the machine's speed meets all; the ratios are of the rounds'
minima of CPU time. All run in this process, without the cost of worker processes:

- ours: this project's loader of files;
- PIL: torchvision's transforms on PIL images, one sample at a time, which is what the papers' code does;
- tensors: torchvision's decoder and its v2 transforms on tensors, one sample at a time (there is no such RandAugment).

The files are smooth noise of 500 x 400 pixels with some texture, at quality 90, unless a folder says otherwise. The last column
is the largest difference of a byte between ours and PIL before normalisation, and the mean, when both are given the same random
numbers: resizing rounds otherwise by one, and what follows stretches that (RandAugment turns one side of a threshold dark).
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from augmentation import blur, fastest
from PIL import Image, ImageFilter
from timm.data.auto_augment import rand_augment_transform
from torchvision import transforms
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms import functional, v2

from longtail.datasets.base import FileImages, ImageData
from longtail.datasets.decode import read_image
from longtail.loading import Shuffled, create_loader
from longtail.loading.augment import Draws
from longtail.loading.framing import Framed
from longtail.loading.presets import imagenet_standard, imagenet_strong
from longtail.loading.randaugment import MEAN_COLOUR, POLICY, TRANSLATION
from longtail.randomness import Randomness, lend_global_generators

BATCH, SIDE = 16, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Epoch = Callable[[], None]
Load = Callable[[Path], torch.Tensor]


def write_jpegs(folder: Path, count: int) -> None:
    """Noise enlarged 50 times, and as large as the picture but weaker."""
    rng = np.random.default_rng(0)
    for at in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((500, 400), Image.Resampling.BICUBIC), dtype=np.float64)
        textured = smooth + rng.normal(0, 8, (400, 500, 1))
        Image.fromarray(textured.clip(0, 255).astype(np.uint8)).save(folder / f"{at:05}.jpg", quality=90)


def ours(paths: list[Path], framed: Framed) -> Epoch:
    """One epoch of this project's loader."""
    randomness = Randomness(0)
    images = FileImages(Path(), tuple(map(str, paths)))
    data = ImageData(images, np.zeros(len(paths), dtype=np.int64), ("jpeg",))
    loader = create_loader(
        data,
        Shuffled(len(data), randomness),
        batch_size=BATCH,
        mean=MEAN,
        std=STD,
        randomness=randomness,
        augmentation=framed,
    )
    epochs = iter(range(1_000_000))

    def epoch() -> None:
        for _ in loader.epoch(next(epochs)):
            pass

    return epoch


def per_sample(paths: list[Path], load: Load) -> Epoch:
    """One epoch of a pipeline that makes one sample at a time, stacked to batches."""

    def epoch() -> None:
        order = torch.randperm(len(paths)).tolist()
        for start in range(0, len(order), BATCH):
            torch.stack([load(paths[index]) for index in order[start : start + BATCH]])

    return epoch


def open_rgb(path: Path) -> Image.Image:
    with path.open("rb") as file:
        return Image.open(file).convert("RGB")


def pil(*operations: Any) -> Load:
    """Torchvision's transforms on PIL images, with these between resized crop and normalisation."""
    normalised = transforms.ToTensor(), transforms.Normalize(MEAN, STD)
    transform = transforms.Compose([transforms.RandomResizedCrop(SIDE), *operations, *normalised])
    return lambda path: transform(open_rgb(path))


def tensors(*operations: Any) -> Load:
    """The same on tensors."""
    normalised = v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)
    transform = v2.Compose([v2.RandomResizedCrop(SIDE, antialias=True), *operations, *normalised])
    return lambda path: transform(decode_image(read_file(str(path)), ImageReadMode.RGB))


def strong_pil() -> Load:
    flip, jitter = transforms.RandomHorizontalFlip(), transforms.ColorJitter(0.4, 0.4, 0.4)
    distortions = transforms.RandomGrayscale(p=0.2), transforms.RandomApply([blur], p=0.5)
    first, second = pil(flip, jitter, rand_augment()), pil(jitter, *distortions, flip)
    return lambda path: (first if random.random() < 0.5 else second)(path)


@cache
def rand_augment() -> Callable[[Image.Image], Image.Image]:
    return rand_augment_transform(POLICY, {"translate_const": TRANSLATION, "img_mean": MEAN_COLOUR})


def recipes() -> Iterator[tuple[str, Framed, Load, Load | None]]:
    flip, jitter = transforms.RandomHorizontalFlip(), transforms.ColorJitter(0.4, 0.4, 0.4)
    yield "crop, flip", imagenet_standard(SIDE), pil(flip), tensors(v2.RandomHorizontalFlip())
    both = tensors(v2.RandomHorizontalFlip(), v2.ColorJitter(0.4, 0.4, 0.4))
    yield "crop, flip, jitter 0.4", imagenet_standard(SIDE, jitter=0.4), pil(flip, jitter), both
    yield "strong recipe", imagenet_strong(SIDE), strong_pil(), None


# the same random numbers for both


def differences(paths: list[Path], framed: Framed) -> str:
    rng = np.random.default_rng(1)
    framing, augmentation = framed.framing.draw(rng, len(paths)), framed.augmentation.draw(rng, len(paths), (SIDE, SIDE))
    largest, total = 0, 0.0
    for at, path in enumerate(paths):
        picture = torch.from_numpy(read_image(path))
        box, rest = framing[at : at + 1], augmentation[at : at + 1]
        batch = framed.augmentation.apply(framed.framing.frame(picture, box)[None], rest)
        (corners,) = framed.framing.boxes(box, [tuple(picture.shape[:2])])
        image = as_pil(functional.resized_crop(open_rgb(path), *corners, [SIDE, SIDE]), rest)
        difference = np.abs(batch[0].numpy().astype(int) - np.asarray(image))
        largest, total = max(largest, difference.max()), total + difference.mean()
    return f"{largest} ({total / len(paths):.2f})"


def as_pil(image: Image.Image, draws: Draws) -> Image.Image:
    """The image after what the draws of one image say, whichever recipe they belong to."""
    values = draws.values
    if "first" in values:
        return as_pil(image, draws.parts[0 if values["first"][0] else 1])
    if "applied" in values:
        return as_pil(image, draws.parts[0]) if values["applied"][0] else image
    if "flipped" in values and values["flipped"][0]:
        image = functional.hflip(image)
    if "grey" in values and values["grey"][0]:
        image = functional.to_grayscale(image, 3)
    if "sigma" in values:
        image = image.filter(ImageFilter.GaussianBlur(float(values["sigma"][0])))
    if "seed" in values:
        with lend_global_generators() as seed:
            seed(int(values["seed"][0]))
            image = rand_augment()(image)
    for which in values["order"][0] if "order" in values else ():
        if which < 3:
            name = ("brightness", "contrast", "saturation")[which]
            image = getattr(functional, f"adjust_{name}")(image, values[name][0])
    for part in draws.parts:
        image = as_pil(image, part)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="a folder of JPEG files instead of noise")
    parser.add_argument("--images", type=int, default=8 * BATCH, help="images of an epoch")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each pipeline that are timed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if options.folder is None:
            write_jpegs(folder, options.images)
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[: options.images]
        if not paths:
            parser.error(f"{folder} holds no JPEG files")
        compare(paths, options.rounds)


def compare(paths: list[Path], rounds: int) -> None:
    columns = ("PIL", "tensors", "ours", "ours / PIL", "ours / tensors", "max (mean) diff")
    print(f"{'images/s, one thread':24}" + "".join(f"{each:>16}" for each in columns))
    for name, framed, *usual in recipes():
        pipelines = [ours(paths, framed), *(per_sample(paths, load) for load in usual if load is not None)]
        own, *others = (len(paths) / seconds for seconds in fastest(pipelines, rounds))
        missing = ["-"] * (2 - len(others))
        speeds, ratios = [f"{each:.0f}" for each in others], [f"{own / each:.2f}" for each in others]
        cells = *speeds, *missing, f"{own:.0f}", *ratios, *missing, differences(paths, framed)
        print(f"{name:24}" + "".join(f"{each:>16}" for each in cells))


if __name__ == "__main__":
    main()
