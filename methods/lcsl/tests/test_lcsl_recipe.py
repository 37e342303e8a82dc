"""How LCSL behaves: who teaches and who learns, exact continuation, selection, several processes."""

import copy
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lcsl_toy import ALONE, BEST, COUNTS, STATE, ToyNet, clock, toy_data, toy_images, toy_optimiser, toy_run

from longtail import distributed
from longtail.datasets.base import ArrayImages, ImageData, LongTailData
from longtail.distributed import own_slice
from longtail.loading.base import Batch
from longtail.metrics import ClassificationCounts, summarise
from longtail.randomness import Randomness
from longtail.training.method import Setting
from longtail.training.mixup import Mix, blended
from longtail.training.reports import Listener
from longtail.training.runtime import RuntimeOptions
from longtail_lcsl.classifier import linear_classifier, normalise_classifier, tau_normalised
from longtail_lcsl.method import METHOD, LCSLOptions
from longtail_lcsl.mixing import mix_at
from longtail_lcsl.recipe import LCSL, SelfLabelling, minority_classes, mirrored_mean

few_examples = settings(derandomize=True, deadline=None, max_examples=50)
EASY = SelfLabelling(confidence=0.34)
"""Three classes: nearly everything that the teacher says of a rare one counts."""
MIX = Mix(0.3, torch.tensor([2, 0, 3, 1]))


def teaching(config=EASY, *, dtype=torch.float64, counts=COUNTS, mix=MIX):
    """A recipe whose teacher is another network, and always says that it sees the rarest class."""
    student, teacher = ToyNet(331, dtype=dtype), ToyNet(332, dtype=dtype)
    with torch.no_grad():
        teacher.fc.bias[2] = 50.0
    recipe = LCSL(student, teacher, counts, config, lambda *_: mix)
    recipe.refresh_teacher(teacher.state_dict())
    recipe.begin_epoch(clock())
    return recipe.train()


def first_batch(dtype=torch.float64):
    train, _ = toy_data()
    batch = next(iter(train.epoch(0)))
    return batch._replace(images=batch.images.to(dtype))


def gradients(network):
    return {name: each.grad.clone() for name, each in network.named_parameters()}


def same(first, second):
    """Whether two mappings hold the same tensors, to the bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def mixup_loss(network, batch, mix):
    """Plain mixup's loss, written anew."""
    other = batch.labels[mix.partners]
    mixed = mix.share * batch.images + (1 - mix.share) * batch.images[mix.partners]
    logits = network(mixed).float() if batch.images.dtype != torch.float64 else network(mixed)
    return mix.share * F.cross_entropy(logits, batch.labels) + (1 - mix.share) * F.cross_entropy(logits, other)


def test_the_teacher_is_not_trained():
    recipe = teaching()
    optimised = {id(each) for group in toy_optimiser(recipe).param_groups for each in group["params"]}
    assert optimised == {id(each) for each in recipe.backbone.parameters()}
    before = copy.deepcopy(recipe.teacher.state_dict())
    output = recipe(first_batch(), clock())
    output.loss.backward()
    assert output.parts["self_labelled"] == 1
    assert all(each.grad is not None and each.grad.any() for each in recipe.backbone.parameters())
    assert not any(each.requires_grad or each.grad is not None for each in recipe.teacher.parameters())
    assert same(before, recipe.teacher.state_dict())


def test_the_teacher_stays_in_evaluation_mode():
    recipe = teaching()
    for mode in (True, False, True):
        assert recipe.train(mode) is recipe
        assert {each.training for each in recipe.backbone.modules()} == {mode}
        assert {each.training for each in recipe.teacher.modules()} == {False}


def test_batch_normalisation_counts_the_clean_images_and_then_the_mixed_ones():
    recipe, batch = teaching(), first_batch()
    twin = copy.deepcopy(recipe.backbone)
    recipe(batch, clock())
    twin(batch.images)
    twin(blended(batch.images, MIX))
    assert twin.bn.num_batches_tracked == 2
    assert same(twin.state_dict(), recipe.backbone.state_dict())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_training_accuracy_is_that_of_the_clean_images(dtype):
    recipe, batch = teaching(dtype=dtype), first_batch(dtype)
    twin = copy.deepcopy(recipe.backbone)
    output = recipe(batch, clock())
    torch.testing.assert_close(output.logits, twin(batch.images))
    assert not output.logits.requires_grad
    assert output.labels is batch.labels
    assert not any(part.requires_grad for part in output.parts.values())


@pytest.mark.parametrize("half", [False, True])
def test_the_clean_pass_does_not_touch_the_gradients(half):
    """Autocast keeps its casts of the weights, and in older versions of torch those of a pass without gradients have none."""
    recipe, batch = teaching(dtype=torch.float32), first_batch(torch.float32)
    twin = copy.deepcopy(recipe)
    precision = {"dtype": torch.bfloat16, "enabled": half}
    with torch.autocast("cpu", **precision):
        loss = recipe(batch, clock()).loss
    loss.backward()
    with torch.autocast("cpu", **precision):
        mixed = blended(batch.images, MIX)
        logits = twin.backbone(mixed)
        own_labels, selected = twin.self_labels(mixed)
    assert selected.all()
    assert logits.dtype == (torch.bfloat16 if half else torch.float32)
    first, second, own = (
        F.cross_entropy(logits.float(), labels) for labels in (batch.labels, batch.labels[MIX.partners], own_labels)
    )
    (MIX.share * first + (1 - MIX.share) * second + own).backward()
    found, expected = gradients(recipe.backbone), gradients(twin.backbone)
    for name, gradient in expected.items():
        assert gradient.any(), name
        torch.testing.assert_close(found[name], gradient)


def toy_dataset(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = ImageData(ArrayImages(np.zeros((len(labels), 4, 4, 3), dtype=np.uint8)), labels, ("a", "b", "c"))
    return LongTailData("toy", images, None, images, 4, (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    ("counts", "options", "teaches"),
    [((7, 3, 2), {}, True), ((4, 4, 4), {}, False), ((7, 3, 2), {"beta": 0.0}, False)],
)
def test_a_teacher_is_made_where_it_can_matter(counts, options, teaches):
    made = []

    def make(head):
        made.append(head)
        return ToyNet(len(made), dtype=torch.float32)

    setting = Setting(torch.device("cpu"), ALONE, Randomness(0), RuntimeOptions())
    stage = METHOD.build(toy_dataset(counts), make, LCSLOptions(augmentation="none", **options), setting)
    assert made == ["linear"] * (2 if teaches else 1)
    assert (stage.recipe.teacher is not None) == teaches
    assert len(stage.recipe.networks()) == len(made)
    assert stage.recipe.state_dict().keys() >= {f"backbone.{name}" for name in ToyNet(0).state_dict()}


def test_without_a_teacher_it_is_plain_mixup():
    batch = first_batch()
    recipe = LCSL(ToyNet(331), None, COUNTS, SelfLabelling(alpha=0.7, beta=0.0), lambda *_: MIX)
    recipe.evaluated(summary(right=3), clock(), is_best=True)
    recipe.begin_epoch(clock())
    output = recipe(batch, clock())
    torch.testing.assert_close(output.loss, 0.7 * mixup_loss(ToyNet(331), batch, MIX))
    assert output.parts["self_labelling_loss"] == output.parts["self_labelled"] == 0


@pytest.mark.parametrize(
    ("config", "counts"),
    [(SelfLabelling(confidence=1.01, beta=5.0), COUNTS), (EASY, np.array([4, 4, 4]))],
    ids=["never sure", "no rare class"],
)
def test_where_nothing_is_selected_it_is_plain_mixup(config, counts):
    recipe, batch, plain = teaching(config, counts=counts), first_batch(), ToyNet(331)
    output = recipe(batch, clock())
    output.loss.backward()
    expected = mixup_loss(plain, batch, MIX)
    expected.backward()
    assert output.parts["self_labelling_loss"] == output.parts["self_labelled"] == 0
    torch.testing.assert_close(output.loss, expected)
    torch.testing.assert_close(gradients(recipe.backbone), gradients(plain))


def test_nothing_is_labelled_before_there_is_a_teacher():
    recipe = LCSL(ToyNet(331), ToyNet(332), COUNTS, SelfLabelling(confidence=0.0), lambda *_: MIX)
    recipe.begin_epoch(clock())
    batch = first_batch()
    torch.testing.assert_close(recipe(batch, clock()).loss, mixup_loss(ToyNet(331), batch, MIX))


def test_self_labelling_is_divided_by_all_images():
    """Two of four images are selected; their losses count a fourth each."""
    recipe, batch = teaching(replace(EASY, beta=2.0)), first_batch()
    selected = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    recipe.self_labels = lambda _: (torch.tensor([2, 0, 1, 1]), selected)
    twin = copy.deepcopy(recipe.backbone)
    output = recipe(batch, clock())
    logits = twin(blended(batch.images, MIX))
    own = F.cross_entropy(logits[[0, 3]], torch.tensor([2, 1]), reduction="sum") / 4
    torch.testing.assert_close(output.parts["self_labelling_loss"], own.detach())
    torch.testing.assert_close(output.loss, output.parts["mixup_loss"] + 2 * own)
    assert output.parts["self_labelled"] == 0.5


def test_a_batch_of_one_image():
    recipe = teaching(mix=Mix(0.3, torch.tensor([0])))
    batch = Batch(*(rows[:1] for rows in first_batch()[:3]), 1)
    output = recipe(batch, clock())
    output.loss.backward()
    assert output.logits.shape == (1, 3)
    assert torch.isfinite(output.loss)
    torch.testing.assert_close(output.parts["mixup_loss"], mixup_loss(ToyNet(331), batch, Mix(1.0, torch.tensor([0]))).detach())


def test_a_last_batch_of_one_image(tmp_path):
    _, results = toy_run(
        tmp_path, EASY, mixing=mix_at, batches=([3, 7, 10, 0, 11, 8], [1]), test_batches=([0, 1, 2, 3, 4], [5])
    )
    assert results["last"]["samples"] == results["final"]["flip"]["samples"] == 6


def summary(right):
    """The evaluation of three images, one of each class, of which so many were predicted right."""
    counts = ClassificationCounts(3)
    predictions = torch.tensor([label if label < right else (label + 1) % 3 for label in range(3)])
    counts.update(F.one_hot(predictions, 3).double(), torch.arange(3))
    return summarise(counts, COUNTS)


@pytest.mark.parametrize(("right", "is_best", "refreshed"), [(1, True, True), (0, True, False), (3, False, False)])
def test_when_the_teacher_is_refreshed(right, is_best, refreshed):
    recipe = LCSL(ToyNet(331), ToyNet(332), COUNTS, SelfLabelling())
    recipe.evaluated(summary(right), clock(), is_best=is_best)
    expected = ToyNet(331 if refreshed else 332)
    if refreshed:
        normalise_classifier(expected)
    assert same(expected.state_dict(), recipe.teacher.state_dict())
    assert bool(recipe.can_teach) == refreshed
    assert same(ToyNet(331).state_dict(), recipe.backbone.state_dict())


def test_the_teacher_does_not_follow_the_student_by_itself():
    """It holds copies: the student's next step leaves them alone."""
    recipe = LCSL(ToyNet(331), ToyNet(332), COUNTS, SelfLabelling(normalise_teacher=False))
    recipe.evaluated(summary(1), clock(), is_best=True)
    with torch.no_grad():
        for each in [*recipe.backbone.parameters(), *recipe.backbone.buffers()]:
            each.add_(1)
    assert same(ToyNet(331).state_dict(), recipe.teacher.state_dict())


def test_state_round_trip(tmp_path):
    recipe, batch = teaching(), first_batch()
    torch.save(recipe.state_dict(), tmp_path / "state.pt")
    other = LCSL(ToyNet(1), ToyNet(2), COUNTS, EASY, lambda *_: MIX)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    other.begin_epoch(clock())
    assert same(recipe.state_dict(), other.state_dict())
    first, second = recipe(batch, clock()), other.train()(batch, clock())
    assert first.parts["self_labelled"] == 1
    assert torch.equal(first.loss, second.loss)


class CrashAt(Listener):
    """Fails before a batch's checkpoint is written, as a killed process does."""

    def __init__(self, epoch, step):
        self.place = (epoch, step)

    def train_batch(self, report, clock, learning_rate):
        if (clock.epoch, clock.step) == self.place:
            raise RuntimeError("crash")


def epochs_of(folder):
    """The lines of `metrics.jsonl` without wall times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "train_seconds"} for line in lines]


def kept_tensors(folder):
    """All tensors that a run has left in its checkpoint, and the best epoch's network."""
    content = torch.load(folder / STATE, weights_only=True)
    momentum = {f"momentum.{index}": state["momentum_buffer"] for index, state in content["optimizer"]["state"].items()}
    return {
        **content["state_dict"],
        **content["longtail"]["recipe"],
        **momentum,
        **{f"best.{name}": value for name, value in torch.load(folder / BEST, weights_only=True).items()},
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    toy_run(folder, EASY, mixing=mix_at)
    labelled = [epoch["train_self_labelled"] for epoch in epochs_of(folder)]
    assert labelled[0] == 0
    assert any(labelled[1:])
    return folder


@pytest.mark.parametrize("crash", [None, (1, 0), (2, 1), (3, 2)])
def test_continued_equals_uninterrupted(tmp_path, whole, crash):
    runtime = RuntimeOptions(channels_last=False, checkpoint_every=1)
    if crash is None:
        toy_run(tmp_path, EASY, mixing=mix_at, runtime=replace(runtime, max_epochs=2))
    else:
        with pytest.raises(RuntimeError, match="crash"):
            toy_run(tmp_path, EASY, mixing=mix_at, runtime=runtime, listeners=[CrashAt(*crash)])
    toy_run(tmp_path, EASY, mixing=mix_at, runtime=replace(runtime, resume_auto=True))
    assert "can_teach" in kept_tensors(whole)
    assert same(kept_tensors(whole), kept_tensors(tmp_path))
    assert epochs_of(whole) == epochs_of(tmp_path)
    results = [json.loads((folder / "run.json").read_text())["results"] for folder in (whole, tmp_path)]
    assert results[0] == results[1]


class Followed(LCSL):
    """Remembers after which epochs the teacher had the student's weights."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.followed = []

    def evaluated(self, result, clock, *, is_best):
        super().evaluated(result, clock, is_best=is_best)
        self.followed.append(torch.equal(self.teacher.conv.weight, self.backbone.conv.weight))


@pytest.mark.parametrize("select", ["test", "val", "last"])
def test_the_teacher_follows_the_selection(tmp_path, select):
    runtime = RuntimeOptions(channels_last=False, select=select)
    # what is held out has other labels than what is tested on, so that other epochs are the best ones
    held_out = [1, 2, 2, 0, 0, 1] if select == "val" else None
    recipe, results = toy_run(tmp_path, EASY, mixing=mix_at, runtime=runtime, recipe_class=Followed, val_labels=held_out)
    epochs = epochs_of(tmp_path)

    def records(judge):
        scores = [epoch[judge]["balanced_accuracy"] for epoch in epochs]
        return [score > max(scores[:epoch], default=0) for epoch, score in enumerate(scores)]

    expected = [True] * 5 if select == "last" else records(select)
    assert recipe.followed == expected
    assert select == "test" or expected != records("test")
    best = ToyNet(0)
    best.load_state_dict(torch.load(tmp_path / BEST, weights_only=True))
    normalise_classifier(best)
    assert same(best.state_dict(), recipe.teacher.state_dict())
    assert results["best"]["epoch"] == max(epoch for epoch in range(5) if expected[epoch])


def test_final_predictions_are_the_best_epochs_and_leave_the_weights_alone(tmp_path):
    # with the draws of the published run the last epoch but one is the best
    recipe, results = toy_run(tmp_path, SelfLabelling(confidence=0.4))
    last = torch.load(tmp_path / "checkpoints" / "epoch_005_model.pth", weights_only=True)
    assert same(last, recipe.backbone.state_dict())
    best = ToyNet(0).eval()
    best.load_state_dict(torch.load(tmp_path / BEST, weights_only=True))
    assert not same(last, best.state_dict())
    *_, images, labels = toy_images()
    normalised = copy.deepcopy(best)
    with torch.no_grad():
        normalised.fc.weight.copy_(tau_normalised(normalised.fc.weight, 1.9))
        expected = {
            "flip": 0.5 * (best(images) + best(images.flip(3))),
            "tau_normalised": normalised(images),
            "tau_normalised_flip": 0.5 * (normalised(images) + normalised(images.flip(3))),
        }
    assert list(results["final"]) == list(expected)
    for name, logits in expected.items():
        assert results["final"][name]["epoch"] == results["best"]["epoch"] == 3
        assert results["final"][name]["nll"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-12)


def test_final_predictors_of_the_recipe_itself():
    recipe, (*_, images, _) = teaching().eval(), toy_images()
    before = copy.deepcopy(recipe.state_dict())
    with torch.no_grad():
        made = {name: predict(images) for name, predict in recipe.final_predictors().items()}
    assert same(before, recipe.state_dict())
    assert all(logits.shape == (6, 3) for logits in made.values())


SIZES = (5, 4, 2, 1)
UNEVEN = ([3, 7, 10, 0, 6], [11, 8, 1, 4], [9, 2, 5], [10])
"""Batches to train on: the last one leaves the second rank none."""


def every_blend():
    """This process's part of blended batches of several sizes."""
    pictures = torch.from_numpy(np.random.RandomState(5).standard_normal((8, 3, 2, 2)))
    return [blended(pictures[own_slice(size)], mix_at(clock(step=size), size)) for size in SIZES]


def train_together(folder, place, normalised):
    """Train; what this process has at the end. Batch normalisation sees a rank's own images alone, so ranks differ from one."""
    recipe, results = toy_run(
        folder,
        EASY,
        mixing=mix_at,
        place=place,
        normalised=normalised,
        batches=UNEVEN,
        test_batches=([0, 1, 2], [3, 4], [5]),
    )
    return {"state": recipe.state_dict(), "results": results}


def process(rank, folder, sources):
    sys.path[:0] = sources
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    # through a file: a port that is free when it is asked for may be taken when it is used
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    place = distributed.start(torch.device("cpu"))
    torch.save(every_blend(), folder / f"blends{rank}.pt")
    for name, normalised in (("plain", False), ("normalised", True)):
        torch.save(train_together(folder / name, place, normalised), folder / f"{name}{rank}.pt")
    distributed.stop()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The folder in which two ranks have blended and trained."""
    folder = tmp_path_factory.mktemp("pair")
    mp.spawn(process, args=(folder, [str(Path(__file__).parent)]), nprocs=2)
    return folder


def of_ranks(pair, name):
    return [torch.load(pair / f"{name}{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_partners_come_from_all_ranks(pair):
    for parts in zip(every_blend(), *of_ranks(pair, "blends"), strict=True):
        assert torch.equal(parts[0], torch.cat(parts[1:]))


def test_two_ranks_equal_one(pair, tmp_path):
    alone = train_together(tmp_path, ALONE, normalised=False)
    first, second = of_ranks(pair, "plain")
    assert same(first["state"], second["state"])
    torch.testing.assert_close(first["state"], alone["state"], rtol=1e-10, atol=1e-12)
    labelled = [epoch["train_self_labelled"] for epoch in epochs_of(tmp_path)]
    assert any(labelled)
    for one, both in zip(epochs_of(tmp_path), epochs_of(pair / "plain"), strict=True):
        for name in ("train_loss", "train_mixup_loss", "train_self_labelling_loss", "train_self_labelled", "train_top1"):
            assert both[name] == pytest.approx(one[name], rel=1e-10), name
    for both in (first, second):
        for name, result in both["results"]["final"].items():
            assert result["per_class_accuracy"] == alone["results"]["final"][name]["per_class_accuracy"]
            assert result["nll"] == pytest.approx(alone["results"]["final"][name]["nll"], rel=1e-10)


def test_ranks_agree_with_batch_normalisation_too(pair):
    first, second = of_ranks(pair, "normalised")
    assert all(torch.isfinite(value).all() for value in first["state"].values())
    statistics = ("running_mean", "running_var")
    parameters = [{k: v for k, v in each["state"].items() if not k.endswith(statistics)} for each in (first, second)]
    assert same(*parameters)
    teachers = [{k: v for k, v in each["state"].items() if k.startswith("teacher")} for each in (first, second)]
    assert same(*teachers)
    assert first["state"]["backbone.bn.num_batches_tracked"] == 2 * 5 * len(UNEVEN)
    assert first["results"] == second["results"]


@few_examples
@given(st.lists(st.integers(0, 500), min_size=1, max_size=20).filter(any))
def test_minority_classes_are_those_below_the_mean(counts):
    found = minority_classes(np.array(counts))
    assert found.tolist() == [len(counts) * count < sum(counts) for count in counts]
    assert found.any() == (len(set(counts)) > 1)
    assert not found.all()


@few_examples
@given(st.integers(0, 2**32 - 1), st.floats(0, 3), st.floats(1e-4, 1e4))
def test_lengths_of_tau_normalised_rows(seed, tau, scale):
    rows = scale * torch.from_numpy(np.random.RandomState(seed).standard_normal((4, 6)))
    lengths = rows.norm(dim=1)
    assume(lengths.min() > 1e-9)
    found = tau_normalised(rows, tau)
    torch.testing.assert_close(found.norm(dim=1), lengths ** (1 - tau), rtol=1e-10, atol=0)
    torch.testing.assert_close(F.normalize(found, dim=1), F.normalize(rows, dim=1))


def test_normalising_again_changes_nothing():
    network = ToyNet(331)
    normalise_classifier(network)
    once = network.fc.weight.clone()
    normalise_classifier(network)
    torch.testing.assert_close(network.fc.weight, once, rtol=1e-15, atol=1e-15)


def test_only_linear_classifiers_are_normalised():
    network = ToyNet(331)
    network.fc = torch.nn.Sequential(network.fc)
    with pytest.raises(ValueError, match="a linear classifier is needed, this one is Sequential"):
        linear_classifier(network)


@few_examples
@given(st.integers(0, 10), st.integers(0, 100), st.integers(1, 70))
def test_blends_are_convex_and_depend_on_the_place_alone(epoch, step, size):
    mix, again = (mix_at(clock(epoch, step), size) for _ in range(2))
    assert 0 <= mix.share <= 1
    assert sorted(mix.partners.tolist()) == list(range(size))
    assert mix.share == again.share
    assert torch.equal(mix.partners, again.partners)
    for other in (mix_at(clock(epoch, step + 1), size), mix_at(clock(epoch + 1, step), size)):
        assert other.share != mix.share
        assert size < 10 or not torch.equal(other.partners, mix.partners)
    images = torch.arange(12.0 * size).view(size, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    before = images.clone()
    found = blended(images, mix)
    assert torch.equal(images, before)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, mix.share * images + (1 - mix.share) * images[mix.partners])
    assert (found.mean() - images.mean()).abs() <= 1e-4 * images.mean()


def test_mirrored_mean_of_a_batch():
    network, (*_, images, _) = ToyNet(331).eval(), toy_images()
    mirrored = torch.flip(images, (3,))
    torch.testing.assert_close(mirrored_mean(network, images), (network(images) + network(mirrored)) / 2)
    torch.testing.assert_close(mirrored_mean(network, images), mirrored_mean(network, mirrored))
