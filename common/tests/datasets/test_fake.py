import csv
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from longtail.datasets import fake
from longtail.datasets.factory import create_data
from longtail.datasets.fake import LAYOUTS, write_fake
from longtail.datasets.fake_pictures import pictures
from longtail.datasets.fake_size import MARKER
from longtail.errors import UserError

SMALL = {"num_classes": 6, "largest_class": 30, "test_per_class": 3}
LISTS = {
    "imagenet-lt": {
        "ImageNet_LT_train.txt": r"train/n\d{8}/n\d{8}_\d+\.JPEG",
        "ImageNet_LT_val.txt": r"train/n\d{8}/n\d{8}_\w+\.JPEG",
        "ImageNet_LT_test.txt": r"val/n\d{8}/ILSVRC2012_val_\d{8}\.JPEG",
    },
    "places-lt": {
        "Places_LT_train.txt": r"train/\w+/\d{8}\.jpg",
        "Places_LT_val.txt": r"train/\w+/\d{8}\.jpg",
        "Places_LT_test.txt": r"val/\w+/Places365_val_\d{8}\.jpg",
    },
    "inat18": {
        "iNaturalist18_train.txt": r"train_val2018/[A-Z][a-z]+/\d+/[0-9a-f]{32}\.jpg",
        "iNaturalist18_val.txt": r"train_val2018/[A-Z][a-z]+/\d+/[0-9a-f]{32}\.jpg",
    },
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_long_tailed(counts: Counter) -> None:
    assert sorted(counts) == list(range(6))
    assert (max(counts.values()), min(counts.values())) == (30, 1)
    # Lists of real data sets are not sorted by size either.
    assert [counts[c] for c in range(6)] != sorted(counts.values(), reverse=True)


def assert_jpeg(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert all(64 <= side <= 96 for side in image.size)
        return image.size


def test_sizes_are_those_of_the_real_data_sets():
    assert {layout: size.num_classes for layout, size in fake._SIZES.items()} == {
        "cifar10": 10,
        "cifar100": 100,
        "imagenet-lt": 1000,
        "places-lt": 365,
        "inat18": 8142,
        "imagenet-lt-csv": 1000,
        "inat18-json": 8142,
        "mini-imagenet": 100,
    }
    assert tuple(fake._SIZES) == LAYOUTS
    assert [fake._SIZES[name].largest_class for name in ("cifar10", "cifar100")] == [5000, 500]


@pytest.mark.parametrize("layout", LISTS)
def test_lists_have_the_real_form_and_name_images_that_exist(layout, tmp_path):
    assert write_fake(layout, tmp_path, **SMALL) == tmp_path
    sizes, paths_of = set(), {}
    for name, form in LISTS[layout].items():
        text = (tmp_path / name).read_text()
        lines = [re.fullmatch(rf"({form}) (\d+)", line).groups() for line in text.splitlines()]
        counts = Counter(int(label) for _, label in lines)
        if name.endswith("train.txt"):
            assert_long_tailed(counts)
        else:
            assert counts == dict.fromkeys(range(6), 3)
        paths_of[name] = {path for path, _ in lines}
        assert len({(path, label) for path, label in lines}) == len(paths_of[name]), "an image belongs to one class"
        sizes |= {assert_jpeg(tmp_path / path) for path in paths_of[name]}
    assert len(sizes) > 3
    if layout != "inat18":
        assert sum(map(len, paths_of.values())) == len(set().union(*paths_of.values())), "parts share no image"


def test_mini_imagenet_folders_and_lists_agree(tmp_path):
    write_fake("mini-imagenet", tmp_path, **SMALL)
    for split in ("train", "val", "test"):
        with (tmp_path / f"{split}.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["img", "label"]
        classes = sorted(folder.name for folder in (tmp_path / split).iterdir())
        in_folders = {
            (f"data/{path.relative_to(tmp_path)}", str(classes.index(path.parent.name)))
            for path in (tmp_path / split).rglob("*.jpg")
        }
        assert in_folders == {(path, label) for path, label in rows}
        counts = Counter(int(label) for _, label in rows)
        if split == "train":
            assert_long_tailed(counts)
        else:
            assert counts == dict.fromkeys(range(6), 3)
        assert_jpeg(tmp_path / rows[0][0].removeprefix("data/"))


def test_rows_have_the_real_form_and_name_images_that_exist(tmp_path):
    write_fake("imagenet-lt-csv", tmp_path, **SMALL)
    assert {path.name for path in tmp_path.iterdir()} == {"train", "val", "train.csv", "val.csv", MARKER}
    for split in ("train", "val"):
        with (tmp_path / f"{split}.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        counts = Counter(int(label) for _, label, _ in rows)
        if split == "train":
            assert_long_tailed(counts)
        else:
            assert counts == dict.fromkeys(range(6), 3)
        assert {folder for folder, _, _ in rows} == {split}
        assert all(re.fullmatch(r"\w+\.JPEG", name) for _, _, name in rows)
        assert {"/".join(row) for row in rows} == {str(path.relative_to(tmp_path)) for path in tmp_path.glob(f"{split}/*/*")}
        assert_jpeg(tmp_path / "/".join(rows[0]))


def test_json_files_have_the_real_form_and_name_images_that_exist(tmp_path):
    write_fake("inat18-json", tmp_path, **SMALL)
    assert {path.name for path in tmp_path.iterdir()} == {"train_val2018", "train2018.json", "val2018.json", MARKER}
    for split in ("train", "val"):
        content = json.loads((tmp_path / f"{split}2018.json").read_text())
        label_of = {each["image_id"]: each["category_id"] for each in content["annotations"]}
        assert len(label_of) == len(content["images"])
        for image in content["images"]:
            assert re.fullmatch(rf"train_val2018/[A-Z][a-z]+/{label_of[image['id']]}/[0-9a-f]{{32}}\.jpg", image["file_name"])
        for name in {image["file_name"] for image in content["images"]}:
            assert_jpeg(tmp_path / name)
        counts = Counter(label_of.values())
        if split == "train":
            assert_long_tailed(counts)
        else:
            assert counts == dict.fromkeys(range(6), 3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_seed_decides_every_byte(layout, tmp_path):
    sizes = {"num_classes": 3, "largest_class": 4, "test_per_class": 1}
    folders = [write_fake(layout, tmp_path / str(i), seed=seed, **sizes) for i, seed in enumerate((0, 0, 1))]
    first, same, other = map(contents, folders)
    assert first == same
    assert first != other


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_class_and_one_image_are_enough(layout, tmp_path):
    write_fake(layout, tmp_path, num_classes=1, largest_class=1, test_per_class=1)
    assert list(tmp_path.rglob(MARKER))


def test_a_network_could_learn_it():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(100), 20)
    train, test = (pictures(labels, 16, rng).reshape(len(labels), 3, -1) for _ in range(2))
    features = [np.concatenate([part.mean(2), part.std(2)], axis=1) for part in (train, test)]
    accuracy = LinearDiscriminantAnalysis().fit(features[0], labels).score(features[1], labels)
    assert accuracy > 0.5, "chance is 0.01"


def test_pictures_do_not_wrap_around():
    colours = pictures(np.arange(2000), 8, np.random.default_rng(0))
    assert colours.min() >= 0
    # Within one picture and channel: two colours at most 168 apart, and noise of 64.
    assert np.ptp(colours.reshape(2000, 3, -1).astype(int), axis=2).max() < 168 + 64


def test_asking_again_changes_nothing(tmp_path):
    folder = write_fake("imagenet-lt", tmp_path, **SMALL)
    (folder / "own notes.txt").write_text("kept")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert write_fake("imagenet-lt", tmp_path, **SMALL) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_other_fake_data_are_kept(tmp_path):
    write_fake("imagenet-lt", tmp_path, **SMALL)
    with pytest.raises(UserError, match=r"holds other fake data \(seed 0, not 1\); delete those or choose another folder"):
        write_fake("imagenet-lt", tmp_path, seed=1, **SMALL)
    with pytest.raises(UserError, match="layout imagenet-lt, not places-lt"):
        write_fake("places-lt", tmp_path, **SMALL)


@pytest.mark.parametrize("marker", [None, "{", "[]", "{}"])
def test_a_folder_of_somebody_else_is_kept(marker, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    if marker is not None:
        (tmp_path / MARKER).write_text(marker)
    before = contents(tmp_path)
    with pytest.raises(UserError, match=rf"{MARKER} is damaged|not empty and not fake data of ours"):
        write_fake("mini-imagenet", tmp_path, **SMALL)
    assert contents(tmp_path) == before


def test_both_cifar_archives_live_in_one_root_beside_other_files(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for layout in ("cifar10", "cifar100"):
        write_fake(layout, tmp_path, largest_class=1, test_per_class=1)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", "cifar-10-batches-py", "cifar-100-python"}
    with pytest.raises(UserError, match="not empty"):
        write_fake("imagenet-lt", tmp_path, **SMALL)


TINY = {"num_classes": 3, "largest_class": 4, "test_per_class": 1}
IN_ONE_ROOT = {"cifar10": "", "cifar100": "", "inat18-json": "", "imagenet-lt-csv": "ImageNet-LT"}
"""Folders below the root that LCSL has all of its data in."""


@pytest.mark.parametrize("order", [list(IN_ONE_ROOT), list(reversed(IN_ONE_ROOT))], ids=["json late", "json early"])
def test_data_sets_live_in_one_root_whichever_is_first(order, tmp_path):
    root = tmp_path / "datasets"
    for layout in order:
        write_fake(layout, root / IN_ONE_ROOT[layout], **TINY)
    before = contents(root)
    for layout in order:
        write_fake(layout, root / IN_ONE_ROOT[layout], **TINY)
    assert contents(root) == before, "asked again for what is there it does nothing"
    for layout, folder in IN_ONE_ROOT.items():
        data = create_data(layout, root=root / folder, imbalance_factor=1, download=False)
        assert (data.num_classes, data.class_counts.max()) == (3, 4)
        write_fake(layout, tmp_path / layout, **TINY)
        assert contents(tmp_path / layout).items() <= contents(root / folder).items(), "as if it were alone"


def test_other_fake_data_in_a_shared_root_are_kept(tmp_path):
    write_fake("inat18-json", tmp_path, **TINY)
    with pytest.raises(UserError, match=r"holds other fake data \(seed 0, not 1\); delete those or choose another folder"):
        write_fake("inat18-json", tmp_path, seed=1, **TINY)
    with pytest.raises(UserError, match="layout inat18-json, not imagenet-lt-csv"):
        write_fake("imagenet-lt-csv", tmp_path, **TINY)


@pytest.mark.parametrize("mine", ["train_val2018", "train2018.json", "val2018.json"])
def test_nothing_in_a_shared_root_is_overwritten(mine, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    if mine.endswith(".json"):
        (tmp_path / mine).write_text("the real one")
    else:
        (tmp_path / mine).mkdir()  # empty: a folder put in its place would raise no error
    with pytest.raises(UserError, match=f"{tmp_path} holds {mine} already; choose another folder, so that nothing is lost"):
        write_fake("inat18-json", tmp_path, **TINY)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", mine}
    assert set(contents(tmp_path).values()) <= {b"years of work", b"the real one"}


def test_a_damaged_marker_in_a_shared_root_costs_nothing_else(tmp_path):
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / MARKER).write_text("{")
    with pytest.raises(UserError, match=f"{MARKER} is damaged; delete it with what was generated beside it"):
        write_fake("inat18-json", tmp_path, **TINY)


def test_an_interrupted_writing_is_begun_again(tmp_path, monkeypatch):
    from longtail.datasets import fake_layouts

    def interrupted(folder, *_):
        (folder / "train").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(fake_layouts.WRITERS, "mini-imagenet", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_fake("mini-imagenet", tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == []

    # A killed process leaves its half behind.
    (tmp_path / fake._PARTIAL / "train").mkdir(parents=True)
    write_fake("mini-imagenet", tmp_path, **SMALL)
    assert {path.name for path in tmp_path.iterdir()} == {"train", "val", "test", "train.csv", "val.csv", "test.csv", MARKER}


def test_mistakes_are_told(tmp_path):
    with pytest.raises(UserError, match="unknown layout 'mnist'; choose one of cifar10, cifar100, imagenet-lt"):
        write_fake("mnist", tmp_path)
    with pytest.raises(UserError, match="largest class of at least 1, got 0"):
        write_fake("cifar10", tmp_path, largest_class=0)
    with pytest.raises(UserError, match="non-negative"):
        write_fake("cifar10", tmp_path, seed=-1)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is a file"):
        write_fake("imagenet-lt", tmp_path / "file")
    with pytest.raises(UserError, match="cannot write fake data"):
        write_fake("imagenet-lt", tmp_path / "file" / "below", **SMALL)


def test_the_marker_says_how_it_was_made(tmp_path):
    folder = write_fake("cifar10", tmp_path, seed=4, **SMALL)
    marker = json.loads((folder / MARKER).read_text())
    assert marker["layout"] == "cifar10"
    assert marker["seed"] == 4
    assert {name: marker[name] for name in SMALL} == SMALL
    assert len(marker["md5"]) == 7


def test_layouts_are_known_without_numpy():
    code = "import sys, longtail.datasets.fake as f; f.LAYOUTS; sys.exit('numpy' in sys.modules or 'PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
