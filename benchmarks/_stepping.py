"""What the benchmarks of training steps share: batches of noise, variants that take turns, peak memory, and the table.

Variants take turns, so that a change of the machine's speed meets all of them; the first round warms up and is not counted; the
time of a variant is the minimum of the others. Memory is the peak of what tensors take during two steps on top of what stays
between steps (weights, momentum, batches). The images are noise: their content costs nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from longtail.backbones import Backbone
from longtail.loading.base import Batch
from longtail.randomness import Randomness
from longtail.training.devices import autocast, choose_device, make_exact
from longtail.training.options import at_least
from longtail.training.recipe import Clock, Recipe
from longtail.training.runtime import RuntimeOptions

DEFAULT = RuntimeOptions(precision="float32", channels_last=False)
VARIANTS = {
    "float32, contiguous": DEFAULT,
    "float32, channels_last": RuntimeOptions(precision="float32", channels_last=True),
    "bf16, channels_last": RuntimeOptions(precision="bf16", channels_last=True),
}


class Contestant(Protocol):
    """What takes steps."""

    optimiser: torch.optim.Optimizer

    def step(self, batch: Batch, clock: Clock) -> Tensor:
        """One iteration; returns its loss."""
        ...


class Trained:
    """A recipe, as the training loop runs it."""

    def __init__(self, recipe: Recipe, optimiser: torch.optim.Optimizer, options: RuntimeOptions):
        self.recipe = recipe
        self.optimiser = optimiser
        self.options = options

    @property
    def network(self) -> Backbone:
        """What is trained."""
        return self.recipe.backbone

    def step(self, batch: Batch, clock: Clock) -> Tensor:
        """One iteration; returns its loss."""
        with autocast(batch.images.device, self.options.precision):
            output = self.recipe(batch, clock)
        output.loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return output.loss.detach()


class Entry(NamedTuple):
    """A contestant, the batches that it takes one after the other, and where in a run its n-th step is."""

    contestant: Contestant
    batches: Sequence[Batch]
    clock_at: Callable[[int], Clock]


class Cost(NamedTuple):
    """Of one step: seconds at best, and bytes at the peak."""

    seconds: float
    bytes: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every benchmark of steps."""
    parser.add_argument("--rounds", type=at_least(1), default=5, help="rounds that are timed (default: %(default)s)")
    parser.add_argument("--steps", type=at_least(1), default=3, help="steps of a variant in a round (default: %(default)s)")
    parser.add_argument("--threads", type=at_least(1), help="threads (default: as torch chooses)")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: %(default)s)")


def prepared(args: argparse.Namespace) -> torch.device:
    """The device that the options ask for, set up as for a run."""
    if args.threads:
        torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    make_exact(device)
    return device


def noise(count: int, size: int, shape: tuple[int, ...], classes: int, device: torch.device) -> list[Batch]:
    """Batches as a loader yields them, of images (or what else stands for them) of this shape."""
    randomness = torch.Generator().manual_seed(0)
    layout = torch.channels_last if len(shape) == 3 else torch.contiguous_format
    batches = []
    for _ in range(count):
        images = torch.randn(size, *shape, generator=randomness).to(device, memory_format=layout)
        labels = torch.randint(classes, (size,), generator=randomness).to(device)
        batches.append(Batch(images, labels, torch.arange(size, device=device), size))
    return batches


def clock_at(step: int, *, epoch: int = 0, epochs: int = 1) -> Clock:
    """A place in an epoch."""
    return Clock(epoch=epoch, epochs=epochs, step=step, steps=10**6, randomness=Randomness(0))


def measured(entries: Mapping[str, Entry], rounds: int, steps: int) -> dict[str, Cost]:
    """What a step of each contestant costs."""
    seconds: dict[str, list[float]] = {name: [] for name in entries}
    for done in range(rounds + 1):
        for name, entry in entries.items():
            seconds[name].append(_seconds(entry, range(done * steps, (done + 1) * steps)))
    return {name: Cost(min(seconds[name][1:]), _peak_bytes(entry)) for name, entry in entries.items()}


def print_costs(title: str, costs: Mapping[str, Cost], baselines: Collection[str]) -> None:
    """Print the table; each row's ratios are to the nearest baseline above it."""
    print(title)
    print(f"{'variant':<32}{'ms/step':>10}{'ratio':>8}{'MiB':>10}{'ratio':>8}")
    for name, cost in costs.items():
        if name in baselines:
            baseline = cost
        faster, smaller = baseline.seconds / cost.seconds, baseline.bytes / cost.bytes
        print(f"{name:<32}{1000 * cost.seconds:10.1f}{faster:8.2f}{cost.bytes / 2**20:10.1f}{smaller:8.2f}")


def in_words(device: torch.device) -> str:
    """Which machine it was."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def _finish(device: torch.device) -> None:
    """Wait for what a GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds(entry: Entry, steps: range) -> float:
    device = entry.batches[0].images.device
    clocks = [entry.clock_at(step) for step in steps]
    _finish(device)
    started = time.perf_counter()
    for index, clock in enumerate(clocks):
        entry.contestant.step(entry.batches[index % len(entry.batches)], clock)
    _finish(device)
    return (time.perf_counter() - started) / len(steps)


def _peak_bytes(entry: Entry) -> int:
    """The most that tensors take during two steps, on top of what is there before and after; the step must have run before."""
    contestant = entry.contestant

    def steps() -> None:
        for index in range(2):
            contestant.step(entry.batches[index], entry.clock_at(index))
        contestant.optimiser.zero_grad(set_to_none=True)

    device = entry.batches[0].images.device
    contestant.optimiser.zero_grad(set_to_none=True)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        steps()
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise it reports each start and end
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        steps()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        events = [each for each in json.loads(trace.read_text())["traceEvents"] if each["name"] == "[memory]"]
    events.sort(key=lambda event: event["ts"])
    return int(np.cumsum([event["args"]["Bytes"] for event in events]).max())
