import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from longtail.datasets.base import ArrayImages, FileImages, ImageData, LongTailData
from longtail.datasets.factory import create_data, fingerprint, hold_out
from longtail.datasets.fake import write_fake
from longtail.errors import UserError
from longtail.names import DATASETS, IN_FILES, LONG_TAILED_BY_RULE


@pytest.fixture(scope="module")
def in_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The roots of small fake data sets of images in files, by name."""
    layouts = {name: name if name not in ("csv", "folder") else "mini-imagenet" for name in IN_FILES}
    root = tmp_path_factory.mktemp("in_files")
    sizes = {"num_classes": 4, "largest_class": 6, "test_per_class": 2}
    return {name: write_fake(layout, root / name, **sizes) for name, layout in layouts.items()}


@pytest.mark.parametrize("name", LONG_TAILED_BY_RULE)
def test_every_name_makes_data_without_a_download(name, request):
    root = "" if name == "digits" else request.getfixturevalue(f"{name}_root")
    data = create_data(name, root=root, imbalance_factor=0.1, download=False)
    assert data.name == name
    assert data.class_counts[0] == data.class_counts.max() > data.class_counts[-1]
    assert data.val is None
    assert len(set(data.test.class_counts)) == 1


@pytest.mark.parametrize("name", IN_FILES)
def test_every_name_makes_data_from_files(name, in_files):
    data = create_data(name, root=in_files[name], imbalance_factor=0.5)
    assert data.name == name
    assert sorted(data.class_counts.tolist()) == [1, 2, 3, 6], "as long-tailed as the files are"
    assert (data.val, data.image_size) == (None, 224)
    assert create_data(name, root=in_files[name], image_size=64).image_size == 64


def test_names_are_those_of_both_kinds():
    assert set(DATASETS) == {*LONG_TAILED_BY_RULE, *IN_FILES}
    assert LONG_TAILED_BY_RULE == ("cifar10", "cifar100", "digits")
    assert IN_FILES == ("imagenet-lt", "places-lt", "inat18", "imagenet-lt-csv", "inat18-json", "csv", "folder")


def test_importing_the_module_imports_neither_torch_nor_pillow():
    code = "import sys, longtail.datasets.factory; sys.exit(bool({'torch', 'torchvision', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["imagenet-lt", "places-lt", "csv", "folder"])
def test_validation_images_that_a_data_set_brings_are_held_out(name, in_files):
    data = create_data(name, root=in_files[name], holdout=0.2)
    assert data.val is not None
    assert data.val.class_counts.tolist() == [2] * 4
    assert data.class_counts.tolist() == create_data(name, root=in_files[name]).class_counts.tolist()


@pytest.mark.parametrize("name", ["inat18", "imagenet-lt-csv", "inat18-json"])
def test_where_a_data_set_brings_none_training_images_are_held_out(name, in_files):
    data = create_data(name, root=in_files[name], holdout=0.2)
    assert data.val is not None
    assert sorted(data.val.class_counts.tolist()) == [0, 1, 1, 1]
    assert sorted((data.class_counts + data.val.class_counts).tolist()) == [1, 2, 3, 6]


def test_impossible_image_sizes_are_told(in_files):
    with pytest.raises(UserError, match="at least 1 pixel, got 0"):
        create_data("folder", root=in_files["folder"], image_size=0)
    with pytest.raises(UserError, match="images of digits keep their size; an image size can be chosen for imagenet-lt"):
        create_data("digits", image_size=32)


def test_unknown_name_lists_the_valid_ones():
    with pytest.raises(UserError, match="unknown data set 'cifar-100'; choose one of cifar10, cifar100, digits, imagenet-lt,"):
        create_data("cifar-100")


def test_arguments_reach_the_split():
    step = create_data("digits", imbalance_factor=0.1, profile="step")
    assert step.class_counts.tolist() == [124] * 5 + [12] * 5
    with pytest.raises(UserError, match="outside"):
        create_data("digits", imbalance_factor=10)
    assert len({fingerprint(create_data("digits", split_seed=seed)) for seed in (0, 1, None)}) == 3


def test_holdout_divides_the_training_images():
    whole = create_data("digits", imbalance_factor=0.1)
    data = create_data("digits", imbalance_factor=0.1, holdout=0.2, holdout_seed=3)
    assert data.val is not None
    assert (data.class_counts + data.val.class_counts).tolist() == whole.class_counts.tolist()
    assert data.val.class_counts.tolist() == [25, 19, 15, 11, 9, 7, 5, 4, 3, 2]
    np.testing.assert_array_equal(data.test.labels, whole.test.labels)
    other = create_data("digits", imbalance_factor=0.1, holdout=0.2, holdout_seed=4)
    assert fingerprint(data) != fingerprint(other)


def test_meta_images_stay_where_others_are_held_out():
    digits = create_data("digits", imbalance_factor=0.1)
    data = hold_out(replace(digits, meta=digits.test), 0.2, 3)
    assert data.meta is digits.test
    same = create_data("digits", imbalance_factor=0.1, holdout=0.2, holdout_seed=3)
    assert fingerprint(replace(data, meta=None)) == fingerprint(same)
    assert hold_out(data, 0.5) is data, "it has held out images already"
    assert hold_out(digits, None) is digits


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
        replace(data, meta=data.train),
        replace(data, meta=data.train.subset([0])),
        replace(data, val=data.train, meta=data.train),
        replace(data, test=data.test.subset([1, 0])),
        replace(data, train=data.train.subset([0])),
        replace(data, train=replace(data.train, images=ArrayImages(brighter))),
        replace(data, train=replace(data.train, images=ArrayImages(data.train.images.array.reshape(2, 9, 1, 3)))),
        replace(data, train=replace(data.train, labels=np.array([1, 1]))),
        replace(data, train=replace(data.train, class_names=("a", "c"))),
        replace(data, train=replace(data.train, images=FileImages(Path(), ("x.jpg", "y.jpg")))),
        replace(data, train=replace(data.train, images=FileImages(Path(), ("x.jpg", "z.jpg")))),
        replace(data, train=replace(data.train, images=FileImages(Path(), ("x.jpg", "z.jpg"), upright=True))),
    ]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)
    assert fingerprint(replace(data, name="other")) == fingerprint(data)


def test_fingerprints_without_meta_images_are_those_of_older_runs():
    data, digits = tiny(), create_data("digits")
    found = [fingerprint(each) for each in (data, replace(data, val=data.train), digits, hold_out(digits, 0.2))]
    assert found == ["cf2e95ace02381f3", "fc2869c00e847717", "b34acc8c8426ded5", "be20702204854467"]


def test_fingerprint_ignores_how_an_array_lies_in_memory():
    data = tiny()
    array = data.train.images.array
    strided = np.asfortranarray(array)
    assert fingerprint(replace(data, train=replace(data.train, images=ArrayImages(strided)))) == fingerprint(data)


def test_fingerprint_of_files_does_not_depend_on_where_they_lie():
    data = tiny()
    here, there = (replace(data.train, images=FileImages(Path(root), ("x.jpg", "y.jpg"))) for root in ("here", "there"))
    assert fingerprint(replace(data, train=here)) == fingerprint(replace(data, train=there))
