"""A training step at ImageNet's size in each precision and memory format, against float32 in the default format, as a ratio.

    python benchmarks/imagenet_step.py [--arch resnet50] [--batch 32] [--rounds 3] [--steps 2] [--device cuda]

A step is forward, backward and SGD of plain training on a batch that is ready on the device; float32 in the default memory
format is what the papers' scripts do. Variants take turns, so that a change of the machine's speed meets all of them; the first
round warms up and is not counted; the ratio is of the minima of the others. The images are noise: their content costs nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from longtail.backbones import IMAGENET_BACKBONES, create_backbone
from longtail.loading.base import Batch
from longtail.losses import create_loss
from longtail.randomness import Randomness
from longtail.training.devices import autocast, choose_device, in_memory_format, make_exact, place
from longtail.training.options import at_least
from longtail.training.plain import PlainTraining
from longtail.training.recipe import Clock
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import create_sgd

VARIANTS = {
    "float32, contiguous": RuntimeOptions(precision="float32", channels_last=False),
    "float32, channels_last": RuntimeOptions(precision="float32", channels_last=True),
    "bf16, contiguous": RuntimeOptions(precision="bf16", channels_last=False),
    "bf16, channels_last": RuntimeOptions(precision="bf16", channels_last=True),
}


def noise(batch: int, side: int, classes: int, device: torch.device) -> Batch:
    """A batch as a loader yields it."""
    randomness = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, side, side, generator=randomness).to(device, memory_format=torch.channels_last)
    labels = torch.randint(classes, (batch,), generator=randomness).to(device)
    return Batch(images, labels, torch.arange(batch, device=device), batch)


def trained(arch: str, classes: int, batch: Batch, options: RuntimeOptions) -> Callable[[int], float]:
    """A network in training; returns a function that takes that many steps and gives the seconds of one."""
    device = batch.images.device
    network = create_backbone(arch, num_classes=classes, seed=0)
    recipe = PlainTraining(network, create_loss("ce", class_counts=np.ones(classes, dtype=np.int64))).train()
    place(recipe, device, options)
    optimiser = create_sgd(recipe, lr=0.01, momentum=0.9, weight_decay=2e-4)
    batch = in_memory_format(batch, options)
    clock = Clock(epoch=0, epochs=1, step=0, steps=1, randomness=Randomness(0))

    def steps(count: int) -> float:
        finish(device)
        started = time.perf_counter()
        for _ in range(count):
            optimiser.zero_grad(set_to_none=True)
            with autocast(device, options.precision):
                output = recipe(batch, clock)
            output.loss.backward()
            optimiser.step()
        finish(device)
        return (time.perf_counter() - started) / count

    return steps


def finish(device: torch.device) -> None:
    """Wait for what a GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=IMAGENET_BACKBONES, default="resnet50", help="network (default: %(default)s)")
    parser.add_argument("--batch", type=at_least(2), default=32, help="images of a batch (default: %(default)s)")
    parser.add_argument("--side", type=at_least(32), default=224, help="side of an image in px (default: %(default)s)")
    parser.add_argument("--classes", type=at_least(1), default=1000, help="number of classes (default: %(default)s)")
    parser.add_argument("--rounds", type=at_least(1), default=3, help="rounds that are timed (default: %(default)s)")
    parser.add_argument("--steps", type=at_least(1), default=2, help="steps of a variant in a round (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    args = parser.parse_args()
    device = choose_device(args.device)
    make_exact(device)
    batch = noise(args.batch, args.side, args.classes, device)
    contestants = {name: trained(args.arch, args.classes, batch, options) for name, options in VARIANTS.items()}

    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(args.rounds + 1):
        for name, steps in contestants.items():
            seconds[name].append(steps(args.steps))

    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{args.arch}, batch {args.batch}, {args.side} px, {args.classes} classes, {where}, best of {args.rounds} rounds")
    print(f"{'variant':<24}{'ms/step':>10}{'images/s':>10}{'ratio':>8}")
    best = {name: min(taken[1:]) for name, taken in seconds.items()}
    baseline = best["float32, contiguous"]
    for name, taken in best.items():
        print(f"{name:<24}{1000 * taken:10.1f}{args.batch / taken:10.1f}{baseline / taken:8.2f}")


if __name__ == "__main__":
    main()
