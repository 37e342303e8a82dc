"""A run of DPA-EI that trains in milliseconds."""

import os

import numpy as np
import torch
from torch import nn

from longtail import distributed
from longtail.backbones import Backbone
from longtail.datasets.base import ArrayImages, ImageData, LongTailData
from longtail.distributed import Ranks, mean_over_ranks
from longtail.loading.base import Batch
from longtail.randomness import Randomness
from longtail.training.judging import Judges
from longtail.training.loop import fit
from longtail.training.method import Setting
from longtail.training.recipe import Clock
from longtail.training.run_folder import Run
from longtail.training.runtime import RuntimeOptions
from longtail_dpa_ei.method import METHOD, DPAEIOptions

ALONE = Ranks()
NAMES = ("cat", "dog", "owl")
COUNTS = (14, 8, 5)
CPU = torch.device("cpu")


class ToyNet(Backbone):
    """A convolution, six features, three classes; smooth, so that finite differences can follow it."""

    num_features = 6

    def __init__(self, seed=0, *, normalised=True, num_classes=3):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.conv = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(6) if normalised else nn.Identity()
        self.fc = nn.Linear(6, num_classes)
        with torch.no_grad():
            for parameter in (self.conv.weight, self.fc.weight, self.fc.bias):
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        self.passes = 0

    @property
    def classifier(self):
        return self.fc

    def features(self, images):
        self.passes += 1
        return torch.tanh(self.bn(self.conv(images.to(self.fc.weight.dtype)))).mean(dim=(2, 3))


def batch(seed, labels, *, dtype=torch.float64, partner=None):
    """Noise with these labels."""
    images = torch.randn(len(labels), 3, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Batch(images.to(dtype), torch.tensor(labels), torch.arange(len(labels)), len(labels), partner)


def clock(epoch=3, step=0, seed=0):
    return Clock(epoch, 4, step, 5, Randomness(seed))


def toy_data(*, meta=False, counts=COUNTS):
    """Images whose brightness tells their class; with a meta set of their own or without."""
    rng = np.random.RandomState(0)

    def part(of_classes):
        labels = np.repeat(np.arange(3), of_classes)
        pixels = np.clip(60 * labels[:, None, None, None] + rng.randint(0, 100, (len(labels), 8, 8, 3)), 0, 255)
        return ImageData(ArrayImages(pixels.astype(np.uint8)), labels, NAMES)

    own = part((2, 2, 2)) if meta else None
    return LongTailData("toy", part(counts), None, part((4, 4, 4)), 8, (0.5,) * 3, (0.25,) * 3, meta=own)


def options(**changes):
    chosen = {"epochs": 4, "switch_epoch": 2, "decay_epoch": 3, "fit_schedule": False, "batch_size": 5, "num_meta": 2}
    return DPAEIOptions(**{**chosen, **changes})


def toy_stage(place=ALONE, *, runtime=None, normalised=True, data=None, **changes):
    setting = Setting(CPU, place, Randomness(0), runtime or RuntimeOptions())
    data = data or toy_data()
    stage = METHOD.build(data, lambda _head: ToyNet(normalised=normalised), options(**changes), setting)
    return stage, data, setting


def toy_run(folder, place=ALONE, *, runtime=None, listeners=(), dtype=torch.float32, **changes):
    """Train for two epochs of either stage; the recipe and the results."""
    stage, data, setting = toy_stage(place, runtime=runtime, **changes)
    stage.recipe.to(dtype)
    results = fit(
        stage,
        Judges(data.train, setting.in_order(data, data.test, batch_size=5)),
        Run(folder / "log", folder / "checkpoint", identity={"toy": 1}),
        setting.runtime,
        device=CPU,
        ranks=place,
        randomness=setting.randomness,
        listeners=listeners,
        log_interval=1,
    )
    return stage.recipe, results


# 21 images in batches of 5: the last batch leaves the second of two ranks none
UNNORMALISED = {"normalised": False, "dtype": torch.float64, "lr": 2.0, "meta_lr": 5.0}


def process(rank, folder):
    """One of two ranks; it leaves its state in the folder."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    place = distributed.start(CPU)
    first, second = mean_over_ranks([torch.full((2, 3), float(rank)), torch.tensor(4.0 * rank)])
    assert torch.equal(first, torch.full((2, 3), 0.5))
    assert float(second) == 2
    recipe, results = toy_run(folder, place, **UNNORMALISED)
    torch.save({"results": results, "state": recipe.state_dict()}, folder / f"rank{rank}.pt")
    distributed.stop()
