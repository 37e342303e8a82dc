"""A run small enough to train in milliseconds, whose batches are a pure function of (epoch, step) as the seam demands."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from longtail.datasets.base import ArrayImages, ImageData
from longtail.distributed import Ranks, gather_rows
from longtail.loading.base import Batch
from longtail.losses import create_loss
from longtail.randomness import Randomness
from longtail.training.judging import Judges
from longtail.training.loop import fit
from longtail.training.recipe import Recipe, StepOutput
from longtail.training.run_folder import CheckpointNames, Run
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import Stage, create_sgd

ALONE = Ranks()
CLASSES = 3
COUNTS = (24, 12, 6)


class ToyLoader:
    """Images whose mean tells their class, shuffled anew in every epoch; a rank takes its slice of each batch."""

    def __init__(self, samples, batch_size, *, ranks=ALONE, shuffle=True, spoil=None):
        self.labels = torch.arange(samples) % CLASSES
        noise = torch.from_numpy(Randomness(7).generator("toy").standard_normal((samples, 3, 4, 4))).float()
        self.images = noise + self.labels[:, None, None, None]
        self.batch_size, self.ranks, self.shuffle, self.spoil = batch_size, ranks, shuffle, spoil

    @property
    def steps(self):
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, epoch, first_step=0):
        order = (
            Randomness(3).generator("order", epoch).permutation(len(self.labels))
            if self.shuffle
            else np.arange(len(self.labels))
        )
        for step in range(first_step, self.steps):
            rows = torch.from_numpy(order[step * self.batch_size : (step + 1) * self.batch_size])
            mine = rows.tensor_split(self.ranks.world_size)[self.ranks.rank]
            images = self.images[mine].contiguous(memory_format=torch.channels_last)
            if self.spoil == (epoch, step):
                images = images * torch.nan
            yield Batch(images, self.labels[mine], mine, len(rows))


class ToyRecipe(Recipe):
    """Dropout draws from torch's global generator, and a buffer remembers the batches seen: both must survive a resume."""

    def __init__(self):
        network = nn.Sequential(
            nn.Flatten(), nn.Linear(48, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, CLASSES)
        )
        super().__init__(network, create_loss("ce", class_counts=COUNTS))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, batch, clock):
        self.seen += 1
        logits = self.backbone(batch.images)
        return StepOutput(self.loss(gather_rows(logits), gather_rows(batch.labels)), logits, batch.labels, {})


class ToyRun:
    """Everything that `fit` takes, made anew by each call of `train`, as a new process would."""

    def __init__(self, folder, *, epochs=4, lr=0.05, spoil=None, **options):
        self.folder, self.epochs, self.lr, self.spoil = folder, epochs, lr, spoil
        self.options = RuntimeOptions(**options)
        self.identity = {"lr": lr}

    def stage(self):
        torch.manual_seed(0)
        recipe = ToyRecipe()
        loader = ToyLoader(sum(COUNTS), 8, spoil=self.spoil)
        return Stage(
            "toy", recipe, loader, create_sgd(recipe, lr=self.lr, momentum=0.9, weight_decay=1e-4), self.schedule, self.epochs
        )

    @staticmethod
    def schedule(epoch):
        return 1.0 if epoch < 2 else 0.1

    def judges(self):
        labels = np.repeat(np.arange(CLASSES), COUNTS)
        train = ImageData(ArrayImages(np.zeros((len(labels), 4, 4, 3), np.uint8)), labels, ("a", "b", "c"))
        val = ToyLoader(10, 8, shuffle=False) if self.options.select == "val" else None
        return Judges(train, ToyLoader(21, 8, shuffle=False), val)

    def run(self):
        return Run(
            self.folder / "log",
            self.folder / "checkpoint",
            identity=self.identity,
            names=CheckpointNames(numbered="{epoch}_n.pth.tar", every=2),
        )

    def train(self, *, listeners=(), resume=None, stage=None, **changes):
        options = replace(self.options, **changes)
        stage = stage or self.stage()
        results = fit(
            stage,
            self.judges(),
            self.run(),
            options,
            device=torch.device("cpu"),
            ranks=Ranks(),
            randomness=Randomness(0),
            listeners=listeners,
            log_interval=2,
            resume=resume,
        )
        return results, stage

    def weights(self):
        return torch.load(self.folder / "checkpoint" / "ckpt.pth.tar", weights_only=True)
