"""DPA-EI's ImageNet-LT and iNaturalist 2018: which images are trained on, judged by, validated with, and meta."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from longtail.cli.main import dispatch
from longtail.datasets.base import FileImages, ImageData, LongTailData
from longtail.datasets.factory import create_data, fingerprint
from longtail.datasets.published import LISTS
from longtail.errors import UserError
from longtail_dpa_ei.experiments import LARGE
from longtail_dpa_ei.large_data import load_lists_with_meta, meta_indices

CLASSES, PER_CLASS = 6, 4
IMAGENET, INAT = "ImageNet_LT", "iNaturalist18"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A working folder of its own: lists are looked for there."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small fake data; the smallest class of iNaturalist has 2 training images."""
    roots = {}
    for dataset, experiment in LARGE.items():
        roots[dataset] = tmp_path_factory.mktemp("fake") / dataset
        sizes = f"--num-classes {CLASSES} --largest-class 120 --test-per-class {PER_CLASS}"
        assert not dispatch(["data", "fake", "--layout", experiment.lists, *sizes.split(), "--out", str(roots[dataset])])
    return roots


@pytest.fixture
def imagenet(fakes, tmp_path) -> Path:
    """A copy of the fake ImageNet-LT, to damage."""
    return Path(shutil.copytree(fakes[IMAGENET], tmp_path / "imagenet"))


def load(dataset, root, num_meta=2, **options) -> LongTailData:
    return load_lists_with_meta(LARGE[dataset], root, num_meta, **options)


def listed(root, file, indices=slice(None)) -> list[str]:
    return list(np.array((root / file).read_text().splitlines())[indices])


def lines(part: ImageData) -> list[str]:
    assert isinstance(part.images, FileImages)
    return [f"{path} {label}" for path, label in zip(part.images.paths, part.labels.tolist(), strict=True)]


def only_labels(labels, num_classes) -> ImageData:
    paths = tuple(f"{number}.jpg" for number in range(len(labels)))
    return ImageData(FileImages(Path(), paths), np.asarray(labels, dtype=np.int64), tuple("abcdefgh"[:num_classes]))


# --- Which images are meta


def test_eighteen_images_of_three_classes():
    assert meta_indices(only_labels(np.arange(18) % 3, 3), 2, 42, "list").tolist() == [0, 1, 3, 5, 10, 14]


def test_meta_images_may_be_all_that_a_class_has():
    images = only_labels([0, 0, 1, 1, 0, 1, 2, 2], 3)
    chosen = meta_indices(images, 2, 0, "list")
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(images.labels[chosen]).tolist() == [2, 2, 2]
    with pytest.raises(UserError, match="num_meta 3 is too many for class c, of which list has 2; it can be 2 at most"):
        meta_indices(images, 3, 0, "list")
    with pytest.raises(UserError, match="too many for class d, of which list has 0; it can be 0 at most"):
        meta_indices(only_labels(images.labels, 4), 1, 0, "list")
    with pytest.raises(UserError, match="at least 1, got 0"):
        meta_indices(images, 0, 0, "list")
    with pytest.raises(UserError, match="seed -1 is outside"):
        meta_indices(images, 1, -1, "list")


def test_no_global_generator_moves(fakes):
    before = random.getstate(), str(np.random.get_state())
    load(INAT, fakes[INAT], holdout=0.2)
    assert (random.getstate(), str(np.random.get_state())) == before


# --- What is loaded


def test_imagenet_takes_meta_images_from_the_validation_list(fakes):
    root = fakes[IMAGENET]
    data = load(IMAGENET, root)
    assert (data.name, data.num_classes, data.image_size, data.val) == ("imagenet-lt", CLASSES, 224, None)
    assert (data.mean, data.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert lines(data.train) == listed(root, "ImageNet_LT_train.txt")
    assert lines(data.test) == listed(root, "ImageNet_LT_test.txt")
    chosen = meta_indices(only_labels(np.repeat(np.arange(CLASSES), PER_CLASS), CLASSES), 2, 42, "")
    assert lines(data.meta) == listed(root, "ImageNet_LT_val.txt", chosen)
    assert not set(data.meta.images.paths) & set(data.train.images.paths)


def test_imagenet_validates_with_the_rest_of_that_list(fakes):
    root = fakes[IMAGENET]
    data, without = load(IMAGENET, root, holdout=0.2), load(IMAGENET, root)
    assert lines(data.meta) == lines(without.meta)
    assert lines(data.train) == lines(without.train)
    meta = set(lines(data.meta))
    assert lines(data.val) == [line for line in listed(root, "ImageNet_LT_val.txt") if line not in meta]
    assert data.val.class_counts.tolist() == [PER_CLASS - 2] * CLASSES
    assert load(IMAGENET, root, PER_CLASS).meta.class_counts.tolist() == [PER_CLASS] * CLASSES
    with pytest.raises(UserError, match="num_meta takes all validation images"):
        load(IMAGENET, root, PER_CLASS, holdout=0.2)


def test_inaturalist_takes_meta_images_from_the_training_list_where_they_stay(fakes):
    root = fakes[INAT]
    data = load(INAT, root)
    assert (data.name, data.num_classes, data.image_size, data.val) == ("inat18", CLASSES, 224, None)
    assert (data.mean, data.std) == ((0.466, 0.471, 0.380), (0.195, 0.194, 0.192))
    assert lines(data.train) == listed(root, "iNaturalist18_train.txt")
    assert lines(data.test) == listed(root, "iNaturalist18_val.txt")
    chosen = meta_indices(data.train, 2, 42, "")
    assert lines(data.meta) == listed(root, "iNaturalist18_train.txt", chosen)
    assert data.meta.class_counts.tolist() == [2] * CLASSES


def test_inaturalist_validates_with_training_images_that_are_not_meta(fakes, monkeypatch):
    """Every image of fake iNaturalist stands for a whole class: here they get names of their own."""
    inside = LISTS["inat18"].form

    class Told:
        def read(self, path, num_classes):
            read = inside.read(path, num_classes)
            return type(read)(tuple(f"{path.stem}/{number}.jpg" for number in range(len(read.paths))), read.labels, read.places)

    whole = load(INAT, fakes[INAT]).class_counts
    monkeypatch.setitem(LISTS, "inat18", _with_form(LISTS["inat18"], Told()))
    monkeypatch.setattr("longtail.datasets.lists.missing_files", lambda *_: set())
    without, data = (load(INAT, fakes[INAT], holdout=holdout) for holdout in (None, 0.25))
    assert lines(data.meta) == lines(without.meta)
    parts = [set(part.images.paths) for part in (data.train, data.val, data.meta)]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == set(without.train.images.paths)
    assert parts[2] < parts[0], "meta images are trained on, and none validates"
    for part in (data.train, data.val):
        assert (np.diff(part.labels) >= 0).all(), "in the order of the list"
    expected = [round(0.25 * (count - 2)) for count in whole.tolist()]
    assert data.val.class_counts.tolist() == expected
    assert 0 in expected, "a class of meta images only has none to hold out"


def _with_form(known, form):
    return type(known)(**{**vars(known), "form": form})


@pytest.mark.parametrize("dataset", LARGE)
def test_the_seed_is_42_unless_told(dataset, fakes):
    prints = [fingerprint(load(dataset, fakes[dataset], 1, **seed)) for seed in ({}, {"seed": 42})]
    assert prints[0] == prints[1]
    others = [load(dataset, fakes[dataset], 1, seed=seed) for seed in range(20)]
    if dataset == IMAGENET:
        assert len({fingerprint(other) for other in others}) > 10


@pytest.mark.parametrize("dataset", LARGE)
def test_too_large_meta_sets_are_told(dataset, fakes):
    told = {
        IMAGENET: rf"num_meta 5 is too many for class n10000000, of which ImageNet_LT_val\.txt has {PER_CLASS}; it can be 4 at",
        INAT: r"num_meta 5 is too many for class \d, of which iNaturalist18_train\.txt has 2; it can be 2 at most",
    }
    with pytest.raises(UserError, match=told[dataset]):
        load(dataset, fakes[dataset], 5)


@pytest.mark.parametrize("dataset", LARGE)
def test_meta_images_are_shown_as_the_part_is_that_they_come_from(dataset):
    assert LARGE[dataset].augments_meta == (LARGE[dataset].meta_from == "train")


# --- For evaluation alone


def test_evaluation_needs_neither_meta_nor_training_images(imagenet):
    whole = load(IMAGENET, imagenet)
    shutil.rmtree(imagenet / "train")
    (imagenet / "ImageNet_LT_val.txt").unlink()
    for holdout in (None, 0.2):
        data = load(IMAGENET, imagenet, 1000, only_tested=True, holdout=holdout)
        assert (data.val, data.meta) == (None, None)
        assert data.class_counts.tolist() == whole.class_counts.tolist()
        assert lines(data.test) == lines(whole.test)
    with pytest.raises(UserError, match=r"ImageNet_LT_train\.txt, line 1: there is no"):
        load(IMAGENET, imagenet)
    with pytest.raises(UserError, match=r"ImageNet_LT_val\.txt is missing"):
        load(IMAGENET, imagenet, on_bad_image="skip")


def test_evaluation_knows_what_was_held_out_of_training(fakes):
    trained, tested = (load(INAT, fakes[INAT], holdout=0.3, only_tested=tested) for tested in (False, True))
    assert tested.meta is None
    assert tested.class_counts.tolist() == trained.class_counts.tolist()
    assert load(INAT, fakes[INAT], 1000, only_tested=True).class_counts.sum() > trained.class_counts.sum()


# --- Where lists and images lie


@pytest.mark.parametrize("dataset", LARGE)
def test_lists_are_looked_for_in_data_first(dataset, tmp_path):
    root = tmp_path / "root"
    file = f"{dataset}_train.txt"
    places = [Path("data"), Path("data") / dataset, Path(dataset), root / dataset, root]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        (place / file).write_text("x.jpg 9999\n")
    for place in places:
        with pytest.raises(UserError, match=rf"^{place / file}, line 1: label 9999"):
            load(dataset, root)
        (place / file).unlink()
    with pytest.raises(UserError) as caught:
        load(dataset, root)
    looked = ", ".join(f"{place}/" for place in places)
    assert f"{file} is in none of {looked}.\nExpected: {file}, " in str(caught.value)


@pytest.mark.parametrize("dataset", LARGE)
def test_fake_data_bring_their_own_lists(dataset, fakes):
    Path("data").mkdir()
    Path("data", f"{dataset}_train.txt").write_text("those of the real data")
    assert load(dataset, fakes[dataset]).num_classes == CLASSES


def test_flat_validation_images_are_tested_on(imagenet):
    before = load(IMAGENET, imagenet)
    for folder in sorted((imagenet / "val").iterdir()):
        for path in folder.iterdir():
            path.rename(imagenet / "val" / path.name)
        folder.rmdir()
    data = load(IMAGENET, imagenet)
    assert data.test.images.files == tuple(f"val/{Path(path).name}" for path in before.test.images.paths)
    assert data.train.images.files == before.train.images.paths
    assert data.meta.images.files == before.meta.images.paths
    assert fingerprint(data) == fingerprint(before)


# --- Images that cannot be read


def test_skipped_meta_images_are_not_replaced(imagenet):
    before = load(IMAGENET, imagenet, holdout=0.2)
    bad = [before.meta.images.paths[0], before.val.images.paths[-1]]
    for path in bad:
        (imagenet / path).write_bytes(b"")
    data = load(IMAGENET, imagenet, holdout=0.2, on_bad_image="skip")
    assert Counter(data.left_out) == Counter(bad)
    assert lines(data.meta) == lines(before.meta)[1:]
    assert lines(data.val) == lines(before.val)[:-1]

    (imagenet / before.meta.images.paths[1]).unlink()
    with pytest.raises(UserError, match="class n10000000 would be left without meta images"):
        load(IMAGENET, imagenet, on_bad_image="skip")
    with pytest.raises(UserError, match=rf"there is no {imagenet / before.meta.images.paths[1]}"):
        load(IMAGENET, imagenet)


@pytest.mark.parametrize("dataset", LARGE)
def test_the_data_without_meta_images_are_the_cores(dataset, fakes):
    ours = load(dataset, fakes[dataset])
    theirs = create_data(LARGE[dataset].lists, root=fakes[dataset])
    for part in ("train", "test"):
        assert lines(getattr(ours, part)) == lines(getattr(theirs, part))
