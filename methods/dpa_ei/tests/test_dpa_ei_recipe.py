"""DPA-EI's algorithm against naive forms, finite differences, several ranks and interruptions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from dpa_ei_toy import NAMES, UNNORMALISED, ToyNet, batch, clock, options, process, toy_data, toy_run, toy_stage
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.backbones import create_backbone
from longtail.errors import UserError
from longtail.training.reports import Listener
from longtail.training.runtime import RuntimeOptions
from longtail_dpa_ei.covariance import ClassCovariance
from longtail_dpa_ei.implicit import augmented
from longtail_dpa_ei.meta import LookAhead, by_double_backward, by_forward_mode
from longtail_dpa_ei.meta_set import train_and_meta
from longtail_dpa_ei.mixing import mix_at
from longtail_dpa_ei.recipe import DPAEI, Augmentation
from longtail_dpa_ei.schedules import Timing

few = settings(max_examples=25, derandomize=True, deadline=None)
COUNTS = np.array([14, 8, 5])
META = [0, 1, 2, 2, 1, 0]


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def recipe_of(*, dtype=torch.float64, network=None, **changes):
    """A recipe that is in its implicit stage from epoch 2 on, with some covariance already."""
    chosen = {"timing": Timing(2, 3), "rate": 30.0, **changes}
    meta_step = chosen.pop("meta_step", by_forward_mode)
    recipe = DPAEI(network or ToyNet(), COUNTS, Augmentation(**chosen), meta_step=meta_step).to(dtype).train()
    covariance = recipe.statistics.covariance
    values = random(7, *covariance.shape)
    covariance.copy_(values.square() if chosen.get("diagonal") else values @ values.mT)
    return recipe


@given(data=st.data(), classes=st.integers(1, 4), width=st.integers(1, 3), diagonal=st.booleans())
@few
def test_the_estimator_is_the_covariance_of_all_that_it_saw(data, classes, width, diagonal):
    total = data.draw(st.integers(1, 30))
    rng = np.random.RandomState(total)
    features, labels = 3 + rng.standard_normal((total, width)), rng.randint(0, classes, total)
    cuts = sorted(data.draw(st.lists(st.integers(0, total), max_size=5)))
    statistics = ClassCovariance(classes, width, diagonal=diagonal).double()
    for rows in np.split(rng.permutation(total), cuts):
        statistics.update(torch.from_numpy(features[rows]), torch.from_numpy(labels[rows]))
    for c in range(classes):
        mine = features[labels == c]
        assert int(statistics.count[c]) == len(mine)
        expected = np.zeros((width, width)) if not len(mine) else np.cov(mine.T, bias=True).reshape(width, width)
        mean = np.zeros(width) if not len(mine) else mine.mean(axis=0)
        np.testing.assert_allclose(statistics.mean[c], mean, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(
            statistics.covariance[c], np.diag(expected) if diagonal else expected, rtol=1e-10, atol=1e-12
        )


def test_the_estimator_lets_no_gradient_through():
    statistics = ClassCovariance(3, 2)
    statistics.update(torch.ones(4, 2, requires_grad=True), torch.tensor([0, 1, 2, 2]))
    assert not statistics.covariance.requires_grad
    statistics.update(torch.ones(1, 2, dtype=torch.bfloat16), torch.tensor([1]))
    assert statistics.covariance.dtype == torch.float32


@given(samples=st.integers(0, 6), classes=st.integers(1, 5), width=st.integers(1, 4), seed=st.integers(0, 9))
@few
def test_augmented_logits_equal_the_naive_form(samples, classes, width, seed):
    logits, weight = random(seed, samples, classes), random(seed + 1, classes, width)
    labels = torch.randint(classes, (samples,), generator=torch.Generator().manual_seed(seed))
    # neither symmetric nor positive
    full, diagonal = random(seed + 2, classes, width, width), random(seed + 3, classes, width)
    for covariance, matrices in ((full, full), (diagonal, torch.diag_embed(diagonal))):
        distances = weight - weight[labels][:, None]
        forms = torch.einsum("nca,nab,ncb->nc", distances, matrices[labels], distances)
        shown = augmented(logits, weight, covariance, labels, 0.3)
        torch.testing.assert_close(shown, logits + 0.15 * forms, rtol=1e-12, atol=1e-12)
        assert torch.equal(shown.gather(1, labels[:, None]), logits.gather(1, labels[:, None]))


def test_augmented_logits_of_wide_features_need_little_memory():
    # 64 x 1000 x 2048 floats would be half a gigabyte
    weight, variances = torch.randn(1000, 2048), torch.rand(1000, 2048)
    largest = 0

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                largest = max(largest, result.numel())
            return result

    with Watch():
        augmented(torch.zeros(64, 1000), weight, variances, torch.arange(64), 0.5)
    assert largest == weight.numel()


def outcome(recipe, seed=1, labels=(0, 1, 1, 2, 0), epoch=3):
    """The loss of an implicit batch, and its gradients."""
    recipe.zero_grad()
    dtype = recipe.backbone.fc.weight.dtype
    output = recipe(batch(seed, list(labels), dtype=dtype, partner=batch(seed + 1, META, dtype=dtype)), clock(epoch))
    output.loss.backward()
    return output, {name: each.grad for name, each in recipe.named_parameters()}


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("labels", [(0, 1, 1, 2, 0), (2, 2), (0, 1, 2, 0, 1, 2, 1)])
def test_both_meta_steps_are_one(diagonal, normalised, labels):
    made = [
        recipe_of(network=ToyNet(normalised=normalised), diagonal=diagonal, meta_step=step)
        for step in (by_forward_mode, by_double_backward)
    ]
    (fast, fast_gradients), (naive, naive_gradients) = (outcome(each, labels=labels) for each in made)
    assert float(naive.parts["correction"]) > 1e-6
    for name in fast.parts:
        torch.testing.assert_close(fast.parts[name], naive.parts[name], rtol=1e-10, atol=1e-15)
    torch.testing.assert_close(fast_gradients, naive_gradients, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(made[0].state_dict(), made[1].state_dict(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("step", [by_forward_mode, by_double_backward])
@pytest.mark.parametrize("diagonal", [False, True])
def test_the_meta_gradient_agrees_with_finite_differences(step, diagonal):
    recipe = recipe_of(diagonal=diagonal)
    training, meta = batch(1, [0, 1, 1, 2, 0]), batch(2, META)
    network, covariance = recipe.backbone, recipe.statistics.covariance

    def loss_of(logits, weight, covariance):
        return recipe.implicit_loss(augmented(logits, weight, covariance, training.labels, 0.4), training.labels)

    def judged(covariance):
        """L2 after a plain training step."""
        copy = ToyNet().double().train()
        copy.load_state_dict(network.state_dict())
        loss_of(copy(training.images), copy.fc.weight, covariance).backward()
        with torch.no_grad():
            for parameter in copy.parameters():
                parameter -= 30 * parameter.grad
            return recipe.loss(copy(meta.images), meta.labels)

    ahead = LookAhead(network, training.images, meta.images, loss_of, lambda z: recipe.loss(z, meta.labels), 30.0)
    found = step(ahead, network(training.images), covariance)
    torch.testing.assert_close(found.meta_loss, judged(covariance))
    small = 1e-5
    for seed in range(6):
        direction = random(100 + seed, *covariance.shape)
        slope = (judged(covariance + small * direction) - judged(covariance - small * direction)) / (2 * small)
        torch.testing.assert_close((found.gradient * direction).sum(), slope, rtol=1e-6, atol=1e-9)


def test_no_strength_means_no_correction():
    output, _ = outcome(recipe_of(strength=0.0))
    assert float(output.parts["correction"]) == 0


def test_a_step_passes_once_through_the_network_for_training():
    recipe = recipe_of()
    outcome(recipe)
    # training, meta batch, forward mode
    assert recipe.backbone.passes == 3


def test_batch_norm_statistics_move_with_the_training_pass_alone():
    recipe, plain = recipe_of(), ToyNet().double().train()
    before = {name: each.clone() for name, each in recipe.backbone.named_parameters()}
    outcome(recipe)
    plain(batch(1, [0, 1, 1, 2, 0]).images)
    for name, each in plain.named_buffers():
        assert torch.equal(recipe.backbone.get_buffer(name), each), name
    assert all(torch.equal(each, before[name]) for name, each in recipe.backbone.named_parameters())


def test_the_correction_serves_one_batch_and_the_estimator_comes_after_the_loss():
    recipe, alone = recipe_of(), ClassCovariance(3, 6).double()
    alone.covariance.copy_(recipe.statistics.covariance)
    with torch.no_grad():
        features = ToyNet().double().train().features(batch(1, [0, 1, 1, 2, 0]).images)
    alone.update(features, torch.tensor([0, 1, 1, 2, 0]))
    outcome(recipe)
    torch.testing.assert_close(recipe.statistics.covariance, alone.covariance)


def test_the_explicit_stage_leaves_the_estimator_alone():
    recipe = DPAEI(ToyNet(), COUNTS, Augmentation(timing=Timing(2, 3))).train()
    output = recipe(batch(1, [0, 1, 2], dtype=torch.float32), clock(1))
    assert not recipe.statistics.count.any()
    assert list(output.parts) == list(recipe.part_names)
    assert output.labels.tolist() == [0, 1, 2]


def test_blends_follow_from_the_place_in_the_run():
    one, again, other = mix_at(clock(1, 2), 8), mix_at(clock(1, 2), 8), mix_at(clock(1, 3), 8)
    assert one.share == again.share != other.share
    assert one.partners.tolist() == again.partners.tolist()
    assert sorted(one.partners.tolist()) == list(range(8))
    assert mix_at(clock(1, 2, seed=1), 8).share != one.share


def test_autocast_outside_leaves_the_meta_step_in_full_precision():
    precise, _ = outcome(recipe_of(dtype=torch.float32))
    found = []

    def recorded(ahead, logits, covariance):
        assert logits.dtype == torch.bfloat16
        found.append(by_forward_mode(ahead, logits, covariance))
        return found[0]

    recipe = recipe_of(dtype=torch.float32, meta_step=recorded)
    training = batch(1, [0, 1, 1, 2, 0], dtype=torch.float32, partner=batch(2, META, dtype=torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = recipe(training, clock(3))
    output.loss.backward()
    assert {each.dtype for each in (*found[0], output.loss, recipe.statistics.covariance)} == {torch.float32}
    assert all(bool(torch.isfinite(each).all()) for each in (*found[0], recipe.statistics.covariance))
    # only the look-ahead's direction comes from bfloat16
    torch.testing.assert_close(output.parts["correction"], precise.parts["correction"], rtol=0.02, atol=0)
    assert all(bool(torch.isfinite(each.grad).all()) for each in recipe.parameters())


def test_the_implicit_stage_does_not_call_the_network():
    recipe = recipe_of()
    # where compiled code would be run, which allows one backward pass and knows no forward mode
    recipe.backbone.register_forward_pre_hook(lambda *_: pytest.fail("the network was called"))
    outcome(recipe)


def test_a_cosine_classifier_is_refused():
    network = create_backbone("resnet20", num_classes=3, head="cosine", seed=0)
    recipe = DPAEI(network, COUNTS, Augmentation(timing=Timing(0, 1)))
    with pytest.raises(ValueError, match="a linear classifier is needed"):
        recipe(batch(1, [0, 1], dtype=torch.float32, partner=batch(2, META, dtype=torch.float32)), clock())


def test_meta_images_leave_the_training_set():
    data, setting = toy_data(), toy_stage()[2]
    train, meta = train_and_meta(data, 3, setting.randomness)
    assert meta.class_counts.tolist() == [3, 3, 3]
    assert train.class_counts.tolist() == [11, 5, 2]
    pixels = {image.tobytes() for part in (train, meta) for image in part.images.array}
    assert pixels == {image.tobytes() for image in data.train.images.array}
    again = train_and_meta(data, 3, setting.randomness)[1]
    assert np.array_equal(again.images.array, meta.images.array)
    with pytest.raises(UserError, match=f"class {NAMES[2]} would be left without training images: it has 5"):
        train_and_meta(data, 5, setting.randomness)


def test_a_meta_set_of_the_data_is_taken_as_it_is():
    data = toy_data(meta=True)
    train, meta = train_and_meta(data, 3, toy_stage()[2].randomness)
    assert train is data.train
    assert meta is data.meta


@pytest.mark.parametrize(("batch_size", "meta_size"), [(5, 5), (20, 6)])
def test_implicit_epochs_pair_every_batch_with_a_whole_meta_batch(batch_size, meta_size):
    stage, _, _ = toy_stage(batch_size=batch_size)
    assert [each.partner for each in stage.train.epoch(1)] == [None] * stage.train.steps
    pairs = list(stage.train.epoch(2))
    assert [each.size for each in pairs][-1] == 21 % batch_size
    for each in pairs:
        assert each.partner.size == len(each.partner.images) == meta_size
        assert len(set(each.partner.indices.tolist())) == meta_size
    if meta_size < 6:
        assert len({tuple(sorted(each.partner.indices.tolist())) for each in pairs}) > 1


def test_fixed_epochs_stretch_with_the_run():
    assert options(epochs=50, switch_epoch=160, decay_epoch=180, fit_schedule=True).timing == Timing(40, 45)
    assert options(epochs=50, switch_epoch=160, decay_epoch=180).timing == Timing(160, 180)


class StopsAt(Listener):
    """Breaks off after a batch, as a power failure would."""

    def __init__(self, epoch, step):
        self.place = (epoch, step)

    def train_batch(self, report, clock, learning_rate):
        if (clock.epoch, clock.step) == self.place:
            raise ConnectionError("gone")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return toy_run(folder, runtime=RuntimeOptions(checkpoint_every=2))


@pytest.mark.parametrize("place", [(1, 3), (2, 3), (3, 4)])
def test_an_interrupted_run_continues_to_the_same_bits(tmp_path, uninterrupted, place):
    runtime = RuntimeOptions(checkpoint_every=2, resume_auto=True)
    with pytest.raises(ConnectionError):
        toy_run(tmp_path, runtime=runtime, listeners=[StopsAt(*place)])
    recipe, results = toy_run(tmp_path, runtime=runtime)
    expected, expected_results = uninterrupted
    assert results["last"] == expected_results["last"]
    for name, value in expected.state_dict().items():
        assert torch.equal(recipe.state_dict()[name], value), name
    assert int(recipe.statistics.count.sum()) == 2 * 21


def test_two_ranks_equal_one(tmp_path):
    mp.spawn(process, args=(tmp_path,), nprocs=2)
    alone, results = toy_run(tmp_path / "alone", **UNNORMALISED)
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, value in alone.state_dict().items():
        assert torch.equal(ranks[0]["state"][name], ranks[1]["state"][name]), name
        torch.testing.assert_close(ranks[0]["state"][name], value, rtol=1e-9, atol=1e-11)
    lines = [(folder / "log" / "metrics.jsonl").read_text().splitlines() for folder in (tmp_path / "alone", tmp_path)]
    for one, both in zip(*([json.loads(line) for line in each] for each in lines), strict=True):
        for name in ("train_loss", "train_meta_loss", "train_correction"):
            assert both[name] == pytest.approx(one[name], rel=1e-9), name
    assert ranks[0]["results"]["last"]["per_class_accuracy"] == results["last"]["per_class_accuracy"]
    assert one["train_correction"] > 0
