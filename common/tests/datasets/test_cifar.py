import hashlib
import json
import logging
import os
import pickle
import shutil
import tarfile
import urllib.error
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets as vision

from longtail.datasets import cifar
from longtail.datasets.cifar import ARCHIVES, load_cifar, read_cifar
from longtail.datasets.fake import MARKER, write_fake
from longtail.datasets.pickles import write_pickle
from longtail.datasets.splits import class_counts, ldam_subset
from longtail.errors import UserError

VISION = {"cifar10": vision.CIFAR10, "cifar100": vision.CIFAR100}


@pytest.fixture
def root(cifar100_root: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(cifar100_root, tmp_path / "data")
    return tmp_path / "data"


def replace_file(root: Path, name: str, data: bytes) -> None:
    """Puts other content in place of a fake file and makes the marker agree."""
    folder = root / "cifar-100-python"
    (folder / name).write_bytes(data)
    marker = json.loads((folder / MARKER).read_text())
    marker["md5"][name] = hashlib.md5(data).hexdigest()
    (folder / MARKER).write_text(json.dumps(marker))


@pytest.mark.parametrize("name", ARCHIVES)
def test_published_facts_are_those_of_torchvision(name):
    archive, oracle = ARCHIVES[name], VISION[name]
    assert list(archive.train.items()) == [tuple(entry) for entry in oracle.train_list]
    assert list(archive.test.items()) == [tuple(entry) for entry in oracle.test_list]
    assert archive.meta == {oracle.meta["filename"]: oracle.meta["md5"]}
    assert (archive.names_key, archive.folder) == (oracle.meta["key"], oracle.base_folder)
    assert (archive.tar, archive.tar_md5) == (oracle.filename, oracle.tgz_md5)
    assert getattr(vision, archive.torchvision_class) is oracle


@pytest.mark.parametrize("name", ARCHIVES)
def test_images_and_labels_are_those_of_torchvisions_reader(name, request, monkeypatch):
    root = request.getfixturevalue(f"{name}_root")
    md5 = json.loads((root / ARCHIVES[name].folder / MARKER).read_text())["md5"]
    oracle = VISION[name]
    for attribute in ("train_list", "test_list"):
        monkeypatch.setattr(oracle, attribute, [[file, md5[file]] for file, _ in getattr(oracle, attribute)])
    monkeypatch.setattr(oracle, "meta", {**oracle.meta, "md5": md5[oracle.meta["filename"]]})

    data = load_cifar(name, root, imbalance_factor=0.1, split_seed=3)
    test = oracle(str(root), train=False)
    np.testing.assert_array_equal(data.test.images.array, test.data)
    assert data.test.labels.tolist() == test.targets
    assert list(data.test.class_names) == test.classes

    train = oracle(str(root), train=True)
    labels = np.array(train.targets)
    stored = read_cifar(name, root)
    some = np.array([len(labels) - 1, 0, len(labels) // 2, 0])
    for part, whole in ((stored.train, train), (stored.test, test)):
        assert (part.labels.tolist(), len(part), list(part.class_names)) == (whole.targets, len(whole.data), test.classes)
        np.testing.assert_array_equal(part.subset(some % len(part)).images.array, whole.data[some % len(part)])
    largest = int(np.bincount(labels).max())
    chosen = ldam_subset(labels, class_counts(len(test.classes), largest, 0.1), 3)
    np.testing.assert_array_equal(data.train.images.array, train.data[chosen])
    np.testing.assert_array_equal(data.train.labels, labels[chosen])


def test_what_comes_out(cifar100_root):
    data = load_cifar("cifar100", cifar100_root, imbalance_factor=0.1)
    assert (data.name, data.num_classes, data.image_size, data.val) == ("cifar100", 100, 32, None)
    assert data.class_counts.tolist() == class_counts(100, 20, 0.1).tolist()
    assert data.test.class_counts.tolist() == [2] * 100
    assert data.mean == (0.4914, 0.4822, 0.4465)
    assert data.std == (0.2023, 0.1994, 0.2010)
    assert load_cifar("cifar100", cifar100_root, profile="balanced").class_counts.tolist() == [20] * 100


def test_the_split_seed_chooses_the_images(cifar100_root):
    first, same, other = (load_cifar("cifar100", cifar100_root, imbalance_factor=0.1, split_seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.train.images.array, same.train.images.array)
    assert (first.train.images.array != other.train.images.array).any()
    np.testing.assert_array_equal(first.class_counts, other.class_counts)


def test_without_a_split_seed_the_first_images_of_each_class_are_kept_in_file_order(tmp_path):
    """LCSL's split of 200 images in CIFAR-10's form."""
    write_fake("cifar10", tmp_path, largest_class=20, test_per_class=1)
    data = load_cifar("cifar10", tmp_path, imbalance_factor=0.1, split_seed=None)
    counts = [20, 15, 11, 9, 7, 5, 4, 3, 2, 2]
    assert (data.class_counts.tolist(), len(data.train)) == (counts, 78)
    assert data.train.labels.tolist() == np.repeat(np.arange(10), counts).tolist()

    files = [tmp_path / f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)]
    content = [pickle.loads(file.read_bytes(), encoding="latin1") for file in files]
    images = np.concatenate([each["data"] for each in content]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = np.concatenate([each["labels"] for each in content])
    first = [index for c, count in enumerate(counts) for index in np.flatnonzero(labels == c)[:count]]
    np.testing.assert_array_equal(data.train.images.array, images[first])
    drawn = load_cifar("cifar10", tmp_path, imbalance_factor=0.1, split_seed=0)
    assert (drawn.train.images.array != data.train.images.array).any()


def test_fake_data_are_announced_in_one_line(cifar100_root, caplog):
    with caplog.at_level(logging.WARNING):
        load_cifar("cifar100", cifar100_root, imbalance_factor=0.1)
    assert [record.message for record in caplog.records] == [
        f"{cifar100_root / 'cifar-100-python'}: generated fake data, not CIFAR-100"
    ]


def test_the_inner_folder_is_accepted_as_root(cifar100_root):
    inner = load_cifar("cifar100", cifar100_root / "cifar-100-python", imbalance_factor=0.1)
    assert len(inner.test) == 200


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_truncated_file_is_named(root, name):
    path = root / "cifar-100-python" / name
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UserError, match=f"{path} is damaged or altered: its md5 is"):
        load_cifar("cifar100", root)


def test_without_the_marker_only_the_published_md5_counts(root):
    (root / "cifar-100-python" / MARKER).unlink()
    with pytest.raises(UserError, match=r"meta is damaged or altered.*expected is 7973b15100ade9c7d40fb424638fde48"):
        load_cifar("cifar100", root)


def test_a_damaged_marker_is_named(root):
    (root / "cifar-100-python" / MARKER).write_text("{")
    with pytest.raises(UserError, match=f"{MARKER} is damaged"):
        load_cifar("cifar100", root)


def test_a_malicious_pickle_with_a_matching_checksum_does_not_run(root, tmp_path):
    replace_file(root, "train", f"cposix\nsystem\n(S'touch {tmp_path / 'ran'}'\ntR.".encode())
    with pytest.raises(UserError, match=r"train is not a CIFAR archive: it asks for posix\.system"):
        load_cifar("cifar100", root)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        {"fine_labels": [0]},
        {"data": np.zeros((1, 3072), dtype=np.uint8)},
        {"data": np.zeros((2, 3072), dtype=np.uint8), "fine_labels": [0]},
        {"data": np.zeros((1, 300), dtype=np.uint8), "fine_labels": [0]},
        {"data": "text", "fine_labels": [0]},
        {"data": np.zeros((1, 3072), dtype=np.uint8), "fine_labels": ["cat"]},
    ],
)
def test_unfitting_content_is_named(root, content):
    replace_file(root, "test", write_pickle(content))
    with pytest.raises(UserError, match="test is not a CIFAR archive"):
        load_cifar("cifar100", root)


def test_a_missing_file_is_named(root):
    (root / "cifar-100-python" / "test").unlink()
    with pytest.raises(UserError, match="is incomplete: test is missing"):
        load_cifar("cifar100", root)


def test_a_file_as_root_is_refused(tmp_path):
    (tmp_path / "list.txt").touch()
    with pytest.raises(UserError, match=r"list.txt is a file; .* cifar-100-python/"):
        load_cifar("cifar100", tmp_path / "list.txt")


def test_missing_data_show_the_layout_and_the_rehearsal(tmp_path):
    with pytest.raises(UserError) as caught:
        load_cifar("cifar10", tmp_path, download=False)
    message = str(caught.value)
    assert f"{tmp_path / 'cifar-10-batches-py'}/ with data_batch_1, " in message
    assert "cifar-10-python.tar.gz" in message
    assert f"longtail data fake --layout cifar10 --out {tmp_path}" in message


def test_a_failed_download_says_so_and_leaves_nothing(tmp_path, monkeypatch):
    def no_network(_url, folder, *, filename, **_):
        (Path(folder) / filename).write_bytes(b"half of it")
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(vision.utils, "download_and_extract_archive", no_network)
    root = tmp_path / "data"
    with pytest.raises(UserError, match=r"downloading it failed .*no route to host[\s\S]*longtail data fake --layout cifar100"):
        load_cifar("cifar100", root)
    assert list(root.iterdir()) == []


def test_a_download_is_put_in_place(cifar100_root, tmp_path, monkeypatch):
    def deliver(url, folder, *, filename, md5):
        assert (url, filename, md5) == (vision.CIFAR100.url, vision.CIFAR100.filename, vision.CIFAR100.tgz_md5)
        shutil.copytree(cifar100_root / "cifar-100-python", Path(folder) / "cifar-100-python")

    monkeypatch.setattr(vision.utils, "download_and_extract_archive", deliver)
    assert len(load_cifar("cifar100", tmp_path / "new", imbalance_factor=0.1).test) == 200
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["cifar-100-python"]


def test_an_archive_still_packed_is_unpacked(cifar100_root, tmp_path, monkeypatch):
    tar = tmp_path / "cifar-100-python.tar.gz"
    with tarfile.open(tar, "w:gz", compresslevel=1) as packed:
        packed.add(cifar100_root / "cifar-100-python", "cifar-100-python")
    md5 = hashlib.md5(tar.read_bytes()).hexdigest()
    monkeypatch.setitem(ARCHIVES, "cifar100", replace(ARCHIVES["cifar100"], tar_md5=md5))
    assert len(load_cifar("cifar100", tmp_path, imbalance_factor=0.1, download=False).test) == 200
    assert {entry.name for entry in tmp_path.iterdir()} == {"cifar-100-python", tar.name}


def test_a_damaged_packed_archive_is_named_and_kept(tmp_path):
    tar = tmp_path / "cifar-100-python.tar.gz"
    tar.write_bytes(b"half of it")
    with pytest.raises(UserError, match=r"tar\.gz is damaged: its md5 is .* published is eb9058c3a382ffc7106e4002c42a8d85"):
        load_cifar("cifar100", tmp_path)
    assert tar.read_bytes() == b"half of it"


def test_a_rank_that_comes_second_takes_what_is_there(cifar100_root, tmp_path):
    for who in ("first", "second"):
        shutil.copytree(cifar100_root / "cifar-100-python", tmp_path / who / "cifar-100-python")
        cifar._move_in(tmp_path / who / "cifar-100-python", tmp_path)
    assert (tmp_path / "cifar-100-python" / "train").is_file()
    with pytest.raises(OSError, match="absent"):
        cifar._move_in(tmp_path / "absent", tmp_path)
