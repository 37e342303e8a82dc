"""What is peculiar to the in-memory loader, and the normalisation: torchvision's, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loader_kinds import MEAN, RANDOMNESS, STD, N, assert_same, joined
from pillow_reference import varied_images
from torchvision.transforms import functional

from longtail.datasets.base import ArrayImages, ImageData
from longtail.errors import UserError
from longtail.loading import CentreCrop, Framed, Sequential, Shuffled, cifar_strong, create_loader
from longtail.loading.memory import InMemoryLoader
from longtail.loading.normalise import Normalise


def make_data(count: int = N, side: int = 16) -> ImageData:
    labels = np.arange(count, dtype=np.int64) % 3
    return ImageData(ArrayImages(varied_images(count, side, side).numpy()), labels, ("a", "b", "c"))


DATA = make_data()


def make_loader(batch_size: int = 8, *, data: ImageData = DATA, **options) -> InMemoryLoader:
    options = {"augmentation": cifar_strong(16, 2), "randomness": RANDOMNESS} | options
    order = options.pop("order", None) or Shuffled(len(data), RANDOMNESS)
    return InMemoryLoader(data, order, batch_size=batch_size, mean=MEAN, std=STD, **options)


REFERENCE = joined(make_loader(N).epoch(0))


def test_chunks_do_not_show(monkeypatch):
    monkeypatch.setattr("longtail.loading.memory.HOST_CHUNK", 1)
    assert_same(joined(make_loader(5).epoch(0)), REFERENCE)


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


def test_without_an_augmentation_images_are_shown_as_they_are():
    images, _, indices = joined(make_loader(16, augmentation=None, randomness=None).epoch(0))
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
    assert_same(joined(make_loader(data=data).epoch(0)), REFERENCE)


@pytest.mark.parametrize(("mean", "std"), [((0.5,), STD), (MEAN, (0.2, 0.0, 0.2))])
def test_wrong_normalisation_is_refused(mean, std):
    with pytest.raises(ValueError, match="three entries"):
        Normalise(mean, std, torch.device("cpu"))


def test_the_factory_chooses_by_kind_of_images():
    class Elsewhere:
        def __len__(self):
            return 3

        def take(self, indices):
            return self

    options = {"batch_size": 4, "mean": MEAN, "std": STD, "randomness": RANDOMNESS, "augmentation": cifar_strong(16, 2)}
    assert_same(joined(create_loader(DATA, Shuffled(N, RANDOMNESS), **options).epoch(0)), REFERENCE)
    strange = ImageData(Elsewhere(), np.zeros(3, dtype=np.int64), ("a",))
    with pytest.raises(UserError, match="no loader for Elsewhere; images can be given as ArrayImages, FileImages"):
        create_loader(strange, Sequential(3), **options)
    with pytest.raises(ValueError, match="for images in memory, not for Elsewhere"):
        InMemoryLoader(strange, Sequential(3), **options)
    with pytest.raises(ValueError, match="have one size already; a Framed augmentation is for images in files"):
        create_loader(DATA, Shuffled(N, RANDOMNESS), **options | {"augmentation": Framed(CentreCrop(8))})
