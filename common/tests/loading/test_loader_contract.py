"""What every loader promises: the same samples whatever the batch size, the rank or the first step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loader_kinds import LABELS, RANDOMNESS, SIDE, Kind, N, assert_same, in_files, in_memory, joined

from longtail.errors import UserError
from longtail.loading import Batch, Sequential, Shuffled, transfer
from longtail.loading.orders import ClassWeighted
from longtail.randomness import Randomness

few = settings(max_examples=12, derandomize=True, deadline=None)


@pytest.fixture(scope="module", params=[in_memory, in_files])
def kind(request, tmp_path_factory) -> Iterator[Kind]:
    make: Callable[[Path], Kind] = request.param
    with pytest.MonkeyPatch.context() as patch:
        # several blocks an epoch, whose ends lie within batches
        patch.setattr("longtail.loading.files.BLOCK", 12)
        yield make(tmp_path_factory.mktemp("pictures"))


def test_a_batch_is_what_the_network_wants(kind):
    loader = kind.loader(8)
    batches = list(loader.epoch(0))
    assert loader.steps == len(batches) == 6
    assert [batch.size for batch in batches] == [len(batch.images) for batch in batches] == [8, 8, 8, 8, 8, 1]
    for batch in batches:
        assert isinstance(batch, Batch)
        assert batch.images.dtype == torch.float32
        assert batch.images.shape[1:] == (3, SIDE, SIDE)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.labels.dtype == batch.indices.dtype == torch.int64
        assert batch.partner is None


def test_indices_and_labels_follow_the_order(kind):
    _, labels, indices = joined(kind.loader(8).epoch(3))
    np.testing.assert_array_equal(indices.numpy(), Shuffled(N, RANDOMNESS)(3))
    np.testing.assert_array_equal(labels.numpy(), LABELS[indices.numpy()])


@given(batch_size=st.integers(1, N + 5), epoch=st.sampled_from((0, 1)))
@few
def test_samples_do_not_depend_on_the_batch_size(kind, batch_size, epoch):
    assert_same(joined(kind.loader(batch_size).epoch(epoch)), kind.reference[epoch])


@given(batch_size=st.integers(1, N + 5), world_size=st.integers(1, 5))
@few
def test_ranks_slice_every_global_batch(kind, batch_size, world_size):
    ranks = [list(kind.loader(batch_size, rank=rank, world_size=world_size).epoch(0)) for rank in range(world_size)]
    for step, parts in enumerate(zip(*ranks, strict=True)):
        first = step * batch_size
        expected = tuple(field[first : first + batch_size] for field in kind.reference[0])
        assert_same(joined(parts), expected)
        assert {part.size for part in parts} == {len(expected[0])}
        sizes = [len(part.images) for part in parts]
        assert sizes == [len(part) for part in np.array_split(np.arange(len(expected[0])), world_size)]


@given(batch_size=st.integers(1, 12), first_step=st.integers(0, N))
@few
def test_an_epoch_can_be_entered_at_any_step(kind, batch_size, first_step):
    loader = kind.loader(batch_size)
    first_step = min(first_step, loader.steps)
    expected = tuple(field[first_step * batch_size :] for field in kind.reference[1])
    batches = list(loader.epoch(1, first_step))
    assert len(batches) == loader.steps - first_step
    if batches:
        assert_same(joined(batches), expected)


def test_steps_in_any_order(kind):
    loader = kind.loader(8)
    whole = list(loader.epoch(0))
    for step, batch in zip((4, 0, 5, 0), loader.batches(0, (4, 0, 5, 0)), strict=True):
        assert_same(batch[:3], whole[step][:3])
    assert_same(loader.batch(0, 3)[:3], whole[3][:3])
    assert list(loader.batches(0, ())) == []


def test_epochs_side_by_side_do_not_disturb_each_other(kind):
    loader = kind.loader(8)
    first, second = [], []
    for one, other in zip(loader.epoch(0), loader.epoch(1), strict=True):
        first.append(one)
        second.append(other)
    assert_same(joined(first), kind.reference[0])
    assert_same(joined(second), kind.reference[1])


def test_what_depends_on_what(kind):
    base = kind.reference[0][0]
    assert not torch.equal(base, kind.reference[1][0])
    assert not torch.equal(joined(kind.loader(randomness=Randomness(12)).epoch(0))[0], base)
    assert not torch.equal(joined(kind.loader(stream="other").epoch(0))[0], base)
    assert_same(joined(kind.loader().epoch(0)), kind.reference[0])


def test_a_sample_that_is_drawn_twice_is_augmented_twice(kind):
    order = ClassWeighted(LABELS, np.array([30, 10, 1]), 1.0, RANDOMNESS)
    images, _, indices = joined(kind.loader(order=order).epoch(0))
    repeated = images[indices == 40]
    assert len(repeated) > 8
    assert len({image.numpy().tobytes() for image in repeated}) > 4


@pytest.mark.parametrize("world_size", [1, 3, 8])
def test_without_an_augmentation_every_image_is_shown_once(kind, world_size):
    options = {"order": Sequential(N), "augmentation": None, "randomness": None}
    shown = [kind.loader(16, rank=rank, world_size=world_size, **options) for rank in range(world_size)]
    images, _, indices = joined(itertools.chain.from_iterable(loader.epoch(0) for loader in shown))
    assert sorted(indices.tolist()) == list(range(N))
    assert_same((images[indices.argsort()],), joined(kind.loader(N, **options).epoch(5))[:1])


def test_the_last_batch_can_be_left_out(kind):
    loader = kind.loader(8, drop_last=True)
    assert loader.steps == 5
    assert_same(joined(loader.epoch(0)), tuple(field[:40] for field in kind.reference[0]))
    assert kind.loader(N, drop_last=True).steps == 1


def test_an_empty_set_has_no_steps(kind):
    loader = kind.loader(data=kind.data.subset([]), order=Sequential(0))
    assert loader.steps == 0
    assert list(loader.epoch(0)) == []


def test_no_batch_left_is_the_users_mistake(kind):
    with pytest.raises(UserError, match="there are 41 samples, fewer than a batch of 42"):
        kind.loader(42, drop_last=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"rank": 2, "world_size": 2}, "rank=2 world_size=2"),
        ({"randomness": None}, "needs a source of randomness"),
    ],
)
def test_wrong_arguments_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind.loader(**options)


@pytest.mark.parametrize("steps", [(6,), (-1, 2)])
def test_steps_outside_the_epoch_are_refused(kind, steps):
    with pytest.raises(ValueError, match="the steps 0 to 5"):
        kind.loader(8).batches(0, steps)


def test_the_host_never_waits_for_an_accelerator(kind, monkeypatch, no_waiting):
    expected = kind.reference
    monkeypatch.setattr(transfer, "on_host", lambda _: False)
    loader = kind.loader(8)
    batches = []
    with no_waiting:
        for epoch in (0, 1):
            batches.append(list(loader.epoch(epoch)))
    for epoch in (0, 1):
        assert_same(joined(batches[epoch]), expected[epoch])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_shows_the_same_images(kind):
    images, labels, indices = joined(kind.loader(8, device="cuda").epoch(0))
    assert images.is_cuda
    assert_same((images.cpu(), labels.cpu(), indices.cpu()), kind.reference[0])
