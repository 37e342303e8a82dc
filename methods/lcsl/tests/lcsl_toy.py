"""The toy runs of the specification: a network of five layers, fixed batches, and one stream of draws for the whole run."""

import numpy as np
import torch
from torch import nn

from longtail.backbones import Backbone
from longtail.datasets.base import ArrayImages, ImageData
from longtail.distributed import Ranks, slice_of
from longtail.loading.base import Batch
from longtail.randomness import Randomness
from longtail.training.judging import Judges
from longtail.training.loop import fit
from longtail.training.mixup import draw_mix
from longtail.training.recipe import Clock
from longtail.training.run_folder import CheckpointNames, Run
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import Stage, create_sgd
from longtail_lcsl.mixing import BETA
from longtail_lcsl.recipe import LCSL
from longtail_lcsl.schedules import warmup_late_cosine

ALONE = Ranks()
COUNTS = np.array([7, 3, 2])
BATCHES = ([3, 7, 10, 0], [11, 8, 1, 4], [9, 2, 5, 6])
TEST_BATCHES = ([0, 1, 2, 3], [4, 5])
BEST = "best.pth"
STATE = "checkpoints/state.pth"


class ToyNet(Backbone):
    """One channel in, four features, three classes."""

    num_features = 4

    def __init__(self, seed, *, dtype=torch.float64, normalised=True):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False, dtype=dtype)
        self.bn = nn.BatchNorm2d(4, dtype=dtype) if normalised else nn.Identity()
        self.fc = nn.Linear(4, 3, dtype=dtype)
        state = np.random.RandomState(seed)
        with torch.no_grad():
            self.conv.weight.copy_(torch.from_numpy(state.standard_normal((4, 1, 3, 3))))
            self.fc.weight.copy_(torch.from_numpy(state.standard_normal((3, 4))))
            self.fc.bias.zero_()

    @property
    def classifier(self):
        return self.fc

    def features(self, images):
        return torch.relu(self.bn(self.conv(images))).mean(dim=(2, 3))

    def forward(self, images):
        return self.fc(self.features(images))


class FixedBatches:
    """The same batches in every epoch; a rank takes its slice of each."""

    def __init__(self, images, labels, rows, place=ALONE):
        self.images, self.labels, self.rows, self.place = images, labels, rows, place

    @property
    def steps(self):
        return len(self.rows)

    def epoch(self, epoch, first_step=0):
        for rows in self.rows[first_step:]:
            mine = torch.tensor(rows)[slice_of(len(rows), self.place)]
            yield Batch(self.images[mine], self.labels[mine], mine, len(rows))


def toy_images():
    """Patterns of the classes, training images with their labels, test images with theirs."""
    state = np.random.RandomState(333)
    patterns = 2 * state.standard_normal((3, 1, 4, 4))
    labels, test_labels = np.repeat([0, 1, 2], COUNTS), np.array([0, 0, 1, 1, 2, 2])
    images = patterns[labels] + 0.5 * state.standard_normal((12, 1, 4, 4))
    test_images = patterns[test_labels] + 0.5 * state.standard_normal((6, 1, 4, 4))
    return tuple(map(torch.from_numpy, (patterns, images, labels, test_images, test_labels)))


def toy_data(*, place=ALONE, batches=BATCHES, test_batches=TEST_BATCHES, val_labels=None):
    """Batches to train on and what a run is judged on; `val_labels` makes held-out images of those to test on."""
    _, images, labels, test_images, test_labels = toy_images()
    judged = ImageData(ArrayImages(np.zeros((12, 4, 4, 3), dtype=np.uint8)), labels.numpy(), ("a", "b", "c"))
    test = FixedBatches(test_images, test_labels, test_batches, place)
    val = None if val_labels is None else FixedBatches(test_images, torch.tensor(val_labels), test_batches, place)
    return FixedBatches(images, labels, batches, place), Judges(judged, test, val)


def one_stream():
    """Draws as the paper's code does: from generators that are seeded once, before the first batch."""
    rng, generator = np.random.RandomState(0), torch.Generator().manual_seed(0)
    drawn = []

    def mixing(_clock, size):
        drawn.append(draw_mix(rng, generator, size, BETA))
        return drawn[-1]

    mixing.drawn = drawn
    return mixing


def clock(epoch=0, step=0):
    """A point of a toy run."""
    return Clock(epoch, 5, step, 3, Randomness(0))


def toy_optimiser(recipe):
    return create_sgd(recipe, lr=0.1, momentum=0.9, weight_decay=5e-3)


def toy_open(folder):
    """The run in a folder."""
    names = CheckpointNames(
        STATE, BEST, "checkpoints/epoch_{epoch:03d}_model.pth", 1, True, content=lambda checkpoint: checkpoint["state_dict"]
    )
    return Run(folder, folder, identity={"toy": 1}, names=names)


def toy_run(
    folder, settings, *, listeners=(), mixing=None, runtime=None, recipe_class=LCSL, normalised=True, place=ALONE, **data
):
    """Train for five epochs; the recipe and the results."""
    train, judges = toy_data(place=place, **data)
    student, teacher = (ToyNet(seed, normalised=normalised) for seed in (331, 332))
    recipe = recipe_class(student, teacher, COUNTS, settings, mixing or one_stream())
    stage = Stage("toy", recipe, train, toy_optimiser(recipe), warmup_late_cosine(2, 5), 5, metric="balanced_accuracy")
    results = fit(
        stage,
        judges,
        toy_open(folder),
        runtime or RuntimeOptions(channels_last=False),
        device=torch.device("cpu"),
        ranks=place,
        randomness=Randomness(0),
        listeners=listeners,
        log_interval=1,
    )
    return recipe, results
