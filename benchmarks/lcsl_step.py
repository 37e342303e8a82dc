"""A training step of LCSL against a transcription of the paper's code, in time and in memory, as ratios.

    python benchmarks/lcsl_step.py [--backbone resnet32] [--batch 64] [--rounds 5] [--steps 3] [--threads 1]

The transcription does what the paper's code does in each iteration: the teacher predicts the mixed images and, in a second
pass, their mirror images, with a graph that is let go at once; the student predicts the clean images with a graph that nothing
needs; float32 in the default memory format. With beta = 0 it still asks the teacher, as the paper's code does; ours then has
none. A step is everything from a batch that is ready to new weights.

First, on the CPU, both take the same steps in float32 in the default memory format, on the same batches from the same weights
with the same random draws: weights and batch-norm statistics must be equal to the bit, and losses but for the order of their
sums, or the exit code is 1.

How time and memory are measured stands in `_stepping.py`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from _stepping import DEFAULT, VARIANTS, Entry, Trained, add_options, clock_at, in_words, measured, noise, prepared, print_costs
from torch import Tensor

from longtail.backbones import BACKBONES, Backbone, create_backbone
from longtail.datasets.splits import class_counts
from longtail.loading.base import Batch
from longtail.training.devices import in_memory_format, place
from longtail.training.mixup import Mixing, draw_mix
from longtail.training.options import at_least
from longtail.training.recipe import Clock
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import create_sgd
from longtail_lcsl.mixing import BETA, mix_at
from longtail_lcsl.recipe import LCSL, SelfLabelling, minority_classes

CLASSES = 100
COUNTS = class_counts(CLASSES, 500, 0.01, "exp")
PAPER = SelfLabelling()
SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-3}
CHECKED_STEPS = 6
ROUNDING = 1e-6
"""What the order of summation may change in a loss, as a share of it."""


def sequential_draws() -> Mixing:
    """The paper's draws: one after the other, from generators that are made once."""
    rng, generator = np.random.RandomState(0), torch.Generator().manual_seed(0)
    return lambda _clock, size: draw_mix(rng, generator, size, BETA)


class Transcription:
    """The paper's iteration, line by line."""

    def __init__(self, networks: tuple[Backbone, Backbone], settings: SelfLabelling, mixing: Mixing, device: torch.device):
        self.student, self.teacher = (each.to(device) for each in networks)
        self.student.train()
        self.teacher.eval()
        self.refresh_teacher()
        self.settings = settings
        self.mixing = mixing
        self.minority = torch.from_numpy(minority_classes(COUNTS)).to(device)
        self.optimiser = create_sgd(self.student, **SGD)
        self.loss_sum = 0.0
        self.correct = 0

    @torch.no_grad()
    def refresh_teacher(self) -> None:
        """After a new best epoch: the student's weights, and rows of length 1 in the classifier."""
        self.teacher.load_state_dict(self.student.state_dict())
        weight = self.teacher.classifier.weight
        weight.copy_(weight / weight.norm(dim=1, keepdim=True))

    def mixed(self, batch: Batch, clock: Clock) -> tuple[Tensor, Tensor, float]:
        """Blended images, the labels of what was blended in, and the share of the images themselves."""
        share, partners = self.mixing(clock, len(batch.images))
        partners = partners.to(batch.images.device)
        return share * batch.images + (1 - share) * batch.images[partners], batch.labels[partners], share

    def taught(self, mixed: Tensor) -> tuple[Tensor, Tensor]:
        """The teacher's confidences and labels."""
        logits = (0.5 * (self.teacher(mixed) + self.teacher(mixed.flip(3)))).detach()
        confidence, labels = F.softmax(logits / self.settings.tau, dim=1).max(dim=1)
        return confidence, labels

    def step(self, batch: Batch, clock: Clock) -> Tensor:
        """One iteration; returns its loss."""
        images, labels = batch.images, batch.labels
        mixed, other_labels, share = self.mixed(batch, clock)
        confidence, own_labels = self.taught(mixed)
        selected = (confidence >= self.settings.confidence) & self.minority[own_labels]

        clean_logits = self.student(images)
        logits = self.student(mixed)
        first = F.cross_entropy(logits, labels, reduction="none")
        second = F.cross_entropy(logits, other_labels, reduction="none")
        mixup_loss = (share * first + (1 - share) * second).mean()
        own_loss = (selected * F.cross_entropy(logits, own_labels, reduction="none")).mean()
        loss = self.settings.alpha * mixup_loss + self.settings.beta * own_loss
        self.correct += int((clean_logits.argmax(dim=1) == labels).sum())
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.loss_sum += loss.item() * len(images)
        return loss.detach()


class Ours(Trained):
    """The recipe."""

    recipe: LCSL

    def __init__(
        self,
        networks: tuple[Backbone, Backbone],
        settings: SelfLabelling,
        options: RuntimeOptions,
        device: torch.device,
        mixing: Mixing = mix_at,
    ):
        teacher = networks[1] if LCSL.needs_teacher(COUNTS, settings) else None
        recipe = LCSL(networks[0], teacher, COUNTS, settings, mixing)
        recipe.train()
        place(recipe, device, options)
        super().__init__(recipe, create_sgd(recipe, **SGD), options)
        self.refresh_teacher()

    def refresh_teacher(self) -> None:
        """After a new best epoch; without one there is no teacher yet."""
        self.recipe.refresh_teacher(self.network.state_dict())
        self.recipe.begin_epoch(clock_at(0))


def networks(backbone: str) -> tuple[Backbone, Backbone]:
    """Student and teacher."""
    return tuple(create_backbone(backbone, num_classes=CLASSES, seed=seed) for seed in (0, 1))


def middle(values: Tensor) -> float:
    """A number between the halves of the values."""
    half = len(values) // 2
    return float(values.sort().values[half - 1 : half + 1].mean())


def compare(backbone: str, batches: Sequence[Batch]) -> str:
    """Take the same steps with both; say what is equal.

    The teacher is refreshed half-way. Each step has the confidence that selects half of the batch, for noise teaches nobody.

    Raises:
        SystemExit: weights or batch-norm statistics differ, or losses do by more than rounding.
    """
    device = batches[0].images.device
    theirs = Transcription(networks(backbone), PAPER, mix_at, device)
    ours = Ours(networks(backbone), PAPER, DEFAULT, device)
    shares, differences = [], []
    for step in range(CHECKED_STEPS):
        if step == CHECKED_STEPS // 2:
            theirs.refresh_teacher()
            ours.refresh_teacher()
        batch, clock = in_memory_format(batches[step % len(batches)], DEFAULT), clock_at(step)
        confidence, labels = theirs.taught(theirs.mixed(batch, clock)[0])
        settings = replace(PAPER, confidence=middle(confidence))
        shares.append(float(((confidence >= settings.confidence) & theirs.minority[labels]).float().mean()))
        theirs.settings = ours.recipe.settings = settings
        expected = theirs.step(batch, clock)
        differences.append(float((ours.step(batch, clock) - expected).abs() / expected))
        found = ours.network.state_dict()
        for name, value in theirs.student.state_dict().items():
            if not torch.equal(value, found[name]):
                sys.exit(f"ours and the transcription differ: {name} after {step + 1} steps")
    if max(differences) > ROUNDING:
        sys.exit(f"ours and the transcription differ: losses by a factor of up to 1 + {max(differences):.1e}")
    equal = "weights and batch-norm statistics equal to the bit"
    losses = "losses, too" if max(differences) == 0 else f"losses but for a factor of at most 1 + {max(differences):.0e}"
    return f"{CHECKED_STEPS} steps: {equal}, {losses}; {np.mean(shares):.0%} of the images had a second label"


def main() -> None:
    """Compare, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=BACKBONES, default="resnet32", help="network (default: %(default)s)")
    parser.add_argument("--batch", type=at_least(2), default=64, help="images of a batch (default: %(default)s)")
    parser.add_argument("--side", type=at_least(8), default=32, help="side of an image in px (default: %(default)s)")
    add_options(parser)
    args = parser.parse_args()
    device = prepared(args)
    batches = noise(3, args.batch, (3, args.side, args.side), CLASSES, device)

    if device.type == "cpu":
        print(compare(args.backbone, batches), flush=True)

    entries: dict[str, Entry] = {}
    contiguous = [in_memory_format(batch, DEFAULT) for batch in batches]
    for suffix, settings in (("", PAPER), (", beta 0", replace(PAPER, beta=0.0))):
        transcription = Transcription(networks(args.backbone), settings, sequential_draws(), device)
        entries[f"transcription{suffix}"] = Entry(transcription, contiguous, clock_at)
        for name, options in VARIANTS.items():
            ours = Ours(networks(args.backbone), settings, options, device)
            entries[f"{name}{suffix}"] = Entry(ours, [in_memory_format(batch, options) for batch in batches], clock_at)

    costs = measured(entries, args.rounds, args.steps)
    best = f"best of {args.rounds} rounds of {args.steps} steps"
    title = f"{args.backbone}, batch {args.batch}, {args.side} px, {in_words(device)}, {best}"
    print_costs(title, costs, [name for name in costs if name.startswith("transcription")])


if __name__ == "__main__":
    main()
