"""Training on images of one's own that few people have: one step each, to the end."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

TINY = (
    *("--backbone", "resnet20", "--image-size", 32, "--batch-size", 4, "--max-epochs", 1, "--max-steps", 1),
    *("--workers", 0, "--device", "cpu", "--progress", "none", "--out", "run"),
)


def save(path, tint):
    """A picture of 32 px that differs from those of other tints."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((32, 32, 3), tint % 200, dtype=np.uint8)
    pixels[0, 0] = tint // 200
    Image.fromarray(pixels).save(path)


@pytest.fixture
def images(tmp_path):
    """Writes folders below `mine` with so many pictures each."""

    def write(**counts):
        tints = iter(range(1000))
        for folder, count in counts.items():
            for number in range(count):
                save(tmp_path / "mine" / folder.replace("__", "/") / f"{number}.png", next(tints))
        return "mine"

    return write


@pytest.fixture
def train(longtail, tmp_path):
    """Trains a step and returns the run's record, with the rows of its `per_class.csv`."""

    def call(data):
        ended = longtail("train", "erm", "--data", data, *TINY)
        assert ended.code == 0, ended.err
        record = json.loads((tmp_path / "run/run.json").read_text())
        assert record["finished"]
        with (tmp_path / "run/per_class.csv").open() as file:
            return record, list(csv.DictReader(file))

    return call


def test_two_classes(images, train):
    record, rows = train(images(cat=10, dog=5))
    # of 10 and 5 images 2 and 1 are tested on, and one each chooses the epoch
    assert record["class_counts"] == [7, 3]
    assert {part: len(drawn["images"]) for part, drawn in record["drawn"].items()} == {"test": 3, "val": 2}
    assert record["results"]["select"] == "val"
    assert len(rows) == 2
    last = record["results"]["last"]
    assert last["samples"] == 3
    assert 0 <= last["balanced_accuracy"] <= 1


def test_a_class_of_one_image(images, train):
    record, rows = train(images(cat=10, dog=5, owl=1))
    assert record["class_counts"] == [7, 3, 1]
    assert [row["accuracy_last"] == "" for row in rows] == [False, False, True]


def test_a_class_without_test_images(images, train):
    record, _ = train(images(train__cat=4, train__dog=3, train__owl=2, test__cat=2, test__dog=1))
    assert record["class_counts"] == [3, 2, 1]
    last = record["results"]["last"]
    assert last["samples"] == 3
    assert last["per_class_accuracy"][2] is None
    assert last["balanced_accuracy"] == pytest.approx(np.mean(last["per_class_accuracy"][:2]))


def test_a_table_of_three_hundred_classes(train, tmp_path):
    lines = ["path,label,split"]
    for c in range(300):
        path = f"all/{c}.png"
        save(tmp_path / "mine" / path, c)
        lines.append(f"{path},class {c},train")
        if c < 4:  # as many as one step evaluates
            save(tmp_path / f"mine/test/{c}.png", 500 + c)
            lines.append(f"test/{c}.png,class {c},test")
    (tmp_path / "mine/table.csv").write_text("\n".join(lines) + "\n")
    record, rows = train("mine/table.csv")
    assert record["class_counts"] == [1] * 300
    assert record["results"]["select"] == "last"  # there is none that could be spared to choose an epoch
    assert len(rows) == 300
    assert record["results"]["last"]["samples"] == 4
    assert len(record["results"]["last"]["per_class_accuracy"]) == 300


def damage(folder):
    """Puts files into a class that yield no picture, or one that is too large; returns how many."""
    (folder / "empty.png").touch()
    (folder / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "lost.png").symlink_to("nowhere.png")
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    return 4


def test_images_that_cannot_be_read_stop_training_or_are_left_out(images, longtail, tmp_path, caplog):
    data = images(train__cat=6, train__dog=4, test__cat=2, test__dog=1)
    bad = damage(tmp_path / "mine/train/cat")
    words = ("train", "erm", "--data", data, *TINY, "--max-steps", 10, "--select", "last")
    ended = longtail(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "/mine/train/cat/" in ended.err
    assert "(class 'cat') cannot be read: " in ended.err
    assert ended.err.endswith("\n--on-bad-image skip leaves such images out and corrects the class counts\n")
    ended = longtail(*words, "--on-bad-image", "skip", "--out", "without")
    assert ended.code == 0, ended.err
    record = json.loads((tmp_path / "without/run.json").read_text())
    assert record["class_counts"] == [6, 4]
    assert f"left out {bad} of 17 images, which cannot be read: " in caplog.text


def test_odd_names_and_formats_are_trained_on(images, train, tmp_path):
    data = images(**{"cats, all": 3, 'dog "x"': 3})
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green")]
    for name in ("caf\udce9, one.gif", "moving.webp"):
        with (tmp_path / "mine/cats, all" / name).open("wb") as file:
            frames[0].save(file, format=name.rpartition(".")[2], save_all=True, append_images=frames[1:])
    Image.new("CMYK", (32, 48)).save(tmp_path / "mine" / 'dog "x"' / "print.jpg")
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32) * 60).save(tmp_path / "mine" / 'dog "x"' / "deep.png")
    record, rows = train(data)
    assert record["class_counts"] == [3, 3], "of five, one is held out and one tested on"
    assert [row["name"] for row in rows] == ["cats, all", 'dog "x"']
