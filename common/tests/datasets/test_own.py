"""What is made of a folder or a table of somebody's own: parts, classes, and what is said of them."""

import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.datasets.base import FileImages
from longtail.datasets.factory import create_data, fingerprint
from longtail.datasets.own import find_own, load_own
from longtail.errors import UserError


def fill(root: Path, *paths: str) -> Path:
    """Makes files; their content does not matter to who lists them."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def images(name: str, count: int) -> list[str]:
    return [f"{name}/{number}.jpg" for number in range(count)]


def told(root, *, kind):
    (finding,) = [each for each in find_own(root).findings if each.kind == kind]
    return finding


def of_class(part) -> dict[str, int]:
    return dict(zip(part.class_names, part.class_counts.tolist(), strict=True))


def test_a_divided_tree_is_taken_as_it_is(tmp_path):
    root = fill(tmp_path / "birds", *images("train/b", 3), *images("train/a", 1), *images("test/a", 2), *images("val/b", 1))
    data = load_own(root, image_size=96)
    assert (data.name, data.image_size, data.val, data.drawn) == ("birds", 96, None, {})
    assert of_class(data.train) == {"a": 1, "b": 3}
    assert of_class(data.test) == {"a": 2, "b": 0}
    assert isinstance(data.train.images, FileImages)
    assert data.train.images.upright
    assert data.train.images.paths == ("train/a/0.jpg", "train/b/0.jpg", "train/b/1.jpg", "train/b/2.jpg")
    val = load_own(root, with_val=True).val
    assert val is not None
    assert of_class(val) == {"a": 0, "b": 1}


@pytest.mark.parametrize(("train", "val", "test"), [("Training", "valid", "TEST"), ("train", "validation", "testing")])
def test_parts_go_by_several_names(train, val, test, tmp_path):
    root = fill(tmp_path, f"{train}/a/1.jpg", f"{train}/b/1.jpg", f"{val}/a/2.jpg", f"{test}/b/3.jpg")
    data = load_own(root, with_val=True)
    assert data.val is not None
    assert [part.images.paths for part in (data.val, data.test)] == [(f"{val}/a/2.jpg",), (f"{test}/b/3.jpg",)]


def test_validation_images_stand_in_for_test_images_and_that_is_said(tmp_path, caplog):
    root = fill(tmp_path / "d", *images("train/a", 4), *images("train/b", 4), "val/a/9.jpg", "val/b/9.jpg")
    with caplog.at_level(logging.WARNING):
        data = create_data(str(root), holdout=0.25)
    assert data.test.images.paths == ("val/a/9.jpg", "val/b/9.jpg")
    assert data.val is not None
    assert of_class(data.val) == {"a": 1, "b": 1}, "held out of the training images"
    assert data.drawn["val"].images == data.val.images.paths
    assert (
        "the validation images are tested on; longtail train holds out a part of the training images to choose an epoch"
        in caplog.text
    )


def test_test_images_are_drawn_from_one_folder_and_recorded(tmp_path, caplog):
    root = fill(tmp_path / "d", *images("a", 10), *images("b", 2), *images("c", 1))
    with caplog.at_level(logging.WARNING):
        data = create_data(str(root))
    assert of_class(data.train) == {"a": 8, "b": 1, "c": 1}
    assert of_class(data.test) == {"a": 2, "b": 1, "c": 0}
    assert set(data.train.images.paths).isdisjoint(data.test.images.paths)
    drawn = data.drawn["test"]
    assert (drawn.fraction, drawn.seed, drawn.images) == (0.2, 0, data.test.images.paths)
    assert "d: there are no test images: 0.2 of each class, 3 images, drawn with seed 0" in caplog.text
    assert "1 class without a test image: c" in caplog.text
    assert fingerprint(create_data(str(root))) == fingerprint(data)
    assert create_data(str(root), split_seed=1).drawn["test"].images != drawn.images
    assert of_class(create_data(str(root), test_fraction=0.5).test) == {"a": 5, "b": 1, "c": 0}


def test_training_images_alone_are_divided_too(tmp_path):
    root = fill(tmp_path, *images("train/a", 5), *images("train/b", 5))
    assert of_class(load_own(root).test) == {"a": 1, "b": 1}


@settings(derandomize=True, deadline=None, max_examples=25)
@given(sizes=st.lists(st.integers(1, 30), min_size=2, max_size=6), fraction=st.floats(0.05, 0.9))
def test_every_class_of_two_images_or_more_is_on_both_sides(sizes, fraction, tmp_path_factory):
    root = tmp_path_factory.mktemp("own")
    fill(root, *(path for c, size in enumerate(sizes) for path in images(f"c{c}", size)))
    found = find_own(root, test_fraction=fraction)
    if max(sizes) == 1:
        assert [each.kind for each in found.errors] == ["no-test-images"]
        return
    train, test = found.parts["train"].class_counts, found.parts["test"].class_counts
    assert (train + test).tolist() == sizes
    assert (train >= 1).all()
    np.testing.assert_array_equal(test >= 1, np.array(sizes) >= 2)


def test_what_does_not_count_is_told(tmp_path):
    root = fill(tmp_path, *images("a", 2), *images("b", 2), "empty/readme.txt", "loose.png", "a/phone.heic", ".hidden/1.jpg")
    found = find_own(root)
    assert found.parts["train"].class_names == ("a", "b")
    texts = {each.kind: each.text for each in found.findings}
    assert texts["image-without-class"] == "1 image in no class folder: loose.png"
    assert texts["other-pictures"] == "1 picture of kinds that are not read: a/phone.heic"
    assert texts["empty-folder"] == "1 folder without an image, no class: empty"
    assert texts["other-files"] == "1 file ignored, since the name is not that of an image: empty/readme.txt"


def test_mixed_nesting_is_told(tmp_path):
    root = fill(tmp_path, "cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/big/2.jpg")
    finding = told(root, kind="nested-folders")
    assert "dog/big" in finding.text
    assert "move them one level up" in finding.remedy
    assert of_class(find_own(root).parts["train"]) == {"cat": 1, "dog": 1}


def test_a_folder_around_the_classes_is_told(tmp_path):
    root = fill(tmp_path, *images("archive/cat", 2), *images("archive/dog", 2))
    assert [each.kind for each in find_own(root).errors] == ["folder-around-classes"]
    assert f"give {root / 'archive'} instead" in told(root, kind="folder-around-classes").remedy
    assert not find_own(root / "archive").errors


def test_a_folder_around_the_parts_is_told(tmp_path):
    root = fill(tmp_path, *images("archive/train/cat", 2), *images("archive/train/dog", 2), *images("archive/test/cat", 1))
    (error,) = find_own(root).errors
    assert "which has folders itself: test, train" in error.text
    assert f"give {root / 'archive'} instead" in error.remedy


@pytest.mark.parametrize("folders", [("test", "val"), ("test",), ("Testing", "dev")])
def test_parts_without_training_images_are_no_classes(folders, tmp_path):
    root = fill(tmp_path, *(path for folder in folders for name in "ab" for path in images(f"{folder}/{name}", 3)))
    (error,) = find_own(root).errors
    assert error.text == f"{root} has class folders in {' and '.join(folders)}, but no folder train"


def test_classes_may_be_called_like_parts(tmp_path):
    root = fill(tmp_path, *images("valid", 3), *images("test", 3))
    assert not find_own(root).errors


def test_pictures_that_are_not_read_are_told_where_there_are_no_others(tmp_path):
    root = fill(tmp_path, "a/1.HEIC", "a/2.HEIC", "b/1.avif")
    (error,) = find_own(root).findings
    assert error.text == f"there are only pictures of kinds that are not read in {root}: a/1.HEIC, a/2.HEIC, b/1.avif"
    assert error.remedy.startswith("convert them to JPEG or PNG")


def test_images_that_lie_in_no_folder_are_told_once(tmp_path):
    assert [each.kind for each in find_own(fill(tmp_path, "1.jpg", "2.jpg")).findings] == ["no-images"]


def test_what_systems_leave_beside_pictures_is_not_seen(tmp_path):
    left = (
        "__MACOSX/a/1.jpg",
        "a/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
        "$RECYCLE.BIN/1.jpg",
        "a/.ipynb_checkpoints/1-checkpoint.jpg",
    )
    root = fill(tmp_path, *images("a", 3), *images("b", 3), *left, "a/._1.jpg", "a/Thumbs.db", "b/desktop.ini", ".DS_Store")
    found = find_own(root)
    assert found.parts["train"].class_names == ("a", "b")
    assert sum(len(part) for part in found.parts.values()) == 6
    assert [each.kind for each in found.findings] == ["test-drawn"]


def test_a_folder_that_may_not_be_listed_is_told(tmp_path, monkeypatch):
    root = fill(tmp_path, *images("a", 2), *images("b", 2))
    list_folder = os.scandir

    def listed(folder):
        if Path(folder).name == locked:  # the tests may run as root, whom chmod does not stop
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return list_folder(folder)

    monkeypatch.setattr(os, "scandir", listed)
    for locked in (root.name, "b"):
        with pytest.raises(UserError, match=rf"cannot list .*{locked}: Permission denied\nallow reading it, or move it out"):
            load_own(root)


def test_links_in_a_circle_end_and_are_told(tmp_path):
    root = fill(tmp_path / "d", *images("a", 2), *images("b", 2))
    (root / "a" / "up").symlink_to(root)
    (root / "c").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    (root / "b" / "me.jpg").symlink_to(root / "b" / "me.jpg")
    (root / "b" / "above").symlink_to(tmp_path)
    found = find_own(root)
    assert sum(len(part) for part in found.parts.values()) == 4
    finding = told(root, kind="link-in-a-circle")
    assert sorted(finding.items) == ["a/up", "b/above", "b/me.jpg", "c", "itself"]
    assert "delete them" in finding.remedy


def test_odd_names_of_files_are_kept(tmp_path):
    names = ["with space.jpg", "a,b.jpg", 'qu"ote.jpg', "[bold].jpg", "é.jpg"]
    root = fill(tmp_path, *(f"my cats, all/{name}" for name in names), *images("dogs", 2))
    fill(root, "dogs/caf\udce9.jpg")
    data = load_own(root)
    paths = {*data.train.images.paths, *data.test.images.paths}
    assert paths == {f"my cats, all/{name}" for name in names} | {"dogs/0.jpg", "dogs/1.jpg", "dogs/caf\udce9.jpg"}
    assert len(fingerprint(data)) == 16


def test_a_class_name_that_is_not_utf_8_is_refused(tmp_path):
    root = fill(tmp_path, *images("a", 2))
    fill(root, *images("caf\udce9", 1))
    with pytest.raises(UserError, match=r"1 class name not in UTF-8: caf\\xe9\nrename the folder"):
        load_own(root)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ((), r"there is no image in the class folders of .*\nexpected PATH/train/CLASS/"),
        (("a/notes.txt", "b/notes.txt"), r"there is no image in the class folders of .*\n.*images are called .*\*\.jpg"),
        (("1.jpg", "2.jpg"), r"the images lie straight in .*\nsort them into folders of their classes"),
        (("1.jpg", "labels.csv"), r"the images lie straight in .*\ngive the table .*labels\.csv itself"),
        (("train/1.jpg", "test/a/1.jpg"), r"the images lie straight in .*train.*\nsort them into folders"),
        (("a/1.jpg", "a/2.jpg"), r"there is one class only, a\ntraining needs images of two classes"),
        (("a/1.jpg", "b/1.jpg"), r"no class has two images, so that none can be tested on\nadd images"),
        (("test/a/1.jpg", "test/b/1.jpg"), r"has class folders in test, but no folder train\nput the images"),
        (("a/train/1.jpg", "b/train/1.jpg", "b/test/2.jpg"), r"are inside of the class folders of .*\nturn them round"),
        (("train/a/1.jpg", "training/a/1.jpg", "test/a/2.jpg"), r"has 2 folders for one part: train, training\nmerge them"),
        (
            ("train/a/1.jpg", "train/b/1.jpg", "test/c/1.jpg"),
            r"1 class of test without a training image: c\nadd training images",
        ),
        (
            ("train/a/1.jpg", "val/b/1.jpg", "test/c/1.jpg"),
            r"2 classes of val and test without a training image: b, c\nadd training images",
        ),
    ],
)
def test_what_prevents_training_says_what_to_do(paths, message, tmp_path):
    fill(tmp_path, *paths)
    with pytest.raises(UserError, match=message):
        load_own(tmp_path)


def test_several_errors_point_to_the_inspection(tmp_path):
    fill(tmp_path, "train/a/1.jpg", "training/a/1.jpg", "test/b/1.jpg")
    with pytest.raises(UserError, match=r"merge them.*\nlongtail data inspect .* tells what else is wrong"):
        load_own(tmp_path)


def test_test_images_without_labels_do_not_count(tmp_path):
    root = fill(tmp_path, *images("train/a", 5), *images("train/b", 5), "test/1.jpg", "test/2.jpg")
    finding = told(root, kind="part-without-labels")
    assert "has 2 images, but in no class folders" in finding.text
    assert of_class(find_own(root).parts["test"]) == {"a": 1, "b": 1}


def test_names_that_differ_in_case_only_are_told(tmp_path):
    fill(tmp_path, *images("Cat", 2), *images("cat ", 2), *images("dog", 2))
    if len(list(tmp_path.iterdir())) == 3:
        assert told(tmp_path, kind="class-names-alike").items == ("Cat", "cat ")


def test_a_thousand_classes(tmp_path):
    root = fill(tmp_path, *(f"c{number:04}/{image}.jpg" for number in range(1000) for image in range(2)))
    data = load_own(root)
    assert data.num_classes == 1000
    assert data.class_counts.tolist() == data.test.class_counts.tolist() == [1] * 1000


def test_a_path_must_be_there_and_first_draws_nothing(tmp_path):
    with pytest.raises(UserError, match="there is no folder or table"):
        find_own(tmp_path / "absent")
    with pytest.raises(UserError, match=r"unknown data set 'absent'; choose one of .* or give the path of a folder or table"):
        create_data("absent")
    fill(tmp_path, *images("a", 2), *images("b", 2))
    with pytest.raises(UserError, match="--split-seed takes a number"):
        create_data(str(tmp_path), split_seed=None)


@pytest.mark.parametrize("path", ["x" * 300, "~no-such-user-of-this-machine/photos"])
def test_what_cannot_be_a_path_is_told(path):
    with pytest.raises(UserError, match=r"^cannot reach "):
        create_data(path)
    with pytest.raises(UserError, match=r"^cannot reach "):
        find_own(path)
