"""DPA-EI's CIFAR from files: meta images, long tail, normalisation."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from longtail.cli.main import dispatch
from longtail.datasets.cifar import ARCHIVES, load_cifar, read_cifar
from longtail.datasets.factory import fingerprint
from longtail.datasets.splits import stratified_holdout
from longtail.errors import UserError
from longtail_dpa_ei.data import load_cifar_with_meta
from longtail_dpa_ei.splits import split_with_meta

PER_CLASS = {"cifar10": 60, "cifar100": 20}
META = {"cifar10": 10, "cifar100": 8}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small fake archives in the folders that the paper's commands look into."""
    found = {}
    for name, largest in PER_CLASS.items():
        found[name] = tmp_path_factory.mktemp("data") / name.upper()
        words = f"data fake --layout {name} --largest-class {largest} --test-per-class 2 --out".split()
        assert not dispatch([*words, str(found[name])])
    return found


def load(name, roots, **options):
    return load_cifar_with_meta(name, roots[name], **{"num_meta": META[name], "imbalance_factor": 0.1, **options})


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_images_are_those_of_the_split_in_data_set_order(name, roots):
    data = load(name, roots, seed=7)
    whole, test = read_cifar(name, roots[name])
    classes = whole.num_classes
    assert (data.name, data.num_classes, data.image_size, data.val) == (name, classes, 32, None)

    split = split_with_meta(whole.labels, classes, META[name], 0.1, 7)
    for part, indices in ((data.train, split.train), (data.meta, split.meta)):
        expected = whole.subset(indices)
        np.testing.assert_array_equal(part.images.array, expected.images.array)
        np.testing.assert_array_equal(part.labels, expected.labels)
        assert part.class_names == whole.class_names
        assert (np.diff(part.labels) < 0).any(), "classes are mixed, as in the files"
    assert data.meta.class_counts.tolist() == [META[name]] * classes
    largest = PER_CLASS[name] - META[name]
    assert data.class_counts[[0, -1]].tolist() == [largest, int(largest * 0.1)]
    np.testing.assert_array_equal(data.test.labels, test.labels)
    np.testing.assert_array_equal(data.test.images.array, load_cifar(name, roots[name], imbalance_factor=0.1).test.images.array)


def test_the_seed_is_42_unless_told(roots):
    prints = [fingerprint(load("cifar10", roots, **seed)) for seed in ({}, {"seed": 42}, {"seed": 43})]
    assert prints[0] == prints[1] != prints[2]


def test_the_normalisation_is_the_papers(roots):
    data = load("cifar100", roots)
    np.testing.assert_allclose(np.array(data.mean) * 255, [125.3, 123.0, 113.9])
    np.testing.assert_allclose(np.array(data.std) * 255, [63.0, 62.1, 66.7])


def test_held_out_images_come_from_the_training_images_alone(roots):
    whole, data = (load("cifar10", roots, holdout=holdout) for holdout in (None, 0.2))
    kept, held_out = stratified_holdout(whole.train.labels, 0.2, 0)
    for part, indices in ((data.train, kept), (data.val, held_out)):
        np.testing.assert_array_equal(part.images.array, whole.train.images.array[indices])
    np.testing.assert_array_equal(data.meta.images.array, whole.meta.images.array)


def test_the_inner_folder_is_accepted_as_root(roots):
    inner = {"cifar10": roots["cifar10"] / ARCHIVES["cifar10"].folder}
    assert fingerprint(load("cifar10", inner)) == fingerprint(load("cifar10", roots))


def test_no_global_generator_moves(roots):
    def state():
        return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()

    before = state()
    load("cifar10", roots, holdout=0.2)
    assert state() == before


def test_impossible_splits_are_told(roots):
    with pytest.raises(
        UserError, match="num_meta 60 leaves nothing to train on of class 0, which has 60 images; it can be 59 "
    ):
        load("cifar10", roots, num_meta=60)
    with pytest.raises(UserError, match=r"num_meta is .* at least 1, got 0"):
        load("cifar10", roots, num_meta=0)
    with pytest.raises(UserError, match=r"class 8 would get no image: the largest class has 50, .* a factor above 0\.02"):
        load("cifar10", roots, imbalance_factor=0.01)


def test_missing_files_are_told_as_for_other_splits(tmp_path):
    told = []
    for attempt in (load_cifar_with_meta, load_cifar):
        with pytest.raises(UserError, match="longtail data fake --layout cifar10") as caught:
            attempt("cifar10", tmp_path, download=False, **({"num_meta": 1} if attempt is load_cifar_with_meta else {}))
        told.append(str(caught.value))
    assert told[0] == told[1]
