"""A training step of CADEL's three heads against one of the same network with a single head, in time and in memory, as ratios.

    python benchmarks/cadel_step.py [--arch resnet32] [--batch 64] [--side 32] [--rounds 5] [--steps 3] [--threads 1]

The single head is a cosine classifier, trained with cross entropy. The auxiliary heads have the paper's widths relative to the
network: twice the width of its features. What they must cost stands above the table, as multiplications of one image's forward
pass. A step is everything from a batch that is ready to new weights.

How time and memory are measured stands in `_stepping.py`.
"""

from __future__ import annotations

import argparse

import torch
from _stepping import VARIANTS, Entry, Trained, add_options, clock_at, in_words, measured, noise, prepared, print_costs
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from longtail.backbones import BACKBONES, StagedBackbone, create_backbone
from longtail.datasets.splits import class_counts
from longtail.losses import CrossEntropy
from longtail.training.devices import in_memory_format, place
from longtail.training.options import at_least
from longtail.training.plain import PlainTraining
from longtail.training.recipe import Recipe
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import create_sgd
from longtail_cadel.networks import cascade_on
from longtail_cadel.recipe import CADEL, Cascading

SGD = {"lr": 0.025, "momentum": 0.9, "weight_decay": 5e-4}
MEASURED = [options for options in VARIANTS.values() if options.channels_last]


def recipes(arch: str, classes: int) -> dict[str, Recipe]:
    """A network with one head, and with three."""
    counts = class_counts(classes, 500, 0.01, "exp")
    single, trunk = (create_backbone(arch, num_classes=classes, head="cosine", seed=0) for _ in range(2))
    if not isinstance(trunk, StagedBackbone):
        raise SystemExit(f"{arch} has no stages between which heads branch off")
    cascade = cascade_on(trunk, num_classes=classes, seed=0)
    return {"one head": PlainTraining(single, CrossEntropy(counts)), "three heads": CADEL(cascade, counts, Cascading())}


def trained(recipe: Recipe, device: torch.device, options: RuntimeOptions) -> Trained:
    """A recipe, ready for its first step."""
    recipe.train()
    place(recipe, device, options)
    return Trained(recipe, create_sgd(recipe, **SGD), options)


@torch.no_grad()
def multiplications(network: nn.Module, side: int) -> int:
    """Of the forward pass of one image."""
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, side, side))
    return counter.get_total_flops() // 2


def main() -> None:
    """Count, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=BACKBONES, default="resnet32", help="network (default: %(default)s)")
    parser.add_argument("--batch", type=at_least(2), default=64, help="images of a batch (default: %(default)s)")
    parser.add_argument("--side", type=at_least(8), default=32, help="side of an image in px (default: %(default)s)")
    parser.add_argument("--classes", type=at_least(2), default=100, help="number of classes (default: %(default)s)")
    add_options(parser)
    args = parser.parse_args()
    device = prepared(args)

    counted = {name: multiplications(recipe.backbone, args.side) for name, recipe in recipes(args.arch, args.classes).items()}
    one, three = counted.values()
    print(f"million multiplications: {one / 1e6:,.0f} with one head, {three / 1e6:,.0f} with three: {three / one:.2f}")

    batches = noise(3, args.batch, (3, args.side, args.side), args.classes, device)
    entries: dict[str, Entry] = {}
    for options in MEASURED:
        formatted = [in_memory_format(batch, options) for batch in batches]
        for name, recipe in recipes(args.arch, args.classes).items():
            entries[f"{options.precision}, {name}"] = Entry(trained(recipe, device, options), formatted, clock_at)

    costs = measured(entries, args.rounds, args.steps)
    best = f"channels_last, best of {args.rounds} rounds of {args.steps} steps"
    title = f"{args.arch}, batch {args.batch}, {args.side} px, {args.classes} classes, {in_words(device)}, {best}"
    print_costs(title, costs, [name for name in costs if name.endswith("one head")])


if __name__ == "__main__":
    main()
