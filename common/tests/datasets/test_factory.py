import re
from dataclasses import replace

import numpy as np
import pytest

from longtail.datasets.base import ArrayImages, ImageData, LongTailData
from longtail.datasets.factory import DATASETS, create_data, fingerprint
from longtail.errors import UserError


@pytest.mark.parametrize("name", DATASETS)
def test_every_name_makes_data_without_torch_or_a_download(name, request):
    root = "" if name == "digits" else request.getfixturevalue(f"{name}_root")
    data = create_data(name, root=root, imbalance_factor=0.1, download=False)
    assert data.name == name
    assert data.class_counts[0] == data.class_counts.max() > data.class_counts[-1]
    assert data.val is None
    assert len(set(data.test.class_counts)) == 1


def test_unknown_name_lists_the_valid_ones():
    with pytest.raises(UserError, match="unknown data set 'cifar-100'; choose one of cifar10, cifar100, digits"):
        create_data("cifar-100")


def test_arguments_reach_the_split():
    step = create_data("digits", imbalance_factor=0.1, profile="step")
    assert step.class_counts.tolist() == [124] * 5 + [12] * 5
    with pytest.raises(UserError, match="outside"):
        create_data("digits", imbalance_factor=10)
    one, other = (create_data("digits", split_seed=seed) for seed in (0, 1))
    assert fingerprint(one) != fingerprint(other)


def test_holdout_divides_the_training_images():
    whole = create_data("digits", imbalance_factor=0.1)
    data = create_data("digits", imbalance_factor=0.1, holdout=0.2, holdout_seed=3)
    assert data.val is not None
    assert (data.class_counts + data.val.class_counts).tolist() == whole.class_counts.tolist()
    assert data.val.class_counts.tolist() == [25, 19, 15, 11, 9, 7, 5, 4, 3, 2]
    np.testing.assert_array_equal(data.test.labels, whole.test.labels)
    other = create_data("digits", imbalance_factor=0.1, holdout=0.2, holdout_seed=4)
    assert fingerprint(data) != fingerprint(other)


class Paths:
    """Images in files, as far as a fingerprint is concerned."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)


def tiny() -> LongTailData:
    array = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 3)
    part = ImageData(ArrayImages(array), np.array([0, 1]), ("a", "b"))
    return LongTailData("tiny", part, None, part, 3, (0.5,) * 3, (0.5,) * 3)


def test_fingerprint_is_short_and_repeatable():
    assert re.fullmatch(r"[0-9a-f]{16}", fingerprint(tiny()))
    assert fingerprint(tiny()) == fingerprint(tiny())


def test_fingerprint_sees_every_change():
    data = tiny()
    brighter = data.train.images.array.copy()
    brighter[1, 2, 2, 2] += 1
    variants = [
        data,
        replace(data, val=data.train),
        replace(data, test=data.test.subset([1, 0])),
        replace(data, train=data.train.subset([0])),
        replace(data, train=replace(data.train, images=ArrayImages(brighter))),
        replace(data, train=replace(data.train, images=ArrayImages(data.train.images.array.reshape(2, 9, 1, 3)))),
        replace(data, train=replace(data.train, labels=np.array([1, 1]))),
        replace(data, train=replace(data.train, class_names=("a", "c"))),
        replace(data, train=replace(data.train, images=Paths(["x.jpg", "y.jpg"]))),
        replace(data, train=replace(data.train, images=Paths(["x.jpg", "z.jpg"]))),
    ]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)
    assert fingerprint(replace(data, name="other")) == fingerprint(data)


def test_fingerprint_ignores_how_an_array_lies_in_memory():
    data = tiny()
    array = data.train.images.array
    strided = np.asfortranarray(array)
    assert fingerprint(replace(data, train=replace(data.train, images=ArrayImages(strided)))) == fingerprint(data)
