"""A training epoch of CMO on CIFAR-100-LT against the conventional pipeline, in one process, as a ratio.

    python benchmarks/cmo_epoch.py [--root DIR] [--steps 85] [--rounds 3]

Conventional means what the paper's script does: PIL transforms for each sample in a DataLoader with 4 workers, a second such
loader that is drawn from in every iteration, float32, default memory format, and the loss read back after each batch. The
network, the batch size, the optimiser and the share of mixed batches are the same. Variants take turns, so that a change of the
machine's speed meets all of them; the ratio is of the rounds' minima. Without --root the images are noise: their content costs
nothing.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from torchvision import transforms

from longtail.backbones import Backbone, create_backbone
from longtail.datasets.base import ArrayImages, ImageData, LongTailData
from longtail.datasets.factory import create_data
from longtail.datasets.splits import class_counts
from longtail.distributed import Ranks
from longtail.loading.orders import Sequential
from longtail.losses import create_loss
from longtail.randomness import Randomness
from longtail.training.judging import Judges
from longtail.training.loop import fit
from longtail.training.method import Setting
from longtail.training.reports import EpochReport, Listener
from longtail.training.run_folder import Run
from longtail.training.runtime import RuntimeOptions
from longtail_cmo.method import METHOD, CMOOptions
from longtail_cmo.mixing import draw_box

BATCH = 128
CPU = torch.device("cpu")


def noise() -> LongTailData:
    """Images of noise with the class counts of CIFAR-100-LT at imbalance factor 0.01."""
    counts = class_counts(100, 500, 0.01, "exp")
    labels = np.repeat(np.arange(100), counts)
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    train = ImageData(ArrayImages(pixels), labels, tuple(map(str, range(100))))
    return LongTailData(
        "noise", train, None, train.subset(range(BATCH)), 32, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    )


class PerSample(Dataset):
    """One PIL transform a sample."""

    def __init__(self, data: LongTailData) -> None:
        self.images, self.labels = data.train.images.array, data.train.labels
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(data.mean, data.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def conventional(data: LongTailData, steps: int) -> Callable[[], float]:
    """The conventional epoch; returns a function that runs `steps` batches and gives their seconds."""
    samples = PerSample(data)
    weights = torch.as_tensor((1.0 / data.class_counts)[data.train.labels])
    options = {"batch_size": BATCH, "num_workers": 4, "persistent_workers": True}
    background = DataLoader(samples, shuffle=True, **options)
    foreground = DataLoader(samples, sampler=WeightedRandomSampler(weights, len(samples)), **options)
    network = create_backbone("resnet32", num_classes=100, seed=0)
    loss_function = create_loss("balanced_softmax", class_counts=data.class_counts)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-4)
    rng = np.random.RandomState(0)

    def epoch() -> float:
        network.train()
        started = time.perf_counter()
        total = 0.0
        for step, ((images, labels), (others, other_labels)) in enumerate(zip(background, foreground, strict=True)):
            if step == steps:
                break
            box = draw_box(rng, 32, 32, probability=0.5, beta=1.0)
            if box is None:
                logits = network(images)
                loss = loss_function(logits, labels)
            else:
                area = (slice(None), slice(None), slice(box.top, box.bottom), slice(box.left, box.right))
                images[area] = others[area]
                logits = network(images)
                loss = box.kept * loss_function(logits, labels) + (1 - box.kept) * loss_function(logits, other_labels)
            total += loss.item()
            logits.topk(5)[1].eq(labels[:, None]).float().sum().item()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return time.perf_counter() - started

    return epoch


class Watch(Listener):
    """Keeps the epoch's times."""

    seconds = data_share = 0.0

    def evaluated(self, report: EpochReport) -> None:
        """Take the epoch's times."""
        self.seconds = report.seconds
        self.data_share = report.train.data_seconds.mean / report.train.seconds.mean


class Stopwatch:
    """Adds up the wall time of whatever it wraps."""

    total = 0.0

    def around(self, function: Callable) -> Callable:
        """The same function, timed."""

        def timed(*args: object, **kwargs: object) -> object:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.total += time.perf_counter() - started

        return timed


def ours(data: LongTailData, steps: int, **runtime: object) -> Callable[[], tuple[float, float, float]]:
    """Our epoch; gives its seconds, the share spent waiting for data, and the share outside forward, backward and optimiser."""
    options = CMOOptions(start_data_aug=-1)
    setting = Setting(CPU, Ranks(), Randomness(0), RuntimeOptions(max_epochs=1, max_steps=steps, **runtime))
    judge = setting.loader(data, data.test, Sequential(len(data.test)), batch_size=BATCH)

    def network(head: str) -> Backbone:
        return create_backbone("resnet32", num_classes=100, head=head, seed=0)

    def epoch() -> tuple[float, float, float]:
        stage = METHOD.build(
            data, lambda head: create_backbone("resnet32", num_classes=100, head=head, seed=0), options, setting
        )
        watch, inside = Watch(), Stopwatch()
        stage.recipe.forward = inside.around(stage.recipe.forward)
        stage.optimiser.step = inside.around(stage.optimiser.step)
        backward, torch.Tensor.backward = torch.Tensor.backward, inside.around(torch.Tensor.backward)
        try:
            with tempfile.TemporaryDirectory() as folder:
                run = Run(Path(folder) / "log", Path(folder) / "checkpoint", identity={})
                fit(
                    stage,
                    Judges(data.train, judge),
                    run,
                    setting.runtime,
                    device=CPU,
                    ranks=setting.ranks,
                    randomness=setting.randomness,
                    listeners=[watch],
                )
        finally:
            torch.Tensor.backward = backward
        return watch.seconds, watch.data_share, 1 - inside.total / watch.seconds

    return epoch


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="folder of the CIFAR-100 pickles")
    parser.add_argument("--steps", type=int, default=85, help="batches of an epoch that are run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="add a variant with torch.compile")
    args = parser.parse_args()
    data = create_data("cifar100", root=args.root, imbalance_factor=0.01, download=False) if args.root else noise()
    variants = {"float32": {}, "bf16": {"precision": "bf16"}}
    if args.compile:
        variants["bf16, compile"] = {"precision": "bf16", "compile": True}
    baseline = conventional(data, args.steps)
    runs = {name: ours(data, args.steps, **runtime) for name, runtime in variants.items()}

    seconds: dict[str, list[float]] = {name: [] for name in ("conventional", *runs)}
    shares: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        seconds["conventional"].append(baseline())
        for name, epoch in runs.items():
            taken, data_share, outside = epoch()
            seconds[name].append(taken)
            shares[name].append((data_share, outside))

    print(f"{args.steps} batches of {BATCH}, ResNet-32, {torch.get_num_threads()} threads, best of {args.rounds} rounds")
    print(f"{'variant':<16}{'s':>8}{'ratio':>8}{'data':>9}{'outside forward/backward/step':>32}")
    best = min(seconds["conventional"])
    print(f"{'conventional':<16}{best:8.2f}{1:8.2f}")
    for name, taken in seconds.items():
        if name != "conventional":
            data_share, outside = (min(values) for values in zip(*shares[name], strict=True))
            print(f"{name:<16}{min(taken):8.2f}{best / min(taken):8.2f}{data_share:9.2%}{outside:32.2%}")
    print(f"peak resident memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
