"""Several ways to read a network's outputs, of which validation chooses one when training is over."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from toys import CLASSES, COUNTS, ToyLoader, ToyRecipe, ToyRun

from longtail.losses import create_loss
from longtail.metrics import ClassificationCounts, summarise
from longtail.training.evaluation import choose_reading, evaluate, evaluate_readings
from longtail.training.recipe import Recipe
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import create_sgd

CPU = torch.device("cpu")
READINGS = {
    "as it is": lambda outputs: outputs,
    "opposite": lambda outputs: -outputs,
    "first class": lambda outputs: outputs + 100 * torch.eye(CLASSES)[0],
}


class WithReadings(ToyRecipe):
    """Three ways to read the outputs; it counts how often these are computed in evaluation."""

    def __init__(self):
        super().__init__()
        self.passes = 0

    def outputs(self, images):
        self.passes += 1
        return super().outputs(images)

    def readings(self):
        return READINGS


class ReadingRun(ToyRun):
    def stage(self):
        torch.manual_seed(0)
        recipe = WithReadings()
        return replace(super().stage(), recipe=recipe, optimiser=create_sgd(recipe, lr=0.05, momentum=0.9, weight_decay=1e-4))


def recipe_of():
    torch.manual_seed(1)
    return WithReadings().eval()


def test_readings_are_evaluated_as_predictions_are_in_a_single_pass():
    recipe, loader = recipe_of(), ToyLoader(21, 8, shuffle=False)
    found = evaluate_readings(recipe, loader, COUNTS, READINGS, options=RuntimeOptions(), device=CPU)
    assert recipe.passes == loader.steps == 3
    assert list(found) == list(READINGS)
    for name, read in READINGS.items():
        expected = evaluate(
            recipe,
            loader,
            COUNTS,
            options=RuntimeOptions(),
            device=CPU,
            predict=lambda images, read=read: read(recipe.backbone(images)),
        )
        assert found[name] == expected, name
    assert found["first class"].accuracy == pytest.approx(7 / 21)
    assert found["as it is"].loss != found["opposite"].loss


def test_readings_are_evaluated_on_as_many_batches_as_wanted():
    found = evaluate_readings(recipe_of(), ToyLoader(21, 8), COUNTS, READINGS, options=RuntimeOptions(max_steps=2), device=CPU)
    assert {each.samples for each in found.values()} == {16}


def summary(right):
    """The evaluation of four samples of which so many were predicted right."""
    counts = ClassificationCounts(2)
    counts.update(torch.tensor([[1.0, 0.0]] * right + [[0.0, 1.0]] * (4 - right)), torch.zeros(4, dtype=torch.int64))
    return summarise(counts, np.array([3, 3]))


class Judge:
    """Knows how many samples each reading gets right on each set, and remembers what it was asked."""

    def __init__(self, **right):
        self.right, self.asked = right, []

    def __call__(self, part, readings):
        self.asked.append((part, list(readings)))
        return {name: summary(self.right[part][name]) for name in readings}


def test_validation_chooses_and_the_test_set_sees_the_chosen_one_alone():
    judge = Judge(val={"a": 1, "b": 3, "c": 3}, test={"a": 4, "b": 2, "c": 4})
    chosen = choose_reading(judge, dict.fromkeys("abc", READINGS["as it is"]), "val", "test", "accuracy")
    # the first of the best two
    assert (chosen.name, chosen.scores) == ("b", {"a": 0.25, "b": 0.75, "c": 0.75})
    assert chosen.test == summary(2)
    assert judge.asked == [("val", ["a", "b", "c"]), ("test", ["b"])]


def test_without_validation_the_test_set_chooses():
    judge = Judge(test={"a": 4, "b": 2})
    chosen = choose_reading(judge, dict.fromkeys("ab", READINGS["as it is"]), None, "test", "accuracy")
    assert (chosen.name, chosen.test) == ("a", summary(4))
    assert judge.asked == [("test", ["a", "b"])]


@pytest.mark.parametrize("select", ["val", "test", "last"])
def test_a_run_reads_the_best_epochs_network(tmp_path, select):
    run = ReadingRun(tmp_path, select=select)
    results, stage = run.train()
    reading = results["reading"]
    assert reading["chosen_on"] == ("val" if select == "val" else "test")
    assert list(reading["tried"]) == list(READINGS)
    assert reading["tried"][reading["name"]] == max(reading["tried"].values())
    assert reading["epoch"] == results["best"]["epoch"]
    assert reading["name"] == "as it is"
    assert reading["per_class_accuracy"] == results["best"]["per_class_accuracy"]
    # the weights are those of the last epoch again
    last = run.weights()["state_dict"]
    assert all(torch.equal(value, stage.recipe.backbone.state_dict()[name]) for name, value in last.items())


def test_a_continued_run_reads_the_same(tmp_path):
    whole, parts = (ReadingRun(tmp_path / name, select="val") for name in ("whole", "parts"))
    expected = whole.train()[0]
    parts.train(max_epochs=2)
    assert parts.train(resume_auto=True)[0] == expected


def test_recipes_without_readings_tell_none(tmp_path):
    assert "reading" not in ToyRun(tmp_path).train(max_epochs=1)[0]


def test_predictions_are_the_outputs_by_default():
    class Plain(Recipe):
        def forward(self, batch, clock):
            pytest.fail("a prediction is no training")

    recipe = Plain(nn.Flatten(), create_loss("ce", class_counts=COUNTS))
    images = torch.randn(2, 3, 1, 1)
    assert torch.equal(recipe.predict(images), images.flatten(1))
    assert recipe.readings() == {}
