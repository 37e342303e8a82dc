"""Runs of CADEL that train in milliseconds: a network of three small heads, on images whose brightness tells their class."""

import os

import numpy as np
import torch
from torch import nn

from longtail import distributed
from longtail.datasets.base import ArrayImages, ImageData, LongTailData
from longtail.distributed import Ranks
from longtail.loading.base import Batch
from longtail.loading.orders import Shuffled
from longtail.randomness import Randomness
from longtail.training.judging import Judges
from longtail.training.loop import fit
from longtail.training.method import Setting
from longtail.training.mixup import mixup
from longtail.training.recipe import Clock
from longtail.training.run_folder import Run
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import Stage, create_adamw, create_sgd
from longtail_cadel.losses import Weighting
from longtail_cadel.recipe import CADEL, Cascading
from longtail_cadel.schedules import cosine, warmup_cosine_by_batch

ALONE = Ranks()
NAMES = ("cat", "dog", "owl", "yak")
COUNTS = np.array([12, 6, 3, 2])
CPU = torch.device("cpu")
EPOCHS = 3
BATCH_SIZE = 5


class ToyCascade(nn.Module):
    """Two layers, with a head after either and one more on top."""

    def __init__(self, *, dropout=0.5, num_classes=4):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.trunk = nn.ModuleList([nn.Linear(3, 5), nn.Linear(5, 5)])
        self.aux = nn.ModuleList([nn.Linear(5, num_classes), nn.Linear(5, num_classes)])
        self.head = nn.Linear(5, num_classes)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, images, *, only_last=False):
        hidden = images.to(self.head.weight.dtype).mean(dim=(2, 3))
        logits = []
        for layer, head in zip(self.trunk, self.aux, strict=True):
            hidden = torch.tanh(layer(hidden))
            logits.append(head(self.dropout(hidden)))
        return torch.stack([*([] if only_last else logits), self.head(hidden)], dim=1)


class FixedOutputs(nn.Module):
    """A network that knows the logits of all samples; the value of an image's first pixel is the number of its sample."""

    def __init__(self, logits):
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, images, *, only_last=False):
        logits = self.logits[images[:, 0, 0, 0].round().long()]
        return logits[:, -1:] if only_last else logits


class FixedBatches:
    """The same batches in every epoch, the images being as `FixedOutputs` wants them."""

    def __init__(self, labels, rows):
        self.labels, self.rows = torch.tensor(labels), rows

    @property
    def steps(self):
        return len(self.rows)

    def epoch(self, epoch, first_step=0):
        for rows in self.rows[first_step:]:
            mine = torch.tensor(rows)
            yield Batch(mine.float()[:, None, None, None].expand(-1, 3, 1, 1), self.labels[mine], mine, len(rows))


def toy_data(*, val=False):
    """Images whose brightness tells their class."""
    rng = np.random.RandomState(0)

    def part(counts):
        labels = np.repeat(np.arange(len(NAMES)), counts)
        pixels = np.clip(50 * labels[:, None, None, None] + rng.randint(0, 100, (len(labels), 8, 8, 3)), 0, 255)
        return ImageData(ArrayImages(pixels.astype(np.uint8)), labels, NAMES)

    return LongTailData("toy", part(COUNTS), part((2, 2, 2, 2)) if val else None, part((3,) * 4), 8, (0.5,) * 3, (0.25,) * 3)


def batch(seed, labels, *, dtype=torch.float64):
    """Noise with these labels."""
    images = torch.randn(len(labels), 3, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Batch(images.to(dtype), torch.tensor(labels), torch.arange(len(labels)), len(labels))


def clock(epoch=1, step=0, epochs=4):
    return Clock(epoch, epochs, step, 5, Randomness(0))


def toy_recipe(*, binary=False, alpha=0.5, dropout=0.5, mixing=None, **settings):
    weighting = Weighting(bins=4, gamma=2.0, base=1.0, per_sample=settings.pop("per_sample", False))
    cascading = Cascading(binary, weighting, **settings)
    return CADEL(ToyCascade(dropout=dropout), COUNTS, cascading, mixing or (mixup(alpha) if alpha > 0 else None))


def toy_run(folder, place=ALONE, *, runtime=None, dtype=torch.float32, binary=False, dropout=0.5, val=False, drop_last=True):
    """Train as either family of networks is; the recipe and the results."""
    data, setting = toy_data(val=val), Setting(CPU, place, Randomness(0), runtime or RuntimeOptions())
    taus = (0.5, 1.0, 1.5)
    recipe = toy_recipe(binary=binary, dropout=dropout, tau=float(binary), taus=taus).to(dtype)
    train = setting.loader(
        data, data.train, Shuffled(len(data.train), setting.randomness), batch_size=BATCH_SIZE, drop_last=drop_last
    )
    optimiser, schedule = create_sgd(recipe, lr=0.1, momentum=0.9, weight_decay=5e-4), cosine(EPOCHS)
    if binary:
        groups = [{"params": recipe.backbone.trunk.parameters(), "lr": 0.01}, {"params": recipe.backbone.head.parameters()}]
        groups.append({"params": recipe.backbone.aux.parameters(), "weight_decay": 0.0})
        optimiser, schedule = create_adamw(groups, lr=0.02, weight_decay=0.05), warmup_cosine_by_batch(2, EPOCHS)
    steps = -(-len(data.train) // BATCH_SIZE) if binary else None
    results = fit(
        Stage("toy", recipe, train, optimiser, schedule, EPOCHS, rate_steps=steps),
        Judges(
            data.train,
            setting.in_order(data, data.test, batch_size=5),
            setting.in_order(data, data.val, batch_size=5) if val else None,
        ),
        Run(folder / "log", folder / "checkpoint", identity={"toy": 1}),
        setting.runtime,
        device=CPU,
        ranks=place,
        randomness=setting.randomness,
        log_interval=1,
    )
    return recipe, results


# 23 images in batches of 5, and a last one of 3
WHOLE = {"dtype": torch.float64, "dropout": 0.0, "drop_last": False}


def process(rank, folder):
    """One of two ranks; it leaves its state in the folder."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    place = distributed.start(CPU)
    for name, binary in (("cnn", False), ("vit", True)):
        recipe, results = toy_run(folder / name, place, binary=binary, **WHOLE)
        torch.save({"results": results, "state": recipe.state_dict()}, folder / f"{name}{rank}.pt")
    distributed.stop()
