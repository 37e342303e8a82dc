"""An implicit training step of DPA-EI against a transcription of the paper's code, in time and in memory, as ratios.

    python benchmarks/dpa_ei_step.py [--backbone resnet32] [--classes 100] [--batch 100] [--rounds 5] [--steps 3] [--threads 1]
    python benchmarks/dpa_ei_step.py --diagonal [--classes 8142] [--width 2048] [--batch 64] [--transcription]

The transcription does what the paper's code does in each iteration: it builds a second network of layers whose weights can be
replaced, copies weights and batch-norm statistics into it, replaces the weights by those after a plain training step with the
graph of how they came about, differentiates the loss of the meta batch through both, and then passes the training batch through
the first network once more; estimator and augmented logits have a row of features for each image and class. What only the meta
gradient needed is let go before the main pass. A step is everything from two batches that are ready to new weights.

First both take the same steps in float64, from the same weights: the meta gradient, the corrected covariance, the estimator,
losses, and what a step adds to weights and batch-norm statistics must be equal but for rounding, or the exit code is 1. Then
each variant is measured, as `_stepping.py` says. The explicit stage's step (mixup) has no transcription; it is shown as a share
of the implicit one.

With --diagonal a step is that of the classifier on features, as on iNaturalist 2018. An array of a row of features for each
image and class, which the paper's code makes several of, would there be larger than all that a step of ours takes, or the exit
code is 1. --transcription measures it too, without the anomaly detection that the paper's code leaves on; it takes some 25 GiB.
"""

from __future__ import annotations

import argparse
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from _stepping import (
    DEFAULT,
    VARIANTS,
    Contestant,
    Cost,
    Entry,
    Trained,
    add_options,
    clock_at,
    in_words,
    measured,
    noise,
    prepared,
    print_costs,
)
from torch import Tensor, nn

from longtail.backbones import Backbone, create_backbone
from longtail.datasets.splits import class_counts
from longtail.loading.base import Batch
from longtail.training.devices import in_memory_format, place
from longtail.training.options import at_least
from longtail.training.recipe import Clock
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import create_sgd
from longtail_dpa_ei.frozen import FrozenDPAEI, OnFeatures
from longtail_dpa_ei.meta import LookAhead, MetaGradient, MetaStep, by_double_backward, by_forward_mode
from longtail_dpa_ei.recipe import DPAEI, Augmentation
from longtail_dpa_ei.schedules import Timing

BACKBONES = {f"resnet{depth}": depth for depth in (20, 32, 44, 56, 110)}
CIFAR = Augmentation()
CIFAR_EPOCHS, EXPLICIT_EPOCH, IMPLICIT_EPOCH = 200, 100, 165
ON_FEATURES = Augmentation(rate=3e-4, timing=Timing(0, 91), margins=False, diagonal=True)
FEATURE_EPOCHS, FEATURE_EPOCH = 90, 45
CHECKED_STEPS = 4
CHECKED_BATCH = 16
ROUNDING = 1e-9
"""How far float64 may lead ours and the transcription apart, as a share of each tensor's norm."""


# the paper's code: networks whose weights can be replaced


class Replaceable(nn.Module):
    """A layer whose weights are buffers with a gradient: unlike parameters they can be replaced by what has a history."""

    def __init__(self, **weights: Tensor):
        super().__init__()
        self.names = tuple(weights)
        for name, each in weights.items():
            self.register_buffer(name, each.requires_grad_())


class Convolution(Replaceable):
    """3 x 3, without bias."""

    def __init__(self, inner: int, outer: int, stride: int = 1):
        super().__init__(weight=nn.init.kaiming_normal_(torch.empty(outer, inner, 3, 3)))
        self.stride = stride

    def forward(self, images: Tensor) -> Tensor:
        return F.conv2d(images, self.weight, stride=self.stride, padding=1)


class Normalisation(Replaceable):
    """Of batches."""

    def __init__(self, channels: int):
        super().__init__(weight=torch.ones(channels), bias=torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, images: Tensor) -> Tensor:
        return F.batch_norm(images, self.running_mean, self.running_var, self.weight, self.bias, self.training)


class Linear(Replaceable):
    """With bias."""

    def __init__(self, inner: int, outer: int):
        limit = inner**-0.5
        super().__init__(
            weight=nn.init.kaiming_normal_(torch.empty(outer, inner)), bias=torch.empty(outer).uniform_(-limit, limit)
        )

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(features, self.weight, self.bias)


class Block(nn.Module):
    """Two convolutions and a shortcut without parameters."""

    def __init__(self, inner: int, outer: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = Convolution(inner, outer, stride), Normalisation(outer)
        self.conv2, self.bn2 = Convolution(outer, outer), Normalisation(outer)
        self.missing = outer - inner

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(images)))))
        if self.missing:
            images = F.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, self.missing // 2, self.missing // 2))
        return F.relu(hidden + images)


class ReplaceableResNet(nn.Module):
    """A CIFAR ResNet; gives features and logits."""

    def __init__(self, depth: int, classes: int):
        super().__init__()
        self.conv1, self.bn1 = Convolution(3, 16), Normalisation(16)
        for stage, (inner, outer) in enumerate(pairwise((16, 16, 32, 64)), 1):
            shapes = [(inner, outer, 1 if stage == 1 else 2), *[(outer, outer, 1)] * ((depth - 2) // 6 - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*(Block(*shape) for shape in shapes)))
        self.linear = Linear(64, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(images))))))
        features = F.avg_pool2d(hidden, hidden.shape[3]).flatten(1)
        return features, self.linear(features)


class ReplaceableClassifier(nn.Module):
    """A linear layer on features that are there already; gives features and logits."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.fc = Linear(width, classes)

    @property
    def linear(self) -> Linear:
        """The name that it has on CIFAR."""
        return self.fc

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return features, self.fc(features)


def weights_of(network: nn.Module) -> list[tuple[Replaceable, str]]:
    """Where each weight is held, and under which name."""
    layers = [each for each in network.modules() if isinstance(each, Replaceable)]
    return [(layer, name) for layer in layers for name in layer.names]


# the paper's code: a row of features for each image and class


class NaiveCovariance:
    """The running covariance of every class's features."""

    def __init__(self, classes: int, width: int, *, diagonal: bool, device: torch.device):
        self.covariance = torch.zeros(classes, *([width] if diagonal else [width, width]), device=device)
        self.mean = torch.zeros(classes, width, device=device)
        self.count = torch.zeros(classes, device=device)

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Take in a batch."""
        classes, width = self.mean.shape
        diagonal = self.covariance.dim() == 2
        members = F.one_hot(labels, classes).to(features.dtype)[:, :, None].expand(-1, classes, width)
        by_class = features[:, None, :].expand(-1, classes, width) * members
        size = members.sum(0)
        size[size == 0] = 1
        mean = by_class.sum(0) / size
        centred = by_class - mean * members
        if diagonal:
            spread = centred.square().sum(0) / size
        else:
            spread = torch.bmm(centred.permute(1, 2, 0), centred.permute(1, 0, 2)) / size[:, :, None]

        new = members[:, :, 0].sum(0)
        share = (new / (new + self.count)).nan_to_num()[:, None]
        distance = self.mean - mean
        between = distance.square() if diagonal else distance[:, :, None] * distance[:, None, :]
        wide = share if diagonal else share[:, :, None]
        self.covariance.copy_((1 - wide) * self.covariance + wide * spread + wide * (1 - wide) * between)
        self.mean.copy_((1 - share) * self.mean + share * mean)
        self.count.add_(new)


def naively_augmented(logits: Tensor, weight: Tensor, covariance: Tensor, labels: Tensor, ratio: float) -> Tensor:
    """Of a full covariance, the forms of all pairs of classes, of which the diagonal is used."""
    everywhere = weight[None].expand(len(labels), -1, -1)
    distances = everywhere - weight[labels][:, None].expand_as(everywhere)
    if covariance.dim() == 2:
        forms = (distances.square() * covariance[labels][:, None].expand_as(distances)).sum(2)
    else:
        forms = torch.bmm(torch.bmm(distances, covariance[labels]), distances.mT).diagonal(dim1=1, dim2=2)
    return logits + 0.5 * ratio * forms


class Transcription:
    """The paper's iteration.

    Args:
        make: makes a network on the current device.
        state: what it starts from.
        counts: training images per class.
        settings: the paper's.
        rate: learning rate of the training step.
        device: where.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        state: Mapping[str, Tensor],
        counts: np.ndarray,
        settings: Augmentation,
        rate: float,
        device: torch.device,
    ):
        self.make, self.settings, self.device = make, settings, device
        self.network = self.fresh(state)
        classes, width = self.network.linear.weight.shape
        self.statistics = NaiveCovariance(classes, width, diagonal=settings.diagonal, device=device)
        of_class = (1 - 0.9999) / (1 - 0.9999**counts)
        self.class_weights = on(device, classes * of_class / of_class.sum())
        self.margins = on(device, 0.5 * (counts / counts.min()) ** -0.25 * settings.margins)
        leaves = [getattr(*each) for each in weights_of(self.network)]
        self.optimiser = torch.optim.SGD(leaves, lr=rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
        self.inner_rate = settings.timing.inner_learning_rate()

    def fresh(self, state: Mapping[str, Tensor]) -> nn.Module:
        """A new network with this state."""
        with self.device:
            network = self.make()
        network.load_state_dict(state)
        return network.train()

    def loss(self, logits: Tensor, weight: Tensor, covariance: Tensor, labels: Tensor, clock: Clock) -> Tensor:
        """Weighted cross entropy of augmented logits with margins."""
        ratio = self.settings.strength * clock.epoch / clock.epochs
        shown = naively_augmented(logits, weight, covariance, labels, ratio)
        at_label = F.one_hot(labels, logits.shape[1]).bool()
        return F.cross_entropy(torch.where(at_label, shown - self.margins, shown), labels, weight=self.class_weights)

    def meta_gradient(self, batch: Batch, clock: Clock) -> Tensor:
        """Of the meta batch's loss after a plain step, with respect to the covariance."""
        covariance = self.statistics.covariance.clone().requires_grad_()
        ahead = self.fresh(self.network.state_dict())
        _, logits = ahead(batch.images)
        training_loss = self.loss(logits, ahead.linear.weight, covariance, batch.labels, clock)
        places = weights_of(ahead)
        weights = [getattr(*each) for each in places]
        step = torch.autograd.grad(training_loss, weights, create_graph=True)
        rate = self.settings.rate * self.inner_rate(clock.epoch)
        for (layer, name), weight, gradient in zip(places, weights, step, strict=True):
            setattr(layer, name, weight - rate * gradient)
        _, meta_logits = ahead(batch.partner.images)
        return torch.autograd.grad(F.cross_entropy(meta_logits, batch.partner.labels), covariance)[0]

    def step(self, batch: Batch, clock: Clock) -> Tensor:
        """One iteration; returns its loss."""
        return self.learn(batch, clock, self.corrected(self.meta_gradient(batch, clock)))

    def corrected(self, gradient: Tensor) -> Tensor:
        """The covariance for one batch."""
        return self.statistics.covariance - self.settings.meta_rate * gradient

    def learn(self, batch: Batch, clock: Clock, covariance: Tensor) -> Tensor:
        """The main pass; returns its loss."""
        features, logits = self.network(batch.images)
        loss = self.loss(logits, self.network.linear.weight, covariance, batch.labels, clock)
        self.statistics.update(features.detach(), batch.labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()


def on(device: torch.device, values: np.ndarray) -> Tensor:
    """Constants, as exact as float32 has them."""
    return torch.from_numpy(values).float().to(device, torch.get_default_dtype())


# ours


class Observed:
    """A meta step that remembers what it found."""

    def __init__(self, meta_step: MetaStep, rate: float):
        self.meta_step, self.rate = meta_step, rate

    def __call__(self, ahead: LookAhead, logits: Tensor, covariance: Tensor) -> MetaGradient:
        found = self.meta_step(ahead, logits, covariance)
        self.gradient = found.gradient
        self.corrected = covariance - self.rate * found.gradient
        return found


class Case(ABC):
    """What is measured: the networks and the settings of a data set."""

    settings: Augmentation
    rate: float
    shape: tuple[int, ...]
    recipe: type[DPAEI] = DPAEI

    def __init__(self, classes: int):
        self.classes = classes
        self.counts = class_counts(classes, 500, 0.01, "exp")

    @abstractmethod
    def network(self) -> Backbone:
        """Ours."""

    @abstractmethod
    def replaceable(self) -> nn.Module:
        """The transcription's."""

    @staticmethod
    @abstractmethod
    def clock_at(step: int) -> Clock:
        """A place in an implicit epoch."""

    def batches(self, size: int, device: torch.device) -> list[Batch]:
        """Three, each with another one as meta batch."""
        alone = noise(3, size, self.shape, self.classes, device)
        return [each._replace(partner=alone[index - 1]) for index, each in enumerate(alone)]

    def transcription(self, network: Backbone, device: torch.device) -> Transcription:
        """The paper's code, from the weights of one of ours."""
        state = {name: each for name, each in network.state_dict().items() if not name.endswith("num_batches_tracked")}
        return Transcription(self.replaceable, state, self.counts, self.settings, self.rate, device)

    def ours(self, options: RuntimeOptions, device: torch.device, meta_step: MetaStep = by_forward_mode) -> Trained:
        """The recipe."""
        recipe = self.recipe(self.network(), self.counts, self.settings, meta_step=meta_step)
        recipe.train()
        place(recipe, device, options)
        sgd = create_sgd(recipe, lr=self.rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
        return Trained(recipe, sgd, options)


class OnCifar(Case):
    """The second stage on CIFAR."""

    settings = CIFAR
    rate = CIFAR.rate * CIFAR.timing.learning_rate()(IMPLICIT_EPOCH)

    def __init__(self, backbone: str, classes: int, side: int):
        super().__init__(classes)
        self.backbone = backbone
        self.shape = (3, side, side)

    def network(self) -> Backbone:
        return create_backbone(self.backbone, num_classes=self.classes, seed=0)

    def replaceable(self) -> nn.Module:
        return ReplaceableResNet(BACKBONES[self.backbone], self.classes)

    @staticmethod
    def clock_at(step: int) -> Clock:
        return clock_at(step, epoch=IMPLICIT_EPOCH, epochs=CIFAR_EPOCHS)


class OnFixedFeatures(Case):
    """The classifier on features, as on the large data sets."""

    settings = ON_FEATURES
    rate = ON_FEATURES.rate
    recipe = FrozenDPAEI

    def __init__(self, width: int, classes: int):
        super().__init__(classes)
        self.shape = (width,)

    def network(self) -> Backbone:
        classifier = nn.utils.skip_init(nn.Linear, *self.shape, self.classes)
        generator = torch.Generator().manual_seed(0)
        for each in classifier.parameters():
            nn.init.normal_(each, std=self.shape[0] ** -0.5, generator=generator)
        return OnFeatures(classifier)

    def replaceable(self) -> nn.Module:
        return ReplaceableClassifier(*self.shape, self.classes)

    @staticmethod
    def clock_at(step: int) -> Clock:
        return clock_at(step, epoch=FEATURE_EPOCH, epochs=FEATURE_EPOCHS)


# the comparison


@contextmanager
def doubles() -> Iterator[None]:
    """Make what is made in here in float64."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def steps_apart(theirs: Transcription, ours: Trained, batch: Batch, clock: Clock) -> dict[str, float]:
    """Take a step with both; how far ours is from the transcription, as shares of the transcription's norms."""
    before = {name: each.detach().clone() for name, each in theirs.network.state_dict().items()}
    gradient = theirs.meta_gradient(batch, clock)
    corrected = theirs.corrected(gradient)
    losses = theirs.learn(batch, clock, corrected), ours.step(batch, clock)
    observed, statistics, state = ours.recipe.meta_step, ours.recipe.statistics, ours.network.state_dict()
    assert isinstance(observed, Observed)
    pairs = {
        "loss": [losses],
        "meta gradient": [(gradient, observed.gradient)],
        "corrected covariance": [(corrected, observed.corrected)],
        "estimator": [
            (getattr(theirs.statistics, each), getattr(statistics, each)) for each in ("covariance", "mean", "count")
        ],
        # what a step adds, for it is small against what is there
        "step": [(each - before[name], state[name] - before[name]) for name, each in theirs.network.state_dict().items()],
    }
    return {name: max(apart(*each) for each in of_name) for name, of_name in pairs.items()}


def apart(expected: Tensor, found: Tensor) -> float:
    """Norm of the difference as a share of the norm of what is expected; infinite where either is not finite."""
    expected = expected.detach()
    share = float((found.detach() - expected).norm() / expected.norm().clamp_min(torch.finfo(expected.dtype).tiny))
    return share if math.isfinite(share) else math.inf


def compare(case: Case, size: int, device: torch.device) -> str:
    """Take the same steps with the transcription and with both forms of ours; say how far they are apart.

    Raises:
        SystemExit: further than by rounding.
    """
    worst: dict[str, float] = {}
    for meta_step in (by_forward_mode, by_double_backward):
        ours = case.ours(DEFAULT, device, Observed(meta_step, case.settings.meta_rate))
        # only now, so that class weights and margins are as exact as in a run
        ours.recipe.double()
        with doubles():
            theirs = case.transcription(ours.network, device)
            batches = [in_memory_format(each, DEFAULT) for each in case.batches(size, device)]
            for step in range(CHECKED_STEPS):
                found = steps_apart(theirs, ours, batches[step % len(batches)], case.clock_at(step))
                worst = {name: max(each, worst.get(name, 0.0)) for name, each in found.items()}
                wrong = [f"{name} by {each:.1e}" for name, each in found.items() if each > ROUNDING]
                if wrong:
                    sys.exit(f"{meta_step.__name__} differs from the transcription after {step + 1} steps: {', '.join(wrong)}")
    apart_by = ", ".join(f"{name} {each:.0e}" for name, each in worst.items())
    return f"{CHECKED_STEPS} steps in float64, batch {size}, largest relative differences: {apart_by}"


def entry(case: Case, contestant: Contestant, batches: Sequence[Batch], options: RuntimeOptions) -> Entry:
    """In implicit epochs."""
    return Entry(contestant, [in_memory_format(each, options) for each in batches], case.clock_at)


def measure_cifar(args: argparse.Namespace, device: torch.device) -> None:
    """Compare, measure, and print the tables."""
    classes, size = args.classes or 100, args.batch or 100
    case = OnCifar(args.backbone, classes, args.side)
    print(compare(case, min(size, CHECKED_BATCH), device), flush=True)

    batches = case.batches(size, device)
    entries = {"transcription": entry(case, case.transcription(case.network(), device), batches, DEFAULT)}
    by_definition = case.ours(DEFAULT, device, by_double_backward)
    entries["by double backward"] = entry(case, by_definition, batches, DEFAULT)
    explicit = {}
    for name, options in VARIANTS.items():
        entries[name] = entry(case, case.ours(options, device), batches, options)
        explicit[f"{name}, explicit"] = entry(case, case.ours(options, device), batches, options)._replace(
            clock_at=lambda step: clock_at(step, epoch=EXPLICIT_EPOCH, epochs=CIFAR_EPOCHS)
        )
    costs = measured(entries | explicit, args.rounds, args.steps)

    title = f"{args.backbone}, {classes} classes, batch {size}, {args.side} px, {in_words(device)}"
    title += f", best of {args.rounds} rounds of {args.steps} steps"
    print_costs(title, {name: costs[name] for name in entries}, ["transcription"])
    print("the explicit stage's step, and its share of the implicit one:")
    for name in VARIANTS:
        print_share(name, costs[f"{name}, explicit"], costs[name])


def print_share(name: str, part: Cost, whole: Cost) -> None:
    """Print a row."""
    share = f"{part.seconds / whole.seconds:8.0%}{part.bytes / 2**20:10.1f}{part.bytes / whole.bytes:8.0%}"
    print(f"{name:<32}{1000 * part.seconds:10.1f}{share}")


def measure_diagonal(args: argparse.Namespace, device: torch.device) -> None:
    """Compare small ones, measure, and print the table.

    Raises:
        SystemExit: a step takes as much memory as a row of features for each image and class.
    """
    classes, size, width = args.classes or 8142, args.batch or 64, args.width
    print(compare(OnFixedFeatures(min(width, 32), min(classes, 24)), min(size, CHECKED_BATCH), device), flush=True)

    case = OnFixedFeatures(width, classes)
    batches = case.batches(size, device)
    entries = (
        {"transcription": entry(case, case.transcription(case.network(), device), batches, DEFAULT)}
        if args.transcription
        else {}
    )
    entries |= {name: entry(case, case.ours(VARIANTS[name], device), batches, VARIANTS[name]) for name in VARIANTS}
    del entries["float32, channels_last"]  # features have no memory format
    costs = measured(entries, args.rounds, args.steps)

    title = f"classifier, {classes} classes, {width} features, batch {size}, {in_words(device)}"
    print_costs(f"{title}, best of {args.rounds} rounds of {args.steps} steps", costs, [next(iter(costs))])
    row, array, full = (4 * classes * width * factor for factor in (1, size, width))
    print(f"C x A floats: {row / 2**20:.1f} MiB; N x C x A: {array / 2**20:.1f} MiB; C x A x A: {full / 2**20:.1f} MiB")
    for name, cost in costs.items():
        print(f"{name:<32} peak = {cost.bytes / row:.1f} C x A = {cost.bytes / array:.3f} N x C x A")
        if name != "transcription" and cost.bytes >= min(array, full):
            sys.exit(f"{name}: a step takes as much memory as an array of N x C x A or C x A x A")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diagonal", action="store_true", help="the classifier on features, as on iNaturalist 2018")
    parser.add_argument("--transcription", action="store_true", help="with --diagonal: measure the transcription, too")
    parser.add_argument("--backbone", choices=BACKBONES, default="resnet32", help="network (default: %(default)s)")
    parser.add_argument("--classes", type=at_least(2), help="classes (default: 100; with --diagonal 8142)")
    parser.add_argument("--batch", type=at_least(2), help="images of a batch (default: 100; with --diagonal 64)")
    parser.add_argument("--side", type=at_least(8), default=32, help="side of an image in px (default: %(default)s)")
    parser.add_argument("--width", type=at_least(1), default=2048, help="features with --diagonal (default: %(default)s)")
    add_options(parser)
    args = parser.parse_args()
    device = prepared(args)
    (measure_diagonal if args.diagonal else measure_cifar)(args, device)


if __name__ == "__main__":
    main()
