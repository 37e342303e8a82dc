"""The toy runs of the specification: a network of five layers, fixed batches, and one stream of draws for the whole run."""

import numpy as np
import torch
from torch import nn

from longtail.backbones import Backbone
from longtail.datasets.base import ArrayImages, ImageData
from longtail.distributed import Ranks
from longtail.loading.base import Batch
from longtail.randomness import Randomness
from longtail.training.loop import Judges, fit
from longtail.training.run_folder import CheckpointNames, Run
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import Stage, create_sgd
from longtail_lcsl.mixing import draw_mix
from longtail_lcsl.recipe import LCSL
from longtail_lcsl.schedules import warmup_late_cosine

COUNTS = np.array([7, 3, 2])
BATCHES = ([3, 7, 10, 0], [11, 8, 1, 4], [9, 2, 5, 6])
TEST_BATCHES = ([0, 1, 2, 3], [4, 5])


class ToyNet(Backbone):
    """One channel in, four features, three classes, all float64."""

    num_features = 4

    def __init__(self, seed):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False, dtype=torch.float64)
        self.bn = nn.BatchNorm2d(4, dtype=torch.float64)
        self.fc = nn.Linear(4, 3, dtype=torch.float64)
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
    """The same batches in every epoch."""

    def __init__(self, images, labels, rows):
        self.images, self.labels, self.rows = images, labels, rows

    @property
    def steps(self):
        return len(self.rows)

    def epoch(self, epoch, first_step=0):
        for rows in map(torch.tensor, self.rows[first_step:]):
            yield Batch(self.images[rows], self.labels[rows], rows, len(rows))


def toy_data():
    """Training and test images with their labels."""
    state = np.random.RandomState(333)
    patterns = 2 * state.standard_normal((3, 1, 4, 4))
    labels, test_labels = np.repeat([0, 1, 2], COUNTS), np.array([0, 0, 1, 1, 2, 2])
    images = patterns[labels] + 0.5 * state.standard_normal((12, 1, 4, 4))
    test_images = patterns[test_labels] + 0.5 * state.standard_normal((6, 1, 4, 4))
    train, test = (
        FixedBatches(torch.from_numpy(x), torch.from_numpy(y), rows)
        for x, y, rows in ((images, labels, BATCHES), (test_images, test_labels, TEST_BATCHES))
    )
    judged = ImageData(ArrayImages(np.zeros((12, 4, 4, 3), dtype=np.uint8)), labels, ("a", "b", "c"))
    return train, Judges(judged, test)


def one_stream():
    """Draws as the paper's code does: from generators that are seeded once, before the first batch."""
    rng, generator = np.random.RandomState(0), torch.Generator().manual_seed(0)
    drawn = []

    def mixing(_clock, size):
        drawn.append(draw_mix(rng, generator, size))
        return drawn[-1]

    mixing.drawn = drawn
    return mixing


def toy_run(folder, settings, *, listeners=(), mixing=None, runtime=None, recipe_class=LCSL, **arguments):
    """Train for five epochs; the recipe and the results."""
    train, judges = toy_data()
    recipe = recipe_class(ToyNet(331), ToyNet(332), COUNTS, settings, mixing or one_stream())
    optimiser = create_sgd(recipe, lr=0.1, momentum=0.9, weight_decay=5e-3)
    stage = Stage("toy", recipe, train, optimiser, warmup_late_cosine(2, 5), 5, metric="balanced_accuracy")
    names = CheckpointNames("checkpoints/state.pth", "best.pth", "checkpoints/epoch_{epoch:03d}_model.pth", 1, True, True)
    results = fit(
        stage,
        judges,
        Run(folder, folder, identity={"toy": 1}, names=names),
        runtime or RuntimeOptions(channels_last=False),
        device=torch.device("cpu"),
        ranks=Ranks(),
        randomness=Randomness(0),
        listeners=listeners,
        log_interval=1,
        **arguments,
    )
    return recipe, results
