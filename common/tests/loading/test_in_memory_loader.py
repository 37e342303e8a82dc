"""The in-memory loader: the same samples whatever the batch size, the rank or the first step, normalised like torchvision."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pillow_reference import varied_images
from torchvision.transforms import functional

from longtail.datasets.base import ArrayImages, ImageData
from longtail.errors import UserError
from longtail.loading import Batch, Sequential, Shuffled, cifar_standard, cifar_strong, create_loader, transfer
from longtail.loading.memory import InMemoryLoader
from longtail.loading.normalise import Normalise
from longtail.loading.orders import ClassWeighted
from longtail.randomness import Randomness

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
N = 41
RANDOMNESS = Randomness(11)


def make_data(count: int = N, side: int = 16) -> ImageData:
    labels = np.arange(count, dtype=np.int64) % 3
    return ImageData(ArrayImages(varied_images(count, side, side).numpy()), labels, ("a", "b", "c"))


DATA = make_data()


def make_loader(batch_size: int = 8, *, data: ImageData = DATA, **options) -> InMemoryLoader:
    options = {"augmentation": cifar_strong(16, 2), "randomness": RANDOMNESS} | options
    order = options.pop("order", None) or Shuffled(len(data), RANDOMNESS)
    return InMemoryLoader(data, order, batch_size=batch_size, mean=MEAN, std=STD, **options)


def joined(batches) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, labels and indices of several batches, one after another."""
    batches = list(batches)
    return tuple(torch.cat([batch[field] for batch in batches]) for field in range(3))


def assert_same(first, second) -> None:
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


REFERENCE = {epoch: joined(make_loader(N).epoch(epoch)) for epoch in (0, 1)}

few = settings(max_examples=12, derandomize=True, deadline=None)


def test_a_batch_is_what_the_network_wants():
    loader = make_loader(8)
    batches = list(loader.epoch(0))
    assert loader.steps == len(batches) == 6
    assert [batch.size for batch in batches] == [len(batch.images) for batch in batches] == [8, 8, 8, 8, 8, 1]
    for batch in batches:
        assert isinstance(batch, Batch)
        assert batch.images.dtype == torch.float32
        assert batch.images.shape[1:] == (3, 16, 16)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.labels.dtype == batch.indices.dtype == torch.int64
        assert batch.partner is None


def test_indices_and_labels_follow_the_order():
    _, labels, indices = joined(make_loader(8).epoch(3))
    np.testing.assert_array_equal(indices.numpy(), Shuffled(N, RANDOMNESS)(3))
    np.testing.assert_array_equal(labels.numpy(), DATA.labels[indices.numpy()])


@given(batch_size=st.integers(1, N + 5), epoch=st.sampled_from((0, 1)))
@few
def test_samples_do_not_depend_on_the_batch_size(batch_size, epoch):
    assert_same(joined(make_loader(batch_size).epoch(epoch)), REFERENCE[epoch])


@given(batch_size=st.integers(1, N + 5), world_size=st.integers(1, 5))
@few
def test_ranks_slice_every_global_batch(batch_size, world_size):
    ranks = [list(make_loader(batch_size, rank=rank, world_size=world_size).epoch(0)) for rank in range(world_size)]
    for step, parts in enumerate(zip(*ranks, strict=True)):
        first = step * batch_size
        expected = tuple(field[first : first + batch_size] for field in REFERENCE[0])
        assert_same(joined(parts), expected)
        assert {part.size for part in parts} == {len(expected[0])}
        sizes = [len(part.images) for part in parts]
        assert sizes == [len(part) for part in np.array_split(np.arange(len(expected[0])), world_size)]


@given(batch_size=st.integers(1, 12), first_step=st.integers(0, N))
@few
def test_an_epoch_can_be_entered_at_any_step(batch_size, first_step):
    loader = make_loader(batch_size)
    first_step = min(first_step, loader.steps)
    expected = tuple(field[first_step * batch_size :] for field in REFERENCE[1])
    batches = list(loader.epoch(1, first_step))
    assert len(batches) == loader.steps - first_step
    if batches:
        assert_same(joined(batches), expected)


def test_steps_in_any_order():
    loader = make_loader(8)
    whole = list(loader.epoch(0))
    for step, batch in zip((4, 0, 5, 0), loader.batches(0, (4, 0, 5, 0)), strict=True):
        assert_same(batch[:3], whole[step][:3])
    assert_same(loader.batch(0, 3)[:3], whole[3][:3])


def test_epochs_side_by_side_do_not_disturb_each_other():
    loader = make_loader(8)
    first, second = [], []
    for one, other in zip(loader.epoch(0), loader.epoch(1), strict=True):
        first.append(one)
        second.append(other)
    assert_same(joined(first), REFERENCE[0])
    assert_same(joined(second), REFERENCE[1])


def test_chunks_do_not_show(monkeypatch):
    monkeypatch.setattr("longtail.loading.memory.HOST_CHUNK", 1)
    assert_same(joined(make_loader(5).epoch(0)), REFERENCE[0])


def test_what_depends_on_what():
    base = REFERENCE[0][0]
    assert not torch.equal(base, REFERENCE[1][0])
    assert not torch.equal(joined(make_loader(randomness=Randomness(12)).epoch(0))[0], base)
    assert not torch.equal(joined(make_loader(stream="other").epoch(0))[0], base)
    assert_same(joined(make_loader().epoch(0)), REFERENCE[0])


def test_a_sample_that_is_drawn_twice_is_augmented_twice():
    labels = np.repeat(np.arange(3), (30, 10, 1))
    order = ClassWeighted(labels, np.array([30, 10, 1]), 1.0, RANDOMNESS)
    images, _, indices = joined(make_loader(order=order, augmentation=cifar_standard(16, 2)).epoch(0))
    repeated = images[indices == 40]
    assert len(repeated) > 8
    assert len({image.numpy().tobytes() for image in repeated}) > 4


def test_normalisation_equals_torchvisions_to_the_bit():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3).contiguous()
    images = torch.cat((levels, varied_images(20, 16, 16)))
    result = Normalise(MEAN, STD, torch.device("cpu"))(images)
    expected = torch.stack([functional.normalize(functional.to_tensor(image.numpy()), MEAN, STD) for image in images])
    assert torch.equal(result, expected)


def test_published_normalised_values():
    black_and_white = torch.tensor((0, 255), dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 1, 3).contiguous()
    black, white = Normalise(MEAN, STD, torch.device("cpu"))(black_and_white).flatten(1)
    torch.testing.assert_close(black, torch.tensor((-2.42906570, -2.41825485, -2.22139311)), rtol=0, atol=5e-8)
    torch.testing.assert_close(white, torch.tensor((2.51408792, 2.59679031, 2.75373125)), rtol=0, atol=5e-8)


def test_sizes_may_change_from_call_to_call():
    normalise = Normalise(MEAN, STD, torch.device("cpu"))
    for side in (4, 8, 4):
        images = varied_images(3, side, side)
        expected = torch.stack([functional.normalize(functional.to_tensor(image.numpy()), MEAN, STD) for image in images])
        assert torch.equal(normalise(images), expected)


@pytest.mark.parametrize("world_size", [1, 3, 8])
def test_evaluation_shows_every_image_once_and_unchanged(world_size):
    shown = [
        make_loader(16, order=Sequential(N), augmentation=None, randomness=None, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    images, _, indices = joined(itertools.chain.from_iterable(loader.epoch(0) for loader in shown))
    assert sorted(indices.tolist()) == list(range(N))
    expected = Normalise(MEAN, STD, torch.device("cpu"))(torch.from_numpy(DATA.images.array))
    assert torch.equal(images, expected[indices])


def test_the_data_set_is_neither_copied_nor_changed():
    data = make_data()
    before = data.images.array.copy()
    loader = make_loader(data=data)
    list(loader.epoch(0))
    np.testing.assert_array_equal(data.images.array, before)
    assert loader._images.data_ptr() == data.images.array.ctypes.data


def test_read_only_images_are_accepted():
    data = make_data()
    data.images.array.flags.writeable = False
    assert_same(joined(make_loader(data=data).epoch(0)), REFERENCE[0])


def test_the_last_batch_can_be_left_out():
    loader = make_loader(8, drop_last=True)
    assert loader.steps == 5
    assert_same(joined(loader.epoch(0)), tuple(field[:40] for field in REFERENCE[0]))
    assert make_loader(N, drop_last=True).steps == 1


def test_an_empty_set_has_no_steps():
    loader = make_loader(data=make_data(5).subset([]), order=Sequential(0))
    assert loader.steps == 0
    assert list(loader.epoch(0)) == []


def test_no_batch_left_is_the_users_mistake():
    with pytest.raises(UserError, match="there are 41 samples, fewer than a batch of 42"):
        make_loader(42, drop_last=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"rank": 2, "world_size": 2}, "rank=2 world_size=2"),
        ({"randomness": None}, "needs a source of randomness"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_loader(**options)


@pytest.mark.parametrize(("mean", "std"), [((0.5,), STD), (MEAN, (0.2, 0.0, 0.2))])
def test_wrong_normalisation_is_refused(mean, std):
    with pytest.raises(ValueError, match="three entries"):
        Normalise(mean, std, torch.device("cpu"))


@pytest.mark.parametrize("steps", [(6,), (-1, 2)])
def test_steps_outside_the_epoch_are_refused(steps):
    with pytest.raises(ValueError, match="the steps 0 to 5"):
        make_loader(8).batches(0, steps)


def test_the_host_never_waits_for_an_accelerator(monkeypatch, no_waiting):
    monkeypatch.setattr(transfer, "on_host", lambda _: False)
    loader = make_loader(8)
    batches = []
    with no_waiting:
        for epoch in (0, 1):
            batches.append(list(loader.epoch(epoch)))
    for epoch in (0, 1):
        assert_same(joined(batches[epoch]), REFERENCE[epoch])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_shows_the_same_images():
    images, labels, indices = joined(make_loader(8, device="cuda").epoch(0))
    assert images.is_cuda
    assert_same((images.cpu(), labels.cpu(), indices.cpu()), REFERENCE[0])


def test_the_factory_chooses_by_kind_of_images():
    class Elsewhere:
        def __len__(self):
            return 3

        def take(self, indices):
            return self

    options = {"batch_size": 4, "mean": MEAN, "std": STD, "randomness": RANDOMNESS, "augmentation": cifar_strong(16, 2)}
    assert_same(joined(create_loader(DATA, Shuffled(N, RANDOMNESS), **options).epoch(0)), REFERENCE[0])
    strange = ImageData(Elsewhere(), np.zeros(3, dtype=np.int64), ("a",))
    with pytest.raises(UserError, match="no loader for Elsewhere; images can be given as ArrayImages"):
        create_loader(strange, Sequential(3), **options)
    with pytest.raises(ValueError, match="images in memory"):
        InMemoryLoader(strange, Sequential(3), **options)
