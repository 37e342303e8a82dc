"""A training step of the RSG study: what RSG and the supervised contrastive loss add, and RSG against a transcription.

    python benchmarks/rsg_step.py [--arch resnet32] [--classes 100] [--batch 128] [--side 32] [--balanced] [--threads 1]
    python benchmarks/rsg_step.py --arch resnext50_32x4d --batch 16 --side 224 [--rounds 2] [--steps 1]

The first table has whole training steps of the study's recipe: a cosine classifier with LDAM, then with the contrastive loss,
with RSG while it only collects, and with RSG while it generates, for which the last stage sees more maps. The second has RSG
alone, forward, backward and SGD, against a transcription that does as the published code does: every map is compared with every
centre position by position, the contrastive net convolves where only a mean is needed, head and tail samples are sorted in
Python, and each segment of pairs runs by itself.

Labels are drawn as an epoch of long-tailed data has them (exponential, imbalance factor 0.01), or all classes alike with
`--balanced`; they decide how many maps are generated. First both forms of RSG take a batch in float64, and maps, labels, losses
and gradients must agree but for rounding, or the exit code is 1.

How time and memory are measured stands in `_stepping.py`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from _stepping import Entry, Trained, add_options, clock_at, in_words, measured, noise, prepared, print_costs
from torch import Tensor

from longtail.backbones import BACKBONES, StagedBackbone, create_backbone
from longtail.datasets.splits import class_counts
from longtail.loading.base import Batch
from longtail.losses import LDAM, SupCon, inverse_frequency_weights
from longtail.randomness import Randomness
from longtail.training.devices import in_memory_format, place
from longtail.training.options import at_least
from longtail.training.recipe import Clock
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import create_sgd
from longtail_rsg_study.recipe import RSGStudy, Shares
from longtail_rsg_study.rsg import RSG, Generated, head_classes

LARGEST_CLASS = {10: 5000, 100: 500}
HEAD_RATIO = 0.2
COLLECTING, GENERATING = 0, 1
SGD = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 5e-4}
SHARES = Shares({"ldam": 0.1})
ROUNDING = 1e-10
"""What the order of summation may change, as a share of the largest value of a tensor."""


class TranscribedRSG(RSG):
    """The published form."""

    def forward(self, maps: Tensor, labels: Tensor, epoch: int) -> Generated:
        """What `RSG` returns."""
        seen = maps.detach()
        shares = self.shares(seen.mean(dim=(2, 3)), labels)
        gaps = seen[:, None] - self.centers[labels][:, :, :, None, None]
        cesc = (shares * gaps.square().sum(dim=(2, 3, 4))).sum(dim=1).mean()
        if epoch <= self.threshold:
            half = len(seen) // 2
            logits = self.related(seen[:half], seen[half:], frozen=False)
            pair_loss = F.cross_entropy(logits, (labels[:half] == labels[half:]).long())
            return Generated(maps, labels, cesc + pair_loss, torch.zeros_like(cesc))

        in_head = self.is_head[labels].tolist()
        where = [[i for i, each in enumerate(in_head) if each == kind] for kind in (True, False)]
        few, many = sorted(map(len, where))
        nearest = self.centers.detach()[labels, shares.argmax(dim=1)][:, :, None, None].expand_as(seen)
        outputs, all_labels, losses = [maps], [labels], []
        for start in range(0, many - few + 1, few):
            heads, tails = (kind if len(kind) == few else kind[start : start + few] for kind in where)
            vectors = seen[heads] - nearest[heads]
            moved = self.vec_transformation_module(vectors)
            outputs.append(seen[tails] + moved)
            all_labels.append(labels[tails])
            losses.append(self._segment_loss(seen[heads], vectors, moved, seen[tails] - nearest[tails]))
        return Generated(torch.cat(outputs), torch.cat(all_labels), cesc, sum(losses) / len(losses))

    def related(self, first: Tensor, second: Tensor, *, frozen: bool) -> Tensor:
        """With the convolution of which only the mean is needed."""
        net = [
            each.detach() if frozen else each
            for each in (*self.contrastive_module.parameters(), *self.contrastive_fc.parameters())
        ]
        hidden = F.conv2d(torch.cat([first, second], dim=1), *net[:2]).relu()
        return F.linear(F.conv2d(hidden, *net[2:4], padding=1).mean(dim=(2, 3)), *net[4:])

    def _segment_loss(self, maps: Tensor, vectors: Tensor, moved: Tensor, along: Tensor) -> Tensor:
        count, channels = moved.shape[:2]
        contrast = F.cross_entropy(self.related(maps, moved, frozen=True), moved.new_zeros(count, dtype=torch.int64))
        before, after, target = (each.reshape(-1, channels) for each in (vectors, moved, along))
        length = (after.norm(dim=1) - before.norm(dim=1)).abs().sum()
        direction = (F.normalize(target, dim=1) * F.normalize(after, dim=1) - 1).abs().sum()
        return contrast + (length + direction) / count


class Alone:
    """RSG without a network around it."""

    def __init__(self, rsg: RSG):
        self.rsg = rsg
        self.optimiser = create_sgd(rsg, **SGD)

    def losses(self, batch: Batch, clock: Clock) -> tuple[Generated, Tensor]:
        """What RSG makes, and a loss that everything has a part in."""
        result = self.rsg(batch.images, batch.labels, clock.epoch)
        return result, SHARES.cesc * result.cesc + SHARES.mv * result.mv + result.maps.mean()

    def step(self, batch: Batch, clock: Clock) -> Tensor:
        """One iteration; returns its loss."""
        loss = self.losses(batch, clock)[1]
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return loss.detach()


def compare(theirs: RSG, ours: RSG, batch: Batch, epoch: int) -> str:
    """Give the batch to both in float64; say what is equal.

    Raises:
        SystemExit: maps, labels, losses or gradients differ by more than rounding.
    """
    clock, batch = clock_at(0, epoch=epoch), batch._replace(images=batch.images.double())
    found = []
    for rsg in (theirs.double(), ours.double()):
        result, loss = Alone(rsg).losses(batch, clock)
        gradients = torch.autograd.grad(loss, list(rsg.parameters()), allow_unused=True)
        found.append([None if value is None else torch.as_tensor(value).detach() for value in (*result, *gradients)])
    names = (*Generated._fields, *(name for name, _ in ours.named_parameters()))
    differences = {}
    for name, expected, actual in zip(names, *found, strict=True):
        if expected is not None and actual is not None:
            same_shape = expected.shape == actual.shape
            scale = float(expected.abs().max()) or 1.0
            differences[name] = float((actual - expected).abs().max()) / scale if same_shape else float("inf")
        elif expected is not actual:
            differences[name] = float("inf")
    worst = max(differences, key=lambda name: differences[name])
    if differences[worst] > ROUNDING:
        sys.exit(f"ours and the transcription differ: {worst} by {differences[worst]:.1e} of its largest value")
    return f"equal but for {differences[worst]:.0e} ({worst}); {len(found[0][0])} maps of {len(batch.images)}"


def long_tailed(batches: Sequence[Batch], counts: np.ndarray, balanced: bool) -> list[Batch]:
    """The batches with labels as often as the classes are."""
    rng = Randomness(0).generator("labels")
    shares = None if balanced else counts / counts.sum()
    return [
        batch._replace(labels=torch.from_numpy(rng.choice(len(counts), len(batch.labels), p=shares)).to(batch.labels.device))
        for batch in batches
    ]


def study(arch: str, counts: np.ndarray, *, supcon: bool = False, rsg: RSG | None = None) -> RSGStudy:
    """The recipe with a cosine classifier and LDAM."""
    network = create_backbone(arch, num_classes=len(counts), head="cosine", seed=0)
    ldam = LDAM(counts, max_margin=0.3, weight=inverse_frequency_weights(counts))
    recipe = RSGStudy(network, rsg, {}, {"ldam": ldam}, SupCon() if supcon else None, SHARES, ldam)
    return recipe.train()


def map_shape(arch: str, side: int) -> tuple[int, int, int]:
    """Channels, height and width of what the last stage sees."""
    network = create_backbone(arch, num_classes=1, seed=0).eval()
    if not isinstance(network, StagedBackbone):
        sys.exit(f"{arch} has no stages; take another")
    with torch.no_grad():
        hidden = network.stem(torch.zeros(1, 3, side, side))
        for stage in network.stages[:-1]:
            hidden = stage(hidden)
    return tuple(hidden.shape[1:])


def main() -> None:
    """Compare, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=BACKBONES, default="resnet32", help="network (default: %(default)s)")
    parser.add_argument("--classes", type=int, choices=LARGEST_CLASS, default=100, help="classes (default: %(default)s)")
    parser.add_argument(
        "--batch", type=at_least(2), default=128, help="images of a batch, an even number (default: %(default)s)"
    )
    parser.add_argument("--side", type=at_least(8), default=32, help="side of an image in px (default: %(default)s)")
    parser.add_argument("--balanced", action="store_true", help="draw all classes alike")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32", help="of the first table")
    add_options(parser)
    args = parser.parse_args()
    device = prepared(args)
    counts = class_counts(args.classes, LARGEST_CLASS[args.classes], 0.01, "exp")
    shape = map_shape(args.arch, args.side)
    at = {name: partial(clock_at, epoch=epoch) for name, epoch in (("collecting", COLLECTING), ("generating", GENERATING))}

    def module(kind: type[RSG]) -> RSG:
        torch.manual_seed(0)
        rsg = kind(args.classes, shape[0], head_classes(counts, HEAD_RATIO), threshold=COLLECTING)
        torch.nn.init.normal_(rsg.centers)  # as after some training; while all are 0, shares have no gradient
        return rsg.to(device)

    where = (
        f"{args.classes} classes, batch {args.batch}, {in_words(device)}, best of {args.rounds} rounds of {args.steps} steps"
    )
    maps = long_tailed(noise(3, args.batch, shape, args.classes, device), counts, args.balanced)
    maps = [in_memory_format(batch, RuntimeOptions(channels_last=False)) for batch in maps]
    entries = {}
    for phase, clock in at.items():
        print(f"{phase}: {compare(module(TranscribedRSG), module(RSG), maps[0], clock(0).epoch)}", flush=True)
        entries[f"transcription, {phase}"] = Entry(Alone(module(TranscribedRSG)), maps, clock)
        entries[f"ours, {phase}"] = Entry(Alone(module(RSG)), maps, clock)
    alone = measured(entries, args.rounds, args.steps)

    options = RuntimeOptions(precision=args.precision, channels_last=True)
    images = long_tailed(noise(3, args.batch, (3, args.side, args.side), args.classes, device), counts, args.balanced)
    variants = {
        "cosine classifier, LDAM": (study(args.arch, counts), "collecting"),
        "+ SupCon": (study(args.arch, counts, supcon=True), "collecting"),
        "+ RSG, collecting": (study(args.arch, counts, rsg=module(RSG)), "collecting"),
        "+ RSG, generating": (study(args.arch, counts, rsg=module(RSG)), "generating"),
    }
    entries = {}
    for name, (recipe, phase) in variants.items():
        place(recipe, device, options)
        entries[name] = Entry(Trained(recipe, create_sgd(recipe, **SGD), options), images, at[phase])
    steps = measured(entries, args.rounds, args.steps)
    print_costs(f"{args.arch}, {args.side} px, {args.precision}, channels_last, {where}", steps, ["cosine classifier, LDAM"])
    print_costs(
        f"RSG alone on {' x '.join(map(str, shape))}, float32, {where}",
        alone,
        [n for n in alone if n.startswith("transcription")],
    )


if __name__ == "__main__":
    main()
