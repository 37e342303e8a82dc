"""Lists of images and class counts for code that brings none: what is in them, and that they are read back."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.datasets.factory import create_data
from longtail.datasets.fake import write_fake
from longtail.datasets.fake_layouts import long_tailed_sizes
from longtail.datasets.fake_size import MARKER as FAKE_MARKER
from longtail.datasets.fake_size import FakeSize, Generated
from longtail.datasets.list_forms import IMAGES, LINES
from longtail.datasets.made import MARKER, made
from longtail.datasets.making import WITHOUT_IMAGES, make
from longtail.datasets.making_lists import ANNOTATED
from longtail.errors import UserError

COUNTS = {"num_shots.npz", "num_shots.txt"}


def tree(root: Path, **parts: dict[str, int]) -> Path:
    """PART/CLASS folders of empty files; nobody looks into them."""
    for part, counts in parts.items():
        for name, count in counts.items():
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{part}_{number:03d}.jpg").touch()
    return root


def counts_in(folder: Path) -> list[int]:
    with np.load(folder / "num_shots.npz", allow_pickle=False) as archive:
        assert archive.files == ["num_per_class"]
        counts = archive["num_per_class"]
    assert (counts.dtype, counts.ndim) == (np.float32, 1)
    assert (folder / "num_shots.txt").read_text() == "".join(f"{count:.0f}\n" for count in counts)
    return counts.astype(int).tolist()


def lines(path: Path) -> list[str]:
    text = path.read_bytes().decode()
    assert text.endswith("\n")
    return text[:-1].split("\n")


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- of class folders


def test_lists_join_the_class_folders(tmp_path):
    root = tree(tmp_path, train={"b": 1, "B": 3, "a": 2}, val={"a": 1, "b": 1}, test={"B": 2})
    before = files_below(root)
    result = make("lists", root, root)
    assert lines(root / "train.txt") == [
        *("train/B/train_000.jpg 0", "train/B/train_001.jpg 0", "train/B/train_002.jpg 0"),
        *("train/a/train_000.jpg 1", "train/a/train_001.jpg 1"),
        "train/b/train_000.jpg 2",
    ]
    assert lines(root / "val.txt") == ["val/a/val_000.jpg 1", "val/b/val_000.jpg 2"]
    assert lines(root / "test.txt") == ["test/B/test_000.jpg 0", "test/B/test_001.jpg 0"]
    assert counts_in(root) == [3, 2, 1]
    assert result.parts["train"] == "6 images of 3 classes, 1 to 3 a class"
    after = files_below(root)
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"train.txt", "val.txt", "test.txt", *COUNTS, MARKER}


def test_labels_are_those_of_the_folders_read_without_lists(tmp_path):
    root = tree(tmp_path, train={"dog": 3, "Cat": 1, "ant": 2}, test={"Cat": 2, "ant": 1, "dog": 1})
    expected = create_data("folder", root=root)
    make("lists", root, root)
    for part, data in (("train", expected.train), ("test", expected.test)):
        listed = LINES.read(root / f"{part}.txt", 3)
        assert listed.paths == data.images.paths
        np.testing.assert_array_equal(listed.labels, data.labels)
    assert counts_in(root) == expected.class_counts.tolist()


@pytest.mark.parametrize(("there", "absent"), [("val", "test"), ("test", "val")])
def test_a_part_that_is_not_there_has_the_images_of_the_other(there, absent, tmp_path):
    root = tree(tmp_path, train={"a": 2}, **{there: {"a": 1}})
    result = make("lists", root, tmp_path / "out")
    assert lines(tmp_path / f"out/{absent}.txt") == lines(tmp_path / f"out/{there}.txt") == [f"{there}/a/{there}_000.jpg 0"]
    assert result.parts[absent] == f"the images of {there}, for there is no folder {absent}"


def test_lists_are_named_as_asked_and_join_other_files(tmp_path):
    root = tree(tmp_path / "in", train={"a": 2}, val={"a": 1})
    out = tmp_path / "data/Mine"
    out.mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    make("lists", root, out, prefix="Mine")
    expected = {"notes.txt", "Mine_train.txt", "Mine_val.txt", "Mine_test.txt", *COUNTS, MARKER}
    assert {path.name for path in out.iterdir()} == expected
    with pytest.raises(UserError, match=r"lists cannot be called '\.\./x'_train\.txt"):
        make("lists", root, tmp_path / "other", prefix="../x")


def test_names_that_published_lists_have_are_told(tmp_path):
    root = tree(tmp_path, train={"a": 2}, val={"a": 1})
    result = make("lists", root, tmp_path / "out", prefix="ImageNet_LT")
    assert result.parts["train"].endswith("; not ImageNet-LT as published, and `imagenet-lt` refuses it")
    with pytest.raises(UserError, match=r"does not agree with the published ImageNet_LT_train\.txt"):
        create_data("imagenet-lt", root=root, list_folders=[tmp_path / "out"])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"val": {"a": 1}}, r"there is no folder .*train\.\nExpected: class folders in .*\n.* cannot be made anew"),
        ({"train": {"a": 1}}, r"there is no folder .*val\.\nExpected: class folders in .*val/ or test/"),
        ({"train": {"a": 1}, "val": {"a": 0}}, r"no image in the class folders of .*val\.\nExpected"),
        ({"train": {"a": 1, "b": 0}, "val": {"a": 1}}, r"class 'b' of .*train has no image in .*train to train on"),
        ({"train": {"a": 1}, "val": {"a": 1, "c": 1}}, r"class 'c' of .*val has no image in .*train"),
        ({"train": {"a": 1}, "val": {"c": 1}}, "have no class in common"),
    ],
)
def test_folders_that_do_not_do_are_told(parts, message, tmp_path):
    with pytest.raises(UserError, match=message):
        make("lists", tree(tmp_path / "in", **parts), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\udcffb"])
def test_names_that_no_list_can_hold_are_told(name, tmp_path):
    root = tree(tmp_path / "in", train={"a": 1}, val={"a": 1})
    try:
        (root / f"train/a/{name}.jpg").touch()
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    with pytest.raises(UserError, match="no list can hold the name"):
        make("lists", root, tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))


def test_what_may_surprise_is_said(tmp_path, caplog):
    root = tree(tmp_path, train={"2": 1, "10": 2}, val={"10": 1})
    (root / "train/2/a b.jpg").touch()
    (root / "train/2/notes.md").touch()
    make("lists", root, root)
    assert "ignored 1 files that are not images in class folders, such as train/2/notes.md" in caplog.text
    assert "1 images have white space in their paths, such as 'train/2/a b.jpg'" in caplog.text
    assert "sorted as words; the label of class 10 is 0" in caplog.text
    assert LINES.read(root / "train.txt", 2).paths[-2:] == ("train/2/a b.jpg", "train/2/train_000.jpg")


@pytest.mark.parametrize("prefix", [None, "ImageNet_LT"])
def test_made_lists_are_read_as_the_data_set_they_stand_for(prefix, tmp_path):
    size = FakeSize(5, 12, 2)
    names = [f"n{number}" for number in range(5)]
    train = dict(zip(names, long_tailed_sizes(size).tolist(), strict=True))
    root = tree(tmp_path, train=train, val=dict.fromkeys(names, 2), test=dict.fromkeys(names, 2))
    Generated("imagenet-lt", size).mark(root)
    make("lists", root, root, prefix=prefix)
    data = create_data("imagenet-lt", root=root, holdout=0.5)
    assert data.train.class_names == tuple(names)
    assert data.class_counts.tolist() == counts_in(root) == list(train.values())
    assert data.val is not None
    assert {path.split("/")[0] for path in data.val.images.paths} == {"val"}
    assert {path.split("/")[0] for path in data.test.images.paths} == {"test"}
    assert made(root).fake


# --- of annotations


def competition(folder: Path, *, train: object, val: object = None) -> Path:
    folder.mkdir(exist_ok=True)
    for part, content in (("train", train), ("val", val or annotated([("v/0/a.jpg", 0)]))):
        (folder / f"{part}2018.json").write_text(json.dumps(content))
    return folder


def annotated(samples: list[tuple[str, int]], first: int = 1) -> dict[str, list[dict[str, object]]]:
    """As the competition's files are, with what nobody reads; annotations in the reverse order."""
    entries = list(enumerate(samples, start=first))
    return {
        "info": {"year": 2018, "contributor": "nobody"},
        "categories": [{"id": 0, "name": "0", "supercategory": "Aves"}],
        "licenses": [{"id": 1, "name": "CC"}],
        "images": [{"id": n, "file_name": path, "license": 1, "rights_holder": "x", "width": 8} for n, (path, _) in entries],
        "annotations": [{"id": 7 * n, "image_id": n, "category_id": label} for n, (_, label) in reversed(entries)],
    }


def test_annotations_belong_to_images_by_their_ids(tmp_path):
    # the folder is not asked: only annotations say a label
    content = annotated([("t/Aves/9/a.jpg", 1), ("t/Aves/9/b.jpg", 0), ("t/Fungi/1/c.jpg", 1)])
    source = competition(tmp_path, train=content, val=annotated([("t/x/c.jpg", 1)], first=90))
    result = make("inat18-lists", source, tmp_path / "out")
    assert lines(tmp_path / "out/iNaturalist18_train.txt") == ["t/Aves/9/a.jpg 1", "t/Aves/9/b.jpg 0", "t/Fungi/1/c.jpg 1"]
    assert lines(tmp_path / "out/iNaturalist18_val.txt") == ["t/x/c.jpg 1"]
    assert counts_in(tmp_path / "out") == [1, 2]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("iNaturalist18_train.txt", "iNaturalist18_val.txt"),
        *COUNTS,
        MARKER,
    }
    assert result.parts["train"].endswith("; not iNaturalist 2018 as published, and `inat18` refuses it")


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_annotations_means_nothing(labels, random):
    content = annotated([(f"{number}.jpg", label) for number, label in enumerate(labels)])
    random.shuffle(content["annotations"])
    random.shuffle(content["images"])
    _, entries = ANNOTATED.split(json.dumps(content))
    assert [path for path, _ in entries] == [image["file_name"] for image in content["images"]]
    assert {path: int(label) for path, label in entries} == {f"{n}.jpg": label for n, label in enumerate(labels)}


def test_the_json_files_give_the_same_data_as_lists(tmp_path):
    root = tmp_path / "in"
    write_fake("inat18-json", root, num_classes=6, largest_class=8)
    expected = create_data("inat18-json", root=root)
    made_lists = make("inat18-lists", root, root)
    assert (counts_in(root), made_lists.fake) == (expected.class_counts.tolist(), True)
    assert "refuses" not in made_lists.parts["train"]
    marker = root / FAKE_MARKER  # the same images, to be read by their lists
    marker.write_text(marker.read_text().replace('"inat18-json"', '"inat18"'))
    data = create_data("inat18", root=root)
    for one, other in ((data.train, expected.train), (data.test, expected.test)):
        assert one.images.paths == other.images.paths
        np.testing.assert_array_equal(one.labels, other.labels)
    # what needs no annotations reads the same paths
    by_folder = IMAGES.read(root / "train2018.json", 6)
    assert by_folder.paths == LINES.read(root / "iNaturalist18_train.txt", 6).paths


def changed(change) -> dict[str, list]:
    content = annotated([("t/0/a.jpg", 0), ("t/1/b.jpg", 1), ("t/1/c.jpg", 1)])
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"].append(c["images"][1]), "2 of its images have the id 2"),
        (lambda c: c["annotations"].append(c["annotations"][0]), "2 of its annotations have the image_id 3"),
        (lambda c: c["annotations"].pop(), r"images\[0\], whose id is 1, has no annotation"),
        (lambda c: c["images"].pop(), "there is an annotation of image_id 3, and no such image"),
        (lambda c: c["images"][1].pop("id"), r"images\[1\] has no `id` and `file_name`"),
        (lambda c: c["images"][1].update(file_name=""), r"images\[1\] has no `id` and `file_name`"),
        (lambda c: c["images"][1].update(id=[2]), r"images\[1\] has no `id` and `file_name`"),
        (lambda c: c["images"].append(3), r"images\[3\] has no `id` and `file_name`"),
        (lambda c: c["annotations"][2].pop("category_id"), r"annotations\[2\] has no `image_id` and `category_id`"),
        (lambda c: c["annotations"][2].update(category_id="bird"), r"annotations\[2\] has no `image_id` and `category_id`"),
        (lambda c: c["annotations"][2].update(category_id=-1), r"images\[0\]: label -1 is outside"),
        (lambda c: c["annotations"][2].update(category_id=2), "class 0 has no image; every class needs one"),
        (lambda c: c["annotations"][2].update(category_id=999_999_999), "class 0 has no image"),
        (lambda c: c["images"][2].update(file_name="../c.jpg"), r"images\[2\]: the path '\.\./c\.jpg' is not below"),
        (lambda c: c["images"][2].update(file_name="c\n.jpg"), "no list can hold the name"),
        (lambda c: c.pop("annotations"), "no list `annotations`"),
        (lambda c: c.pop("images"), "no lists `images` and `annotations`"),
        (lambda c: c.update(images=[]), "no list `images`, or an empty one"),
    ],
)
def test_annotations_that_do_not_fit_are_told(change, message, tmp_path):
    source = competition(tmp_path, train=changed(change))
    with pytest.raises(UserError, match=message):
        make("inat18-lists", source, tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))


def test_a_class_that_is_only_judged_is_told(tmp_path):
    source = competition(tmp_path, train=annotated([("a.jpg", 0)]), val=annotated([("b.jpg", 1)]))
    with pytest.raises(UserError, match=r"class 1 has no image; .*; the largest label is 0, and there should be 2 classes"):
        make("inat18-lists", source, tmp_path / "out")


def test_missing_and_damaged_json_files_are_told(tmp_path):
    with pytest.raises(UserError, match=r"there is no .*train2018\.json\.\nExpected: train2018\.json and val2018\.json"):
        make("inat18-lists", tmp_path, tmp_path)
    source = competition(tmp_path / "in", train=3)
    with pytest.raises(UserError, match=r"cannot read the list .*train2018\.json: it has no lists"):
        make("inat18-lists", source, source)
    (source / "train2018.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot read the list .*train2018\.json"):
        make("inat18-lists", source, source)


# --- class counts of lists that are there


@pytest.mark.parametrize("name", ["train.txt", "ImageNet_LT_train.txt", "Places_LT_train.txt"])
def test_the_classes_of_a_list_are_counted(name, tmp_path):
    (tmp_path / name).write_text("x/a.jpg 1\nb c.jpg 0\nx/d.jpg 1")
    (tmp_path / "ImageNet_LT_val.txt").write_text("not read")
    before = files_below(tmp_path)
    result = make("num-shots", tmp_path, tmp_path)
    assert counts_in(tmp_path) == [1, 2]
    assert result.parts["train"].startswith("3 images of 2 classes, 1 to 2 a class")
    assert files_below(tmp_path).keys() - before.keys() == {*COUNTS, MARKER}


def test_counts_of_fake_lists_are_those_that_are_trained_on(tmp_path):
    write_fake("imagenet-lt", tmp_path / "in", num_classes=4, largest_class=9)
    make("num-shots", tmp_path / "in", tmp_path / "in")
    assert counts_in(tmp_path / "in") == create_data("imagenet-lt", root=tmp_path / "in").class_counts.tolist()


def test_a_list_can_be_named(tmp_path):
    (tmp_path / "ours_train.txt").write_text("a.jpg 0\n")
    (tmp_path / "train.txt").write_text("a.jpg 0\nb.jpg 1\n")
    with pytest.raises(UserError, match=r"has 2 training lists, ours_train\.txt, train\.txt; name one of them"):
        make("num-shots", tmp_path, tmp_path)
    make("num-shots", tmp_path / "train.txt", tmp_path)
    assert counts_in(tmp_path) == [1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"there is no training list in .*: train\.txt, .*\n.* cannot be made anew"),
        ("a.jpg 0\nb.jpg 2\n", "class 1 has no image"),
        ("a.jpg 0\nb.jpg\n", "line 2: expected one line"),
        ("", "is empty"),
    ],
)
def test_lists_that_cannot_be_counted_are_told(text, message, tmp_path):
    if text is not None:
        (tmp_path / "train.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        make("num-shots", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- nothing is lost, nothing is stale


def test_asked_again_nothing_happens(tmp_path):
    root = tree(tmp_path, train={"a": 2}, val={"a": 1})
    first = make("lists", root, root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert make("lists", root, root) == first
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_lists_that_hold_no_longer_are_told(tmp_path):
    root = tree(tmp_path, train={"a": 2}, val={"a": 1})
    make("lists", root, root)
    (root / "train/a/new.jpg").touch()
    with pytest.raises(UserError, match=r"train\.txt is not as it would be made now; delete what is there of train\.txt, val"):
        make("lists", root, root)
    (root / "train/a/new.jpg").unlink()
    (root / "num_shots.npz").unlink()
    with pytest.raises(UserError, match=r"num_shots\.npz is missing; delete what is there of"):
        make("lists", root, root)
    for name in ("train.txt", "val.txt", "test.txt", "num_shots.txt", MARKER):
        (root / name).unlink()
    make("lists", root, root)
    assert counts_in(root) == [2]


@pytest.mark.parametrize("name", ["num_shots.txt", "num_shots.npz", "val.txt"])
def test_what_is_there_is_kept(name, tmp_path):
    root = tree(tmp_path, train={"a": 2}, val={"a": 1})
    (root / name).write_text("years of work")
    before = files_below(root)
    with pytest.raises(UserError, match=f"holds {name} already; choose another folder"):
        make("lists", root, root)
    assert files_below(root) == before


def test_a_tree_with_a_training_list_gets_no_second_one(tmp_path):
    root = tree(tmp_path / "in", train={"a": 2}, val={"a": 1})
    (root / "ImageNet_LT_train.txt").write_text("train/a/train_000.jpg 0\n")
    with pytest.raises(UserError, match=r"ImageNet_LT_train\.txt is a training list already; `longtail data make num-shots`"):
        make("lists", root, root)
    make("lists", root, tmp_path / "out")
    assert counts_in(tmp_path / "out") == [2]


def test_the_training_list_comes_last(tmp_path, monkeypatch):
    moved = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, target: (moved.append(self.name), rename(self, target))[1])
    make("lists", tree(tmp_path, train={"a": 2}, val={"a": 1}), tmp_path / "out", prefix="ours")
    assert moved[-2:] == ["ours_train.txt", MARKER]


def test_the_same_images_give_the_same_bytes(tmp_path):
    root = tree(tmp_path / "one", train={"b": 2, "a": 3}, val={"a": 1})
    shutil.copytree(root, tmp_path / "two")
    for name in ("one", "two"):
        make("lists", tmp_path / name, tmp_path / f"of_{name}")
    one, two = (files_below(tmp_path / f"of_{name}") for name in ("one", "two"))
    assert {name: content for name, content in one.items() if name != MARKER} == {
        name: content for name, content in two.items() if name != MARKER
    }


@pytest.mark.parametrize("what", sorted(WITHOUT_IMAGES))
def test_lists_have_no_class_folders_to_write(what, tmp_path):
    with pytest.raises(TypeError):
        make(what, tmp_path, tmp_path / "out", class_folders=True)
