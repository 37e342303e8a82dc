import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail.datasets import readable
from longtail.datasets.base import ArrayImages, ImageData, LongTailData
from longtail.datasets.factory import create_data
from longtail.datasets.fake import write_fake
from longtail.datasets.readable import leave_out_unreadable
from longtail.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four classes with 5 to 1 training images, 2 validation and 2 test images each; to damage."""
    return write_fake("mini-imagenet", tmp_path / "data", num_classes=4, largest_class=5, test_per_class=2)


def load(root: Path) -> LongTailData:
    return create_data("folder", root=root, holdout=0.1)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def largest_class(data: LongTailData) -> tuple[int, list[str]]:
    label = int(data.class_counts.argmax())
    return label, [path for path, of in zip(data.train.images.paths, data.train.labels, strict=True) if of == label]


def test_readable_data_stay_as_they_are(root, caplog):
    data = load(root)
    with caplog.at_level(logging.WARNING):
        assert leave_out_unreadable(data) is data
    files = len(data.train) + len(data.val) + len(data.test)
    assert caplog.messages[1:] == [f"reading {files} images once, to leave out those that cannot be read"]


def test_unreadable_images_are_left_out_of_every_part_and_told(root, caplog):
    data = load(root)
    label, paths = largest_class(data)
    truncate(root / paths[1])
    (root / paths[3]).write_text("<html>404 Not Found</html>")
    bad_val, bad_test = data.val.images.paths[2], data.test.images.paths[-1]
    (root / bad_val).write_bytes(b"")
    (root / bad_test).unlink()
    with caplog.at_level(logging.WARNING):
        found = leave_out_unreadable(data)
    bad = (paths[1], paths[3], bad_val, bad_test)
    assert found.left_out == bad
    expected = data.class_counts
    expected[label] -= 2
    assert found.class_counts.tolist() == expected.tolist()
    for before, after in ((data.train, found.train), (data.val, found.val), (data.test, found.test)):
        kept = [i for i, path in enumerate(before.images.paths) if path not in bad]
        assert after.images.paths == tuple(before.images.paths[i] for i in kept)
        np.testing.assert_array_equal(after.labels, before.labels[kept])
        assert after.images.upright
        assert after.class_names == before.class_names
    (told,) = [text for text in caplog.messages if text.startswith("left out")]
    assert told.startswith("left out 4 of ")
    assert told.endswith("; ...")
    assert f"{root / paths[1]} (image file is truncated" in told
    assert f"{root / bad_val} (the file is empty)" in told
    assert str(root / bad_test) not in told, "three examples are enough"


def test_a_file_in_several_lines_is_read_once(tmp_path, monkeypatch):
    root = write_fake("inat18", tmp_path, num_classes=3, largest_class=8, test_per_class=2)
    data = create_data("inat18", root=root)
    read = []
    real = readable.read_image
    monkeypatch.setattr(readable, "read_image", lambda path, **how: (read.append(path), real(path, **how))[1])
    monkeypatch.setattr(readable, "_BLOCK", 2)
    leave_out_unreadable(data)
    assert sorted(read) == sorted({root / path for path in data.train.images.paths})


def test_the_number_of_threads_changes_nothing(root):
    data = load(root)
    _, paths = largest_class(data)
    for path in paths[:2]:
        truncate(root / path)
    found = [leave_out_unreadable(data, threads=threads).left_out for threads in (1, 3)]
    assert found == [tuple(paths[:2])] * 2


def test_a_class_that_would_lose_all_training_images_is_an_error(root):
    data = load(root)
    label, paths = largest_class(data)
    for path in paths:
        truncate(root / path)
    name = data.train.class_names[label]
    with pytest.raises(UserError) as caught:
        leave_out_unreadable(data)
    assert f"class '{name}' would lose all of its 5 training images, because none can be read" in str(caught.value)
    assert f"the first is {root / paths[0]} (image file is truncated" in str(caught.value)


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_part_without_images_is_an_error(part, root):
    data = load(root)
    for path in getattr(data, part).images.paths:
        (root / path).unlink()
    with pytest.raises(UserError, match=rf"none of the \d+ images of {part} can be read; the first is .*\(No such file"):
        leave_out_unreadable(data)


def test_meta_images_are_read_like_others_and_kept(root):
    data = load(root)
    meta = data.train.subset(np.arange(0, len(data.train), 2))
    bad = meta.images.paths[1]
    truncate(root / bad)
    found = leave_out_unreadable(replace(data, meta=meta))
    assert found.left_out == (bad,), "of the training and of the meta images, and told once"
    assert found.meta.images.paths == meta.images.paths[:1] + meta.images.paths[2:]
    assert bad not in found.train.images.paths


def test_a_class_may_lose_its_test_images(root):
    data = load(root)
    for path, label in zip(data.test.images.paths, data.test.labels, strict=True):
        if label == 2:
            (root / path).unlink()
    assert leave_out_unreadable(data).test.class_counts.tolist() == [2, 2, 0, 2]


def test_images_in_memory_are_all_readable(root, caplog):
    data = create_data("digits", on_bad_image="skip")
    assert leave_out_unreadable(data) is data
    part = ImageData(ArrayImages(np.zeros((4, 8, 8, 3), np.uint8)), np.arange(4), data.train.class_names)
    assert not caplog.records
    # Held-out images in memory beside files.
    in_files = load(root)
    _, paths = largest_class(in_files)
    truncate(root / paths[0])
    found = leave_out_unreadable(replace(in_files, val=part))
    assert found.left_out == (paths[0],)
    assert found.val is part


def test_odd_but_readable_images_stay(root):
    data = load(root)
    _, paths = largest_class(data)
    with Image.open(root / paths[0]) as image:
        picture = image.convert("RGB")
    picture.convert("CMYK").save(root / paths[0], format="JPEG")
    picture.convert("L").save(root / paths[1], format="JPEG")
    picture.resize((1, 1)).save(root / paths[2], format="JPEG")
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(root / paths[3], format="PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(root / paths[4], format="JPEG", exif=exif)
    assert leave_out_unreadable(data) is data


# --- Asked for by name


def test_by_default_bad_images_are_found_when_they_are_read(root):
    _, paths = largest_class(load(root))
    truncate(root / paths[0])
    assert load(root).left_out == ()
    assert create_data("folder", root=root, on_bad_image="skip").left_out == (paths[0],)


def test_missing_files_of_a_list_stop_unless_they_may_be_skipped(tmp_path):
    root = write_fake("places-lt", tmp_path, num_classes=3, largest_class=8, test_per_class=2)
    path = create_data("places-lt", root=root).test.images.paths[0]
    (root / path).unlink()
    with pytest.raises(UserError, match="1 of the 6 images in this list are missing"):
        create_data("places-lt", root=root)
    data = create_data("places-lt", root=root, on_bad_image="skip")
    assert data.left_out == (path,)
    assert sorted(data.test.class_counts.tolist()) == [1, 2, 2]


def test_images_that_lie_elsewhere_than_listed_are_read_there(tmp_path):
    root = write_fake("imagenet-lt", tmp_path / "data", num_classes=4, largest_class=5, test_per_class=2)
    for folder in sorted((root / "val").iterdir()):
        for path in folder.iterdir():
            path.rename(root / "val" / path.name)
        folder.rmdir()
    bad = sorted((root / "val").iterdir())[3]
    truncate(bad)
    data = create_data("imagenet-lt", root=root, on_bad_image="skip")
    assert data.left_out == (f"val/{bad.name}",)
    assert len(data.test) == 7


def test_images_are_held_out_from_those_that_can_be_read(tmp_path):
    root = write_fake("imagenet-lt", tmp_path, num_classes=3, largest_class=8, test_per_class=2)
    (root / "ImageNet_LT_val.txt").write_text((root / "ImageNet_LT_test.txt").read_text())
    path = create_data("imagenet-lt", root=root).test.images.paths[0]
    truncate(root / path)
    data = create_data("imagenet-lt", root=root, holdout=0.5, on_bad_image="skip")
    assert data.left_out == (path,)
    assert len(data.val) == len(data.test) == 5


def test_an_unknown_treatment_is_told():
    with pytest.raises(UserError, match="unknown treatment 'ignore' of bad images; choose one of fail, skip"):
        create_data("digits", on_bad_image="ignore")
