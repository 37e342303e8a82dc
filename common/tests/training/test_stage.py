"""What a stage trains with: optimisers with groups of parameters, rates that change with every batch, idle parameters."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from toys import COUNTS, ToyLoader, ToyRecipe, ToyRun

from longtail.distributed import stop
from longtail.losses import create_loss
from longtail.training import loop
from longtail.training.recipe import Recipe, StepOutput
from longtail.training.reports import Listener
from longtail.training.stage import create_adamw, create_sgd


def network():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    made[0].bias.requires_grad_(False)
    return made


@pytest.mark.parametrize("create", [create_sgd, create_adamw])
def test_a_module_is_trained_where_it_wants_gradients(create):
    made, momentum = network(), {"momentum": 0.9} if create is create_sgd else {}
    (group,) = create(made, lr=0.1, weight_decay=0.01, **momentum).param_groups
    wanted = [each for each in made.parameters() if each.requires_grad]
    assert [id(each) for each in group["params"]] == [id(each) for each in wanted]
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.01)


@pytest.mark.parametrize("create", [create_sgd, create_adamw])
def test_groups_keep_what_they_say_themselves(create):
    made, momentum = network(), {"momentum": 0.9} if create is create_sgd else {}
    # parameters may come from a generator, and the caller's groups stay as they are
    groups = ({"params": made[0].parameters(), "lr": 0.5}, {"params": [made[1].weight], "weight_decay": 0.0})
    optimiser = create(groups, lr=0.1, weight_decay=0.01, **momentum)
    found = [(group["lr"], group["weight_decay"], len(group["params"])) for group in optimiser.param_groups]
    assert found == [(0.5, 0.01, 2), (0.1, 0.0, 1)]
    assert groups[0].keys() == {"params", "lr"}


def test_adamw_takes_its_step():
    (found, expected), rate = (network(), network()), {"lr": 0.1, "weight_decay": 0.05, "betas": (0.8, 0.95), "eps": 1e-6}
    wanted = [each for each in expected.parameters() if each.requires_grad]
    optimisers = create_adamw(found, **rate), torch.optim.AdamW(wanted, **rate)
    for made, optimiser in zip((found, expected), optimisers, strict=True):
        for _ in range(3):
            optimiser.zero_grad()
            made(torch.ones(1, 2)).sum().backward()
            optimiser.step()
    assert all(torch.equal(*pair) for pair in zip(found.parameters(), expected.parameters(), strict=True))
    assert not torch.equal(found[0].weight, network()[0].weight)


class Rates(Listener):
    """Remembers the rate of every batch that is reported, and of every epoch."""

    def __init__(self):
        self.batches, self.epochs = {}, []

    def train_batch(self, report, clock, learning_rate):
        self.batches[clock.epoch, clock.step] = learning_rate

    def evaluated(self, report):
        self.epochs.append(report.learning_rate)


class BatchRates(ToyRun):
    """Rates that fall with every batch, of which the schedule counts seven in an epoch; one group has twice the rate."""

    @staticmethod
    def schedule(epoch):
        return 1 / (1 + epoch)

    def stage(self):
        stage = super().stage()
        linear = [each for each in stage.recipe.backbone if isinstance(each, nn.Linear)]
        groups = [{"params": linear[0].parameters(), "lr": 0.1}, {"params": linear[1].parameters()}]
        return replace(stage, optimiser=create_sgd(groups, lr=0.05, momentum=0.9, weight_decay=0.0), rate_steps=7)


def test_rates_that_change_with_every_batch(tmp_path):
    rates = Rates()
    results, stage = BatchRates(tmp_path).train(listeners=[rates])
    # 42 images in batches of 8: six batches; the largest rate of all groups is told
    assert rates.batches == {
        (epoch, step): pytest.approx(0.1 / (1 + epoch + step / 7), rel=1e-12) for epoch in range(4) for step in (0, 2, 4)
    }
    assert rates.epochs == [pytest.approx(0.1 / (1 + epoch + 5 / 7), rel=1e-12) for epoch in range(4)]
    assert [group["initial_lr"] for group in stage.optimiser.param_groups] == [0.1, 0.05]
    assert stage.optimiser.param_groups[1]["lr"] == pytest.approx(0.05 / (4 + 5 / 7))
    assert results["last"]["epoch"] == 3


def test_rates_that_change_with_the_epoch(tmp_path):
    rates = Rates()
    ToyRun(tmp_path).train(listeners=[rates])
    assert [rates.batches[epoch, 4] for epoch in range(4)] == pytest.approx([0.05, 0.05, 0.005, 0.005])
    assert all(rates.batches[epoch, 0] == rates.batches[epoch, 4] for epoch in range(4))


class StopsAt(Listener):
    """Breaks off after a batch, as a power failure would."""

    def train_batch(self, report, clock, learning_rate):
        if (clock.epoch, clock.step) == (2, 4):
            raise ConnectionError("gone")


def test_rates_within_an_epoch_continue(tmp_path):
    whole, parts = (BatchRates(tmp_path / name, checkpoint_every=1) for name in ("whole", "parts"))
    _, expected = whole.train()
    with pytest.raises(ConnectionError):
        parts.train(listeners=[StopsAt()])
    rates = Rates()
    _, found = parts.train(resume_auto=True, listeners=[rates])
    assert min(rates.batches) == (2, 4)
    for name, value in expected.recipe.state_dict().items():
        assert torch.equal(found.recipe.state_dict()[name], value), name
    for first, second in zip(expected.optimiser.param_groups, found.optimiser.param_groups, strict=True):
        assert first["lr"] == second["lr"]


class TakesTurns(Recipe):
    """Trains one layer in even batches and the other in odd ones."""

    def __init__(self, *, idle_parameters):
        torch.manual_seed(0)
        super().__init__(nn.ModuleList([nn.Linear(48, 3), nn.Linear(48, 3)]), create_loss("ce", class_counts=COUNTS))
        self.idle_parameters = idle_parameters

    def forward(self, batch, clock):
        logits = self.backbone[clock.step % 2](batch.images.flatten(1))
        return StepOutput(self.loss(logits, batch.labels), logits, batch.labels, {})

    def outputs(self, images):
        return self.backbone[0](images.flatten(1))


@pytest.fixture
def group_of_one(tmp_path, monkeypatch):
    """A process group that the loop takes for one of several processes."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    monkeypatch.setattr(loop, "is_active", lambda: True)
    yield
    stop()


@pytest.mark.parametrize("idle_parameters", [True, False])
@pytest.mark.usefixtures("group_of_one")
def test_several_ranks_must_know_of_idle_parameters(tmp_path, idle_parameters):
    run = ToyRun(tmp_path / "run", epochs=1)
    recipe = TakesTurns(idle_parameters=idle_parameters)
    optimiser = create_sgd(recipe, lr=0.05, momentum=0.9, weight_decay=0.0)
    stage = replace(run.stage(), recipe=recipe, optimiser=optimiser, train=ToyLoader(sum(COUNTS), 8))
    if idle_parameters:
        assert run.train(stage=stage)[0]["last"]["epoch"] == 0
    else:
        with pytest.raises(RuntimeError, match="parameters that were not used"):
            run.train(stage=stage)


def test_by_default_all_parameters_are_expected_to_get_gradients():
    assert ToyRecipe().idle_parameters is False
