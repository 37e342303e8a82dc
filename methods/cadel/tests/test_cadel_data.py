"""The paper's data: lists under both names, and class counts that have to agree with them."""

import logging

import numpy as np
import pytest

from longtail.datasets.fake import write_fake
from longtail.errors import UserError
from longtail_cadel.data import load, read_counts
from longtail_cadel.experiments import DATA_SETS

IMAGENET = DATA_SETS["ImageNet_LT"]


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """A working folder with fake ImageNet-LT where the paper's code has it."""
    monkeypatch.chdir(tmp_path)
    return write_fake("imagenet-lt", "data/ImageNet_LT", num_classes=4, largest_class=6)


def loaded(**changes):
    return load(
        IMAGENET,
        **{
            "root": "data/ImageNet_LT",
            "num_classes": 4,
            "num_dir": "data/ImageNet_LT/num_shots.npz",
            "image_size": 32,
            **changes,
        },
    )


def test_counts_are_those_of_the_list_where_no_file_tells(caplog):
    with caplog.at_level(logging.WARNING):
        data = loaded()
    assert data.class_counts.sum() == len(data.train)
    assert "no num_shots.npz or num_shots.txt" in caplog.text
    assert data.val is not None
    assert len(data.val) == 8


@pytest.mark.parametrize("name", ["num_shots.npz", "num_shots.txt"])
def test_a_file_of_counts_has_to_agree(root, name, caplog):
    counts = loaded().class_counts

    def write(values):
        if name.endswith("npz"):
            np.savez(root / name, num_per_class=np.float32(values))
        else:
            (root / name).write_text("\n".join(map(str, values)))

    write(counts)
    caplog.clear()
    loaded()
    assert "num_shots" not in caplog.text
    write(counts + np.eye(4, dtype=np.int64)[2])
    with pytest.raises(UserError, match=r"contradicts the training list of ImageNet_LT: class 2 has"):
        loaded()
    write(counts[:3])
    with pytest.raises(UserError, match="has 3 classes"):
        loaded()


def test_a_contradicting_number_of_classes_is_named():
    with pytest.raises(UserError, match=r"num_classes is 1000, but ImageNet_LT .* has 4 classes"):
        loaded(num_classes=1000)


def test_training_on_the_validation_list_keeps_the_counts():
    usual, other = loaded(), loaded(val_as_train=True)
    assert other.train.images.paths == usual.val.images.paths
    np.testing.assert_array_equal(other.class_counts, usual.class_counts)
    assert other.train.class_counts.tolist() == [2, 2, 2, 2]


def test_inaturalist_is_tested_on_its_validation_list():
    write_fake("inat18", "data/iNaturalist18", num_classes=3, largest_class=4)
    inat = DATA_SETS["iNaturalist18"]
    data = load(inat, root=inat.folder, num_classes=3, num_dir=None, image_size=32)
    assert len(data.test) == 3
    assert data.std == (0.195, 0.194, 0.192)
    assert data.val is None
    assert len(load(inat, root=inat.folder, num_classes=3, num_dir=None, image_size=32, holdout=0.5).val) == 3
    with pytest.raises(UserError, match="no validation list besides"):
        load(inat, root=inat.folder, num_classes=3, num_dir=None, image_size=32, val_as_train=True)


@pytest.mark.parametrize("text", ["", "1 2 x", "1.5 2", "-1 3"])
def test_files_that_hold_no_counts(tmp_path, text):
    path = tmp_path / "num_shots.txt"
    path.write_text(text)
    with pytest.raises(UserError, match="class counts"):
        read_counts(path)


def test_an_npz_without_the_array(tmp_path):
    np.savez(tmp_path / "num_shots.npz", other=np.ones(3))
    with pytest.raises(UserError, match="class counts"):
        read_counts(tmp_path / "num_shots.npz")
