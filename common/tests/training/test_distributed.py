"""Two processes on one machine (gloo) against one: the same global batches, the same weights, no sample evaluated twice."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import nn
from toys import ToyLoader, ToyRun

from longtail import distributed
from longtail.distributed import accept_empty_slices, gather_rows, ranks
from longtail.errors import UserError
from longtail.losses import create_loss
from longtail.randomness import Randomness
from longtail.training import interruption
from longtail.training.loop import fit
from longtail.training.recipe import Recipe, StepOutput
from longtail.training.stage import Stage, create_sgd


class WeightedRecipe(Recipe):
    """A weighted mean, whose normalisation depends on all labels of the global batch."""

    def __init__(self):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 3))
        super().__init__(network, create_loss("ce", class_counts=(24, 12, 6), weight=np.array([0.2, 1.0, 3.0])))

    def forward(self, batch, clock):
        logits = self.backbone(batch.images)
        return StepOutput(self.loss(gather_rows(logits), gather_rows(batch.labels)), logits, batch.labels, {})


class InterruptedRecipe(WeightedRecipe):
    """A scheduler tells the second rank alone to stop, in the midst of an epoch."""

    def forward(self, batch, clock):
        if (ranks().rank, clock.epoch, clock.step) == (1, 1, 2):
            os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(batch, clock)


def train(folder, place, recipe=None, **options):
    run = ToyRun(folder, epochs=3, **options)
    recipe = recipe or WeightedRecipe()
    # 37 samples in batches of 9: the last batch leaves the second rank none, and no batch of 9 splits evenly
    loader = ToyLoader(37, 9, ranks=place)
    stage = Stage("toy", recipe, loader, create_sgd(recipe, lr=0.05, momentum=0.9, weight_decay=1e-4), run.schedule, 3)
    judges = run.judges()
    judges.test.ranks = place
    device = torch.device("cpu")
    return fit(stage, judges, run.run(), run.options, device=device, ranks=place, randomness=Randomness(0)), recipe


def process(rank, folder, sources):
    sys.path[:0] = sources
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    # through a file: a port that is free when it is asked for may be taken when it is used
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    place = distributed.start(torch.device("cpu"))
    results, recipe = train(folder, place)
    torch.save({"results": results, "weights": recipe.backbone.state_dict()}, folder / f"rank{rank}.pt")

    interruption.AGREE_EVERY = 2
    with pytest.raises(KeyboardInterrupt):
        train(folder / "stopped", place, InterruptedRecipe())
    left = (folder / "stopped" / "checkpoint" / "ckpt.pth.tar").read_bytes()
    (folder / f"left{rank}.pt").write_bytes(left)
    distributed.on_first(lambda: None)  # the second rank reads before the first goes on
    results, recipe = train(folder / "stopped", place, resume_auto=True)
    torch.save({"results": results, "weights": recipe.backbone.state_dict()}, folder / f"continued{rank}.pt")
    distributed.stop()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The folder in which two ranks have trained, and trained again with an interruption."""
    folder = tmp_path_factory.mktemp("pair")
    mp.spawn(process, args=(folder, [str(Path(__file__).parent)]), nprocs=2)
    return folder


def test_ranks_stop_at_the_same_batch_and_go_on_to_the_same_bits(pair):
    progress = torch.load(pair / "left0.pt", weights_only=True)["longtail"]["progress"]
    # asked in the third batch, agreed after the fourth
    assert (progress["epoch"], progress["step"]) == (1, 4)
    for rank in (0, 1):
        whole, continued = (torch.load(pair / f"{name}{rank}.pt", weights_only=True) for name in ("rank", "continued"))
        assert all(torch.equal(continued["weights"][name], weight) for name, weight in whole["weights"].items())
        assert continued["results"]["last"] == whole["results"]["last"]


def test_two_ranks_equal_one(pair, tmp_path):
    alone, recipe = train(tmp_path, ranks())
    first, second = (torch.load(pair / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, weight in recipe.backbone.state_dict().items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        torch.testing.assert_close(first["weights"][name], weight, rtol=1e-5, atol=1e-6)
    logs = [(folder / "log" / "metrics.jsonl").read_text().splitlines() for folder in (tmp_path, pair)]
    for one, both in zip(*([json.loads(line) for line in lines] for lines in logs), strict=True):
        assert both["train_loss"] == pytest.approx(one["train_loss"], rel=1e-5)
        assert both["train_top1"] == one["train_top1"]
    for results in (first["results"], second["results"]):
        assert results["last"]["samples"] == 21
        assert results["last"]["per_class_accuracy"] == alone["last"]["per_class_accuracy"]


def test_a_lone_process_is_left_alone():
    rows = torch.arange(6.0).view(3, 2)
    assert gather_rows(rows) is rows
    assert ranks() == (0, 0, 1)
    assert distributed.on_first(lambda: 5) == 5


def test_a_rank_may_get_no_images():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))
    images = torch.randn(3, 3, 8, 8)
    expected = network(images)
    accept_empty_slices(network)
    torch.testing.assert_close(network(images), expected)
    logits = network(images[:0])
    assert logits.shape == (0, 2)
    logits.sum().backward()
    assert all(each.grad is not None and not each.grad.any() for each in network.parameters())
    assert network(images).shape == (3, 2)


def test_ranks_must_be_numbers(monkeypatch):
    monkeypatch.setenv("RANK", "one")
    with pytest.raises(UserError, match="must be integers"):
        ranks()
