"""Long-tailed data sets made of balanced ones: what is in them, and that nothing is lost or half."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail.datasets import making
from longtail.datasets.cifar import read_cifar
from longtail.datasets.contents import Contents
from longtail.datasets.digits import load_digits
from longtail.datasets.factory import create_data
from longtail.datasets.fake import write_fake
from longtail.datasets.made import MARKER, made
from longtail.datasets.making import KINDS, WITHOUT_IMAGES, make
from longtail.datasets.mini_imagenet import TRAIN_COUNTS
from longtail.datasets.splits import class_counts
from longtail.errors import UserError


def rows(path: Path) -> list[tuple[str, int]]:
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["img", "label"]
    return [(name, int(label)) for name, label in lines]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def images_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in (".png", ".jpg")]


def fill(root: Path, counts: dict[str, int], folder: str = "{}") -> Path:
    """Class folders of files that say where they come from; nobody looks into them."""
    for name, count in counts.items():
        below = root / folder.format(name)
        below.mkdir(parents=True)
        for number in range(count):
            (below / f"{name}_{number:04d}.jpg").write_text(f"{name} {number}")
    return root


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small_cifar")
    write_fake("cifar10", root, largest_class=40, test_per_class=3)
    return root


# --- CIFAR


@pytest.mark.parametrize(
    ("num_classes", "largest", "factor", "total", "some"),
    [
        (10, 5000, 0.01, 12406, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),
        (10, 5000, 0.02, 13996, [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100]),
        (10, 5000, 0.1, 20431, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]),
        (100, 500, 0.01, 10847, [500, 477, 455, 434, 415]),
        (100, 500, 0.02, 12608, [500]),
        (100, 500, 0.1, 19573, [500]),
    ],
)
def test_published_class_counts(num_classes, largest, factor, total, some):
    counts = class_counts(num_classes, largest, factor)
    assert counts.sum() == total
    assert counts[: len(some)].tolist() == some
    if total == 10847:
        assert counts[-5:].tolist() == [6, 5, 5, 5, 5]


def test_cifar_files_hold_the_long_tail_of_the_archive(cifar, tmp_path):
    result = make("cifar10-lt", cifar, tmp_path / "out", imbalance_factor=0.1)
    counts = class_counts(10, 40, 0.1)
    expected = create_data("cifar10", root=cifar, imbalance_factor=0.1, split_seed=None, download=False)
    data = create_data("csv", root=tmp_path / "out", holdout=0.5)
    assert data.class_counts.tolist() == counts.tolist()
    assert data.train.class_names == expected.train.class_names
    np.testing.assert_array_equal(data.train.labels, expected.train.labels)
    for path, pixels in zip(data.train.images.paths, expected.train.images.array, strict=True):
        with Image.open(tmp_path / "out" / path) as image:
            assert (image.format, image.mode) == ("PNG", "RGB")
            np.testing.assert_array_equal(np.asarray(image), pixels)
    assert result.parts["train"] == f"{counts.sum()} images of 10 classes, 4 to 40 a class; the first ones of each class"
    assert result.parts["val"] == "the images of test"


def test_cifar_is_validated_on_the_test_images_which_are_written_once(cifar, tmp_path):
    make("cifar10-lt", cifar, tmp_path, imbalance_factor=0.1)
    assert rows(tmp_path / "val.csv") == rows(tmp_path / "test.csv")
    assert len(rows(tmp_path / "test.csv")) == 30
    named = {path for part in ("train", "val", "test") for path, _ in rows(tmp_path / f"{part}.csv")}
    assert {str(path.relative_to(tmp_path)) for path in images_below(tmp_path)} == named
    test = read_cifar("cifar10", cifar, download=False).test
    for path, label in rows(tmp_path / "test.csv")[::7]:
        number = int(Path(path).stem.removeprefix("test_"))
        assert test.labels[number] == label
        with Image.open(tmp_path / path) as image:
            np.testing.assert_array_equal(np.asarray(image), test.subset([number]).images.array[0])


@pytest.mark.parametrize(("holdout", "number"), [(10, 10), (0.25, 10), (0.001, 1)])
def test_training_images_can_be_held_out_before_the_tail_is_cut(cifar, tmp_path, holdout, number):
    make("cifar10-lt", cifar, tmp_path, imbalance_factor=0.1, holdout_val=holdout)
    data = create_data("csv", root=tmp_path, holdout=0.5)
    assert data.class_counts.tolist() == class_counts(10, 40 - number, 0.1).tolist()
    assert data.val is not None
    assert data.val.class_counts.tolist() == [number] * 10
    train, val, test = (set(part.images.paths) for part in (data.train, data.val, data.test))
    assert len(train | val | test) == len(train) + len(val) + len(test)
    last = [int(Path(path).stem.removeprefix("train_")) for path in val]
    labels = read_cifar("cifar10", cifar, download=False).train.labels
    expected = [index for c in range(10) for index in np.flatnonzero(labels == c)[-number:].tolist()]
    assert sorted(last) == sorted(expected)


@pytest.mark.parametrize("holdout", [40, 0, -1, 1.5])
def test_impossible_numbers_of_held_out_images_are_told(cifar, tmp_path, holdout):
    with pytest.raises(UserError, match=r"of each class cannot be held out: give a part in .* less than 40"):
        make("cifar10-lt", cifar, tmp_path, holdout_val=holdout)


def test_profile_factor_and_split_seed_reach_the_split(cifar, tmp_path):
    make("cifar10-lt", cifar, tmp_path / "step", imbalance_factor=0.1, profile="step", split_seed=0)
    labels = [label for _, label in rows(tmp_path / "step/train.csv")]
    assert np.bincount(labels).tolist() == [40] * 5 + [4] * 5
    expected = create_data("cifar10", root=cifar, imbalance_factor=0.1, profile="step", split_seed=0, download=False)
    path, _ = rows(tmp_path / "step/train.csv")[-1]
    with Image.open(tmp_path / "step" / path) as image:
        np.testing.assert_array_equal(np.asarray(image), expected.train.images.array[-1])
    for options, message in (({"imbalance_factor": 100}, "outside"), ({"profile": "line"}, "unknown imbalance profile 'line'")):
        with pytest.raises(UserError, match=message):
            make("cifar10-lt", cifar, tmp_path / "other", **options)
    assert not (tmp_path / "other").exists()


def test_class_folders_instead_of_tables(cifar, tmp_path):
    make("cifar10-lt", cifar, tmp_path, imbalance_factor=0.1, class_folders=True)
    assert {path.name for path in tmp_path.iterdir()} == {"train", "val", "test", MARKER}
    data = create_data("folder", root=tmp_path, holdout=0.5)
    assert data.class_counts.tolist() == class_counts(10, 40, 0.1).tolist()
    assert data.val is not None
    assert len(data.val) == len(data.test) == 30
    assert data.train.class_names == read_cifar("cifar10", cifar, download=False).train.class_names


# --- mini-ImageNet


def test_the_published_numbers():
    counts = list(TRAIN_COUNTS.values())
    assert (len(counts), sum(counts), min(counts), max(counts)) == (100, 23192, 12, 479)
    assert [label for label, count in enumerate(counts) if count == 12] == [55, 67]
    assert counts.index(479) == 38
    assert list(TRAIN_COUNTS)[:3] == ["n04522168", "n04275548", "n03272010"]
    assert list(TRAIN_COUNTS)[99] == "n04067472"
    assert sorted(counts, reverse=True)[:20] == [
        *(479, 473, 453, 451, 446, 427, 424, 419, 418, 409),
        *(407, 404, 399, 375, 373, 367, 364, 361, 359, 354),
    ]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published classes with a tenth of their images, split as for few-shot learning."""
    root = tmp_path_factory.mktemp("published")
    names = sorted(TRAIN_COUNTS)
    for part, some in (("train", names[:64]), ("val", names[64:80]), ("test", names[80:])):
        fill(root, dict.fromkeys(some, 60), f"{part}/{{}}")
    return root


def test_a_few_shot_split_of_the_published_classes_becomes_long_tailed(published, tmp_path):
    result = make("mini-imagenet-lt", published, tmp_path)
    data = create_data("csv", root=tmp_path, holdout=0.5)
    assert data.train.class_names == tuple(TRAIN_COUNTS)
    assert data.class_counts.tolist() == [max(1, count // 10) for count in TRAIN_COUNTS.values()]
    assert data.val is not None
    assert data.val.class_counts.tolist() == data.test.class_counts.tolist() == [6] * 100
    paths = [path for part in (data.train, data.val, data.test) for path in part.images.paths]
    assert len(set(paths)) == len(paths)
    for path in paths[::50]:
        _, name, file = path.split("/")
        assert (tmp_path / path).read_text() == f"{name} {int(Path(file).stem.split('_')[1])}"
    assert "as many of each class as published, in proportion where a class has fewer than 600" in result.parts["train"]
    assert "100 have, chosen with seed 0" in result.parts["train"]


def test_whole_classes_give_the_published_numbers(tmp_path):
    smallest, largest = "n02108089", "n03146219"
    counts = dict.fromkeys(TRAIN_COUNTS, 3) | {smallest: 600, largest: 700}
    make("mini-imagenet-lt", fill(tmp_path / "in", counts), tmp_path / "out", link=True)
    by_part = {
        part: Counter(path.split("/")[1] for path, _ in rows(tmp_path / f"out/{part}.csv")) for part in ("train", "val", "test")
    }
    assert {part: (found[smallest], found[largest]) for part, found in by_part.items()} == {
        "train": (12, 479),
        "val": (60, 60),
        "test": (60, 60),
    }


def test_other_classes_get_numbers_between_10_and_480(tmp_path):
    root = fill(tmp_path / "in", dict.fromkeys("cab", 600))
    result = make("mini-imagenet-lt", root, tmp_path / "out", link=True)
    data = create_data("csv", root=tmp_path / "out")
    assert data.train.class_names == tuple("abc"), "sorted, since no labels are published"
    assert all(10 <= count <= 480 for count in data.class_counts)
    assert len(set(data.class_counts.tolist())) == 3
    assert result.parts["train"].endswith("a class; their numbers drawn, chosen with seed 0")


@pytest.mark.parametrize("count", [3, 4, 19, 25, 599])
def test_small_classes_are_divided_in_proportion(count, tmp_path):
    make("mini-imagenet-lt", fill(tmp_path / "in", {"a": count, "b": 100}), tmp_path / "out", link=True)
    found = {part: [label for _, label in rows(tmp_path / f"out/{part}.csv")].count(0) for part in ("train", "val", "test")}
    held_out = max(1, count // 10)
    assert found["val"] == found["test"] == held_out
    assert 1 <= found["train"] <= count - 2 * held_out


def test_the_draw_is_that_of_its_seed_and_class(tmp_path):
    root = fill(tmp_path / "in", {"a": 60, "b": 60})
    first, same, other = (tmp_path / name for name in ("first", "same", "other"))
    for out, seed in ((first, 0), (same, 0), (other, 1)):
        make("mini-imagenet-lt", root, out, seed=seed)
    assert rows(first / "train.csv") == rows(same / "train.csv")
    assert rows(first / "test.csv") != rows(other / "test.csv")
    shutil.rmtree(root / "b")
    make("mini-imagenet-lt", root, tmp_path / "alone")
    assert rows(tmp_path / "alone/test.csv") == [row for row in rows(first / "test.csv") if row[1] == 0]


def test_links_lead_to_the_images(tmp_path):
    root = fill(tmp_path / "in", {"a": 3})
    make("mini-imagenet-lt", root, tmp_path / "out", link=True, class_folders=True)
    (link,) = (tmp_path / "out/train/a").iterdir()
    assert link.is_symlink()
    assert link.resolve().parent == (root / "a").resolve()
    assert len(create_data("folder", root=tmp_path / "out").train) == 1


@pytest.mark.parametrize("folder", ["images", ""])
def test_images_in_one_folder_are_sorted_by_their_names(folder, tmp_path):
    below = tmp_path / "in" / folder
    below.mkdir(parents=True)
    for wnid in ("n01532829", "n04522168"):
        for number in range(3):
            (below / f"{wnid}{number:08d}.jpg").touch()
    (below / "train.csv").touch()
    make("mini-imagenet-lt", tmp_path / "in", tmp_path / "out")
    assert create_data("csv", root=tmp_path / "out").train.class_names == ("n01532829", "n04522168")


def test_sources_that_do_not_do_are_told(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"there is no folder .*\nExpected: class folders"):
        make("mini-imagenet-lt", tmp_path / "none", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no images of classes in .*\nExpected"):
        make("mini-imagenet-lt", tmp_path / "empty", out)
    with pytest.raises(UserError, match="class 'a' has 2 images; it takes 3"):
        make("mini-imagenet-lt", fill(tmp_path / "few", {"a": 2}), out)
    twice = fill(fill(tmp_path / "twice", {"a": 3}, "train/{}"), {"a": 3}, "test/{}")
    with pytest.raises(UserError, match=r"two images of one name, train/a/a_0000\.jpg and test/a/a_0000\.jpg"):
        make("mini-imagenet-lt", twice, out)
    with pytest.raises(UserError, match="non-negative"):
        make("mini-imagenet-lt", twice, out, seed=-1)
    assert not out.exists()


# --- given lists


def lists(folder: Path, **parts: str) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    for part, lines in parts.items():
        (folder / f"{part}.csv").write_text("img,label\n" + lines.replace(" ", "\n") + "\n")
    return folder


LISTED = {
    "train": "data/images/a_0000.jpg,0 data/images/b_0000.jpg,1",
    "val": "images/a_0001.jpg,0",
    "test": "images/b_0001.jpg,1",
}


@pytest.mark.parametrize("folder", ["images", "train/{}"])
def test_given_lists_are_kept_and_their_images_found(folder, tmp_path):
    source, given = fill(tmp_path / "in", {"a": 2}, folder), lists(tmp_path / "lists", **LISTED)
    shutil.copytree(fill(tmp_path / "b", {"b": 2}, folder), source, dirs_exist_ok=True)
    result = make("mini-imagenet-lt", source, tmp_path / "out", lists=given)
    data = create_data("csv", root=tmp_path / "out", holdout=0.5)
    assert data.class_counts.tolist() == [1, 1]
    assert (tmp_path / "out/train.csv").read_bytes() == (given / "train.csv").read_bytes()
    assert (tmp_path / "out/images/b_0001.jpg").read_text() == "b 1"
    assert len(images_below(tmp_path / "out")) == 4
    assert "as listed, not as many of each class as published" in result.parts["train"]


def test_given_lists_can_join_their_images(tmp_path):
    source, given = fill(tmp_path / "in", {"a": 2, "b": 2}), lists(tmp_path / "lists", **LISTED)
    (source / "a").rename(source / "images")
    for image in (source / "b").iterdir():
        image.rename(source / "images" / image.name)
    before = contents(source)
    for _ in range(2):
        make("mini-imagenet-lt", source, source, lists=given)
    after = contents(source)
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"train.csv", "val.csv", "test.csv", MARKER}
    assert create_data("csv", root=source).class_counts.tolist() == [1, 1]


def test_lists_beside_images_are_never_overwritten(tmp_path):
    source, given = fill(tmp_path / "in", {"a": 2}, "images"), lists(tmp_path / "lists", **LISTED)
    for number in range(2):
        (source / f"images/b_000{number}.jpg").touch()
    (source / "train.csv").write_text("mine")
    with pytest.raises(UserError, match=r"holds train\.csv already; choose another folder"):
        make("mini-imagenet-lt", source, source, lists=given)
    assert (source / "train.csv").read_text() == "mine"
    assert not (source / "test.csv").exists()


@pytest.mark.parametrize(
    ("part", "lines", "message"),
    [
        ("train", "images/a_0000.jpg,0 images/c.jpg,1", r"line 3: there is no .*c\.jpg, and nowhere below .* a file c\.jpg"),
        (
            "val",
            "images/b_0000.jpg,1",
            r"val\.csv, line 2: images/b_0000\.jpg is a training image as well \(.*train\.csv, line 3\)",
        ),
        ("test", "images/a_0001.jpg,0 images/b_0001.jpg,2", "class 2 has no image"),
        ("test", "images/b_0001.jpg", "line 2: expected one line"),
    ],
)
def test_lists_that_are_wrong_are_told(part, lines, message, tmp_path):
    source = tmp_path / "in"
    for name in "ab":
        fill(source, {name: 2})
    with pytest.raises(UserError, match=message):
        make("mini-imagenet-lt", source, tmp_path / "out", lists=lists(tmp_path / "lists", **LISTED | {part: lines}))
    assert not (tmp_path / "out").exists()


def test_a_name_that_several_files_have_is_not_guessed(tmp_path):
    source = fill(fill(tmp_path / "in", {"a": 2, "b": 2}, "x/{}"), {"a": 2}, "y/{}")
    with pytest.raises(UserError, match=r"2 files are called a_0000\.jpg"):
        make("mini-imagenet-lt", source, tmp_path / "out", lists=lists(tmp_path / "lists", **LISTED))


def test_given_lists_as_class_folders(tmp_path):
    source = fill(tmp_path / "in", {"a": 2, "b": 2})
    make("mini-imagenet-lt", source, tmp_path / "out", lists=lists(tmp_path / "lists", **LISTED), class_folders=True)
    data = create_data("folder", root=tmp_path / "out")
    assert (data.train.class_names, data.class_counts.tolist()) == (("0", "1"), [1, 1])


# --- nothing is lost, nothing is half


def test_asked_again_it_does_nothing(cifar, tmp_path):
    first = make("cifar10-lt", cifar, tmp_path, imbalance_factor=0.1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert make("cifar10-lt", cifar, tmp_path, imbalance_factor=0.1) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    with pytest.raises(UserError, match=r"holds other prepared data \(imbalance_factor 0.1, not 0.2\); delete those or"):
        make("cifar10-lt", cifar, tmp_path, imbalance_factor=0.2)


def test_other_files_are_kept(cifar, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not empty and not prepared data of ours"):
        make("cifar10-lt", cifar, tmp_path, imbalance_factor=0.1)
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}
    with pytest.raises(UserError, match="is a file"):
        make("cifar10-lt", cifar, tmp_path / "thesis.txt", imbalance_factor=0.1)
    with pytest.raises(UserError, match="cannot write prepared data"):
        make("cifar10-lt", cifar, tmp_path / "thesis.txt/below", imbalance_factor=0.1)


def test_an_interrupted_making_leaves_nothing_and_is_begun_again(cifar, tmp_path, monkeypatch):
    def interrupted(_contents, folder, **_):
        (folder / "train.csv").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Contents, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make("cifar10-lt", cifar, tmp_path, imbalance_factor=0.1)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / making._PARTIAL / "images").mkdir(parents=True)  # what a killed process leaves behind
    make("cifar10-lt", cifar, tmp_path, imbalance_factor=0.1)
    assert {path.name for path in tmp_path.iterdir()} == {"images", "train.csv", "val.csv", "test.csv", MARKER}


@pytest.mark.parametrize("class_folders", [False, True])
def test_what_makes_it_a_data_set_comes_last(class_folders, cifar, tmp_path, monkeypatch):
    moved = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, target: (moved.append(self.name), rename(self, target))[1])
    make("cifar10-lt", cifar, tmp_path, imbalance_factor=0.1, class_folders=class_folders)
    assert moved[-2:] == ["train" if class_folders else "train.csv", MARKER]


def test_made_of_fake_data_it_is_fake(cifar, tmp_path, caplog):
    make("cifar10-lt", cifar, tmp_path / "out", imbalance_factor=0.1)
    caplog.clear()
    create_data("csv", root=tmp_path / "out")
    assert "generated fake data, not your images" in caplog.text
    assert made(tmp_path / "out").fake
    make("mini-imagenet-lt", fill(tmp_path / "in", {"a": 3}), tmp_path / "real")
    caplog.clear()
    create_data("csv", root=tmp_path / "real")
    assert not caplog.text


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"settings": 3, "parts": {}, "fake": false}'])
def test_a_damaged_marker_is_told(text, tmp_path):
    (tmp_path / MARKER).write_text(text)
    with pytest.raises(UserError, match="is damaged; delete it with what was made beside it"):
        make("cifar10-lt", tmp_path, tmp_path)


def test_names_and_options_are_checked(tmp_path):
    with pytest.raises(UserError, match=r"nothing called 'svhn-lt' can be made; choose one of cifar10-lt, cifar100-lt, digits"):
        make("svhn-lt", tmp_path, tmp_path)
    with pytest.raises(TypeError):
        make("cifar10-lt", tmp_path, tmp_path, seed=3)
    assert set(KINDS) == {"cifar10-lt", "cifar100-lt", "digits", "mini-imagenet-lt", *WITHOUT_IMAGES}


def test_the_marker_says_how_it_was_made(cifar, tmp_path):
    make("cifar10-lt", cifar, tmp_path, imbalance_factor=0.5)
    told = json.loads((tmp_path / MARKER).read_text())["settings"]
    assert (told["what"], told["source"], told["imbalance_factor"]) == ("cifar10-lt", str(cifar.resolve()), 0.5)


@pytest.mark.parametrize("class_folders", [False, True])
def test_the_digits_as_files_are_the_embedded_ones(class_folders, tmp_path):
    made = make("digits", None, tmp_path / "d", class_folders=class_folders, imbalance_factor=0.1, split_seed=3)
    assert make("digits", None, tmp_path / "d", class_folders=class_folders, imbalance_factor=0.1, split_seed=3) == made
    assert made.parts.keys() == {"train", "test"}
    data = create_data(str(tmp_path / "d")) if class_folders else create_data("csv", root=tmp_path / "d")
    expected = load_digits(imbalance_factor=0.1, split_seed=3)
    for part in ("train", "test"):
        found, embedded = getattr(data, part), getattr(expected, part)
        order = np.argsort(embedded.labels, kind="stable") if class_folders else np.arange(len(embedded))
        np.testing.assert_array_equal(found.labels, embedded.labels[order])
        for path, pixels in zip(found.images.paths[::7], embedded.images.array[order][::7], strict=True):
            with Image.open(tmp_path / "d" / path) as image:
                np.testing.assert_array_equal(np.asarray(image), pixels)


def test_only_what_is_embedded_has_no_source(tmp_path):
    with pytest.raises(TypeError, match="digits has no source"):
        make("digits", tmp_path, tmp_path / "d")
    with pytest.raises(TypeError, match="cifar10-lt needs a source"):
        make("cifar10-lt", None, tmp_path / "d")
