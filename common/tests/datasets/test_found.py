"""Images that are pointed at, and labelled ones for classes that are known."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail.datasets.base import ArrayImages, ImageData
from longtail.datasets.found import find_images
from longtail.datasets.labelled import load_labelled, only_readable, relabelled
from longtail.errors import UserError


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos/b/2.png", "photos/b/10.PNG", "photos/a/with, comma.jpg", "photos/notes.txt", "photos/.hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return Path("photos")


def names(paths):
    return [str(path) for path in paths]


def test_a_folder_stands_for_all_images_below_it(photos):
    assert names(find_images([photos])) == ["photos/a/with, comma.jpg", "photos/b/10.PNG", "photos/b/2.png"]


def test_patterns_and_files_in_the_order_of_the_words_each_once(photos):
    assert names(find_images(["photos/notes.txt", "photos/b/*", "photos/**/2.png", "photos/b/2.png"])) == [
        "photos/notes.txt",
        "photos/b/10.PNG",
        "photos/b/2.png",
    ]
    assert names(find_images(["photos/[ab]"])) == names(find_images([photos]))


def test_links_that_lead_in_circles_end(photos):
    (photos / "a" / "up").symlink_to(photos.resolve())
    (photos / "self.png").symlink_to("self.png")
    assert len(find_images([photos])) == 3


def test_names_that_are_no_utf8(photos):
    path = photos / os.fsdecode(b"caf\xe9.jpg")
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes no such names")
    assert path in find_images([photos])


@pytest.mark.parametrize(
    ("word", "message"),
    [("nowhere", "no file or folder nowhere"), ("photos/x*", "no image matches"), ("empty", "no image in empty")],
)
@pytest.mark.usefixtures("photos")
def test_words_that_name_nothing(word, message):
    Path("empty").mkdir()
    with pytest.raises(UserError, match=message):
        find_images([word])


@pytest.fixture
def labelled(tmp_path):
    """Makes class folders or a table."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(tmp_path / name)
        return tmp_path

    return make


@pytest.mark.parametrize("below", ["", "test/", "val/"])
def test_class_folders_get_the_labels_of_the_network(labelled, below):
    root = labelled(f"{below}bees/1.png", f"{below}ants/1.png", f"{below}ants/2.png", *(["train/bees/0.png"] if below else []))
    data = load_labelled(root, ("bees", "wasps", "ants"))
    assert sorted(zip(data.images.paths, data.labels.tolist(), strict=True)) == [
        (f"{below}ants/1.png", 2),
        (f"{below}ants/2.png", 2),
        (f"{below}bees/1.png", 0),
    ]
    assert data.class_names == ("bees", "wasps", "ants")


def test_test_folders_alone(labelled):
    data = load_labelled(labelled("test/ants/1.png"), ("ants", "bees"))
    assert data.labels.tolist() == [0]


def test_tables_name_classes_or_number_them(labelled):
    root = labelled("x/1.png", "x/2.png")
    (root / "named.csv").write_text("path,label\nx/1.png,bees\nx/2.png,ants\n")
    (root / "numbered.csv").write_text("path,label\nx/1.png,1\nx/2.png,0\n")
    for table in ("named.csv", "numbered.csv"):
        assert load_labelled(root / table, ("ants", "bees")).labels.tolist() == [1, 0]


def test_unknown_classes_and_nothing_to_judge_on(labelled):
    root = labelled("bees/1.png")
    with pytest.raises(UserError, match="classes that the run does not know: bees\nit was trained on 2: ants, wasps"):
        load_labelled(root, ("ants", "wasps"))
    with pytest.raises(UserError, match="no folder or table"):
        load_labelled(root / "nowhere", ("ants",))
    with pytest.raises(UserError, match="training images alone"):
        load_labelled(labelled("only/train/bees/1.png") / "only", ("bees",))


def test_classes_in_another_order_are_relabelled():
    images = ArrayImages(np.zeros((3, 4, 4, 3), dtype=np.uint8))
    data = ImageData(images, np.array([0, 2, 2]), ("a", "unused", "c"))
    assert relabelled(data, ("c", "b", "a"), "mine").labels.tolist() == [2, 0, 0]
    assert relabelled(data, data.class_names, "mine") is data
    with pytest.raises(UserError, match="mine has classes that the run does not know: c"):
        relabelled(data, ("a", "unused"), "mine")


def test_what_cannot_be_read_is_left_out_though_a_class_loses_all(labelled):
    root = labelled("ants/1.png", "bees/1.png")
    (root / "bees" / "1.png").write_bytes(b"damaged")
    data = load_labelled(root, ("ants", "bees"))
    assert only_readable(data).labels.tolist() == [0]
    (root / "ants" / "1.png").write_bytes(b"damaged")
    with pytest.raises(UserError, match="none of the 2 images"):
        only_readable(data)
