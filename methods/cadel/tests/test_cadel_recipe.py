"""How CADEL trains: its loss of a batch, several ranks, exact continuation, and the method on any network of stages."""

import argparse
import json
from functools import partial

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from cadel_toy import (
    ALONE,
    CPU,
    EPOCHS,
    NAMES,
    WHOLE,
    ToyCascade,
    batch,
    clock,
    process,
    toy_data,
    toy_recipe,
    toy_run,
)

from longtail.backbones import create_backbone
from longtail.errors import UserError
from longtail.losses import CrossEntropy
from longtail.randomness import Randomness
from longtail.testing import Killed, flattened, killed_at
from longtail.training.method import Setting
from longtail.training.mixup import Mix
from longtail.training.runtime import RuntimeOptions
from longtail_cadel.eval_heads import heads
from longtail_cadel.losses import BinaryCrossEntropy, Weighting, cascade_binary_cross_entropy, cascade_cross_entropy
from longtail_cadel.method import METHOD, CADELOptions
from longtail_cadel.recipe import CADEL
from longtail_cadel.stage import CNN, VIT

MIX = Mix(0.3, torch.tensor([2, 0, 3, 1, 4]))
LABELS = [0, 1, 1, 2, 3]
FAMILIES = pytest.mark.parametrize("binary", [False, True])


def recipe_of(*, dropout=0.0, **changes):
    return toy_recipe(dropout=dropout, **changes).double().train()


@FAMILIES
@pytest.mark.parametrize("per_sample", [False, True])
def test_loss_of_a_mixed_batch(binary, per_sample):
    recipe, given = recipe_of(binary=binary, per_sample=per_sample, mixing=lambda *_: MIX), batch(1, LABELS)
    output = recipe(given, clock(epoch=1, epochs=4))
    output.loss.backward()
    mixed = 0.3 * given.images + 0.7 * given.images[MIX.partners]
    twin = ToyCascade(dropout=0.0).double()
    logits = twin(mixed)
    loss = cascade_binary_cross_entropy if binary else cascade_cross_entropy
    weighting = Weighting(4, 2.0, 1.0, per_sample)
    # the second of four epochs: half the plain loss is left
    first, second = (loss(logits, labels, 0.5, weighting) for labels in (given.labels, given.labels[MIX.partners]))
    expected = 0.3 * first + 0.7 * second
    expected.sum().backward()
    torch.testing.assert_close(output.loss, expected.sum())
    assert list(output.parts) == ["head1_loss", "head2_loss", "head3_loss"]
    torch.testing.assert_close(torch.stack(list(output.parts.values())), expected.detach())
    torch.testing.assert_close(output.logits, logits.sum(dim=1).detach())
    assert output.labels is given.labels
    assert not any(each.requires_grad for each in (output.logits, *output.parts.values()))
    for found, reference in zip(recipe.parameters(), twin.parameters(), strict=True):
        assert reference.grad.any()
        torch.testing.assert_close(found.grad, reference.grad)


@FAMILIES
def test_without_mixup_images_are_as_they_are(binary):
    plain, all_own = recipe_of(binary=binary, alpha=0.0), recipe_of(binary=binary, mixing=lambda *_: Mix(1.0, MIX.partners))
    assert plain.mixing is None
    given = batch(1, LABELS)
    assert torch.equal(plain(given, clock()).loss, all_own(given, clock()).loss)


@pytest.mark.parametrize(("epoch", "plain"), [(0, 0.75), (2, 0.25), (3, 0.0)])
def test_the_plain_loss_fades_out(epoch, plain):
    recipe, given = recipe_of(alpha=0.0), batch(1, LABELS)
    expected = cascade_cross_entropy(recipe.backbone(given.images), given.labels, plain, recipe.settings.weighting).sum()
    torch.testing.assert_close(recipe(given, clock(epoch, epochs=4)).loss, expected)


@FAMILIES
def test_a_batch_of_one_image(binary):
    recipe = recipe_of(binary=binary)
    output = recipe(batch(1, [2]), clock())
    output.loss.backward()
    assert torch.isfinite(output.loss)
    assert output.logits.shape == (1, 4)


@FAMILIES
def test_autocast(binary):
    given = batch(1, LABELS, dtype=torch.float32)
    recipe = toy_recipe(binary=binary, dropout=0.0).train()
    precise = recipe(given, clock())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = recipe(given, clock())
        predictions = recipe.predict(given.images)
    output.loss.backward()
    assert {output.loss.dtype, output.logits.dtype, predictions.dtype} == {torch.float32}
    torch.testing.assert_close(output.loss, precise.loss, rtol=0.05, atol=0)
    assert all(torch.isfinite(each.grad).all() for each in recipe.parameters())


def test_evaluation_shows_the_loss_of_the_family():
    assert isinstance(recipe_of(binary=False).loss, CrossEntropy)
    assert isinstance(recipe_of(binary=True).loss, BinaryCrossEntropy)


def test_several_heads_predict_with_their_mean():
    recipe, images = recipe_of(heads=(0, 2), tau=2.0).eval(), batch(1, LABELS).images
    outputs = recipe.backbone(images)
    expected = (outputs[:, 0] + outputs[:, 2]) / 2 + 2 * recipe.shift
    torch.testing.assert_close(recipe.predict(images), expected)
    final = recipe.final_predictors()
    assert list(final) == ["last_head", "all_heads"]
    torch.testing.assert_close(final["last_head"](images), outputs[:, 2] + 2 * recipe.shift)
    torch.testing.assert_close(final["all_heads"](images), outputs.mean(dim=1) + 2 * recipe.shift)


def test_what_is_chosen_is_not_judged_twice():
    recipe, images = recipe_of(heads=(2,)).eval(), batch(1, LABELS).images
    torch.testing.assert_close(recipe.predict(images), recipe.backbone(images)[:, 2])
    assert list(recipe.final_predictors()) == ["all_heads"]


def test_the_prior_stays_out_of_checkpoints():
    assert set(recipe_of().state_dict()) == {f"backbone.{name}" for name in ToyCascade().state_dict()}


def metrics(folder):
    """The run's metric lines without wall times."""
    lines = [json.loads(line) for line in (folder / "log" / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "train_seconds"} for line in lines]


def checkpoint_of(folder):
    """What the last checkpoint holds, without the lengths of logs, which tell wall times."""
    content = torch.load(folder / "checkpoint" / "ckpt.pth.tar", weights_only=True)
    content["longtail"]["progress"].pop("log_sizes")
    return flattened(content)


@FAMILIES
@pytest.mark.parametrize("place", [(1, 0), (2, 3)])
def test_a_killed_run_continues_to_the_same_bits(tmp_path, binary, place):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    runtime = RuntimeOptions(checkpoint_every=2, resume_auto=True, select="val")
    train = partial(toy_run, runtime=runtime, binary=binary, val=True)
    _, expected = train(whole)
    with killed_at(CADEL, *place), pytest.raises(Killed):
        train(parts)
    _, results = train(parts)
    assert results == expected
    assert checkpoint_of(parts) == checkpoint_of(whole)
    assert metrics(parts) == metrics(whole)
    rates = {line["learning_rate"] for line in metrics(whole)}
    assert len(rates) == EPOCHS


def test_the_search_for_tau_ends_a_run(tmp_path):
    _, results = toy_run(tmp_path, runtime=RuntimeOptions(select="val"), val=True)
    reading = results["reading"]
    assert list(reading["tried"]) == ["tau=0.5", "tau=1", "tau=1.5"]
    assert reading["chosen_on"] == "val"
    assert reading["tried"][reading["name"]] == max(reading["tried"].values())
    assert reading["epoch"] == results["best"]["epoch"]
    # a CNN predicts with its last head
    assert list(results["final"]) == ["all_heads"]


def test_two_ranks_equal_one(tmp_path):
    mp.spawn(process, args=(tmp_path,), nprocs=2)
    for name, binary in (("cnn", False), ("vit", True)):
        alone, results = toy_run(tmp_path / "alone" / name, binary=binary, **WHOLE)
        ranks = [torch.load(tmp_path / f"{name}{rank}.pt", weights_only=True) for rank in (0, 1)]
        for key, value in alone.state_dict().items():
            assert torch.equal(ranks[0]["state"][key], ranks[1]["state"][key]), key
            torch.testing.assert_close(ranks[0]["state"][key], value, rtol=1e-9, atol=1e-11)
        for one, both in zip(metrics(tmp_path / "alone" / name), metrics(tmp_path / name), strict=True):
            for part in ("train_loss", *(f"train_{each}" for each in CADEL.part_names)):
                assert both[part] == pytest.approx(one[part], rel=1e-9), part
        assert ranks[0]["results"]["last"]["per_class_accuracy"] == results["last"]["per_class_accuracy"]
        assert ranks[1]["results"]["reading"]["name"] == results["reading"]["name"]


def built(options=None, *, make=None):
    setting = Setting(CPU, ALONE, Randomness(0), RuntimeOptions())
    make = make or partial(create_backbone, "resnet20", num_classes=len(NAMES), seed=0)
    return METHOD.build(toy_data(), lambda head: make(head=head), options or CADELOptions(batch_size=5), setting)


def test_a_stage_for_a_cnn():
    stage = built()
    assert stage.recipe.settings.heads == (2,)
    assert not stage.recipe.settings.binary
    assert stage.recipe.settings.tau == 0
    assert len(stage.recipe.readings()) == 7
    # 23 images: the last batch of three is left out
    assert (stage.epochs, stage.rate_steps, stage.train.steps) == (200, None, 4)
    (group,) = stage.optimiser.param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"], group["nesterov"]) == (0.025, 0.9, 5e-4, False)
    assert {id(each) for each in group["params"]} == {id(each) for each in stage.recipe.parameters()}
    assert stage.rate_factor(100, 3) == pytest.approx(0.5)
    given = next(iter(stage.train.epoch(0)))
    output = stage.recipe.train()(given, clock())
    output.loss.backward()
    assert output.logits.shape == (5, 4)
    assert all(each.grad is not None for each in stage.recipe.parameters())
    assert flattened(dict(built().recipe.state_dict())) == flattened(dict(built().recipe.state_dict()))


def test_a_stage_for_a_transformer():
    from longtail.backbones.vision_transformer import VisionTransformer  # timm takes seconds to import

    def make(head):
        return VisionTransformer(image_size=8, patch_size=4, width=8, depth=4, num_heads=2, num_classes=4, head=head)

    stage = built(make=make)
    settings = stage.recipe.settings
    assert (settings.binary, settings.heads, settings.tau) == (True, (0, 1, 2), 1.0)
    assert list(stage.recipe.readings()) == ["tau=1.3", "tau=1.4", "tau=1.5", "tau=1.6", "tau=1.7", "tau=1.8"]
    # the last batch of three is left out, but the rate counts it
    assert (stage.epochs, stage.train.steps, stage.rate_steps) == (100, 4, 5)
    assert stage.rate_factor(0, 0) == pytest.approx(0.2)
    assert stage.rate_factor(0, 1) == pytest.approx(0.24)
    assert {group["betas"] for group in stage.optimiser.param_groups} == {(0.9, 0.99)}
    assert {group["weight_decay"] for group in stage.optimiser.param_groups} == {0.0, 0.05}
    assert max(group["lr"] for group in stage.optimiser.param_groups) == pytest.approx(5e-4)
    assert min(group["lr"] for group in stage.optimiser.param_groups) == pytest.approx(5e-4 * 0.75**5)
    stage.recipe.train()(next(iter(stage.train.epoch(0))), clock()).loss.backward()
    # nothing that is trained is idle, which several ranks would have to know
    optimised = [each for group in stage.optimiser.param_groups for each in group["params"]]
    assert all(each.grad is not None for each in optimised)
    assert len(optimised) == sum(each.requires_grad for each in stage.recipe.parameters())


def test_options_override_the_family():
    options = CADELOptions(
        bins=3,
        gamma=0.5,
        base_weight=1.5,
        per_sample_weight=True,
        mixup=0,
        eval_heads="2,3",
        taus=(),
        epochs=7,
        lr=0.5,
        end_lr=0.25,
        batch_size=64,
    )
    stage = built(options)
    settings = stage.recipe.settings
    assert settings.weighting == Weighting(3, 0.5, 1.5, per_sample=True)
    assert (settings.heads, settings.taus, stage.recipe.mixing) == ((1, 2), (), None)
    assert stage.recipe.readings() == {}
    assert (stage.epochs, stage.optimiser.param_groups[0]["lr"]) == (7, 0.5)
    assert stage.schedule(7) == pytest.approx(0.5)
    # fewer images than a batch: all of them are one
    assert stage.train.steps == 1
    assert next(iter(stage.train.epoch(0))).size == 23


def test_families():
    assert CNN.changed_by(CADELOptions()) == CNN
    assert VIT.changed_by(CADELOptions()) == VIT
    changed = VIT.changed_by(CADELOptions(lr=1.0, eval_heads="last"))
    assert (changed.lr, changed.eval_heads, changed.epochs, changed.binary, changed.tau) == (1.0, "last", 100, True, 1.0)


def test_networks_without_stages_are_refused():
    class Whole(torch.nn.Module):
        pass

    with pytest.raises(UserError, match="branch off between a network's stages, and Whole has none"):
        built(make=lambda **_: Whole())


def test_heads_on_the_command_line():
    assert [heads("1,3"), heads("3, 1"), heads("all")] == ["1,3", "1,3", "all"]
    with pytest.raises(argparse.ArgumentTypeError, match="each once, got 4"):
        heads("4")


def test_an_empty_class_is_refused():
    with pytest.raises(UserError, match="no training image of class 1"):
        CADEL(ToyCascade(num_classes=2), np.array([3, 0]), recipe_of().settings)
