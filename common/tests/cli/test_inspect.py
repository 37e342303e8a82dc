"""`longtail data inspect`: what it prints, its exit codes, and training on what it looked at."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def fill(root: Path, counts: dict[str, int], side: int = 32) -> Path:
    """Writes class folders of pictures that all differ."""
    for c, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.full((side, side, 3), 5 * c, dtype=np.uint8)
            pixels[0, 0] = number
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def photos(tmp_path):
    return fill(tmp_path / "my photos", {"cats, all": 10, "dogs [2]": 4, "owl": 1})


def test_what_a_person_sees(photos, longtail):
    ended = longtail("data", "inspect", photos.name)
    assert (ended.code, ended.err) == (0, "")
    for words in (
        "my photos: one folder of class folders, 3 classes",
        "imbalance factor 0.125, 8 times as many images in the largest class as in the smallest",
        "classes by shot group: many 1, medium 1, few 1; many: more than 4 training images, few: fewer than 2 (thirds of",
        "files: 15 PNG; read whole: all of them",
        "pixels: 32 x 32, shorter side 32 in the middle",
        "warning: 1 class without a test image: owl",
        "note: there are no test images: 0.2 of each class, 3 images, drawn with seed 0",
        "training can start: longtail train erm --data 'my photos' --image-size 32",
    ):
        assert words in " ".join(ended.out.split())
    rows = {line.split("█")[0].strip(): line for line in ended.out.splitlines() if "█" in line}
    assert list(rows) == ["cats, all", "dogs [2]", "owl"]
    assert rows["cats, all"].count("█") > rows["dogs [2]"].count("█") > rows["owl"].count("█") > 0
    assert rows["owl"].endswith("1 few")


def test_json_is_all_there_is_on_standard_output(photos, longtail, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    ended = longtail("data", "inspect", photos, "--json", "--test-fraction", 0.5, "--plot", "sizes.png")
    assert ended.code == 0
    told = json.loads(ended.out)
    assert told["can_train"]
    assert told["classes"][0] == {"name": "cats, all", "train": 5, "test": 5}
    assert told["shot_groups"] == {"many": 1, "medium": 1, "few": 1}
    with Image.open("sizes.png") as plot:
        assert plot.format == "PNG"


def test_errors_are_told_and_prevent_training(photos, longtail):
    (photos / "owl" / "1.png").write_bytes(b"")
    (photos / "cats, all" / "again").symlink_to(photos)
    ended = longtail("data", "inspect", photos)
    assert ended.code == 1
    assert "error: 1 image that cannot be read: owl/1.png (the file is empty)" in " ".join(ended.out.split())
    assert "or train with --on-bad-image skip" in ended.out
    assert "link in a circle: cats, all/again" in ended.out
    assert "training cannot start: one error to mend, see above" in ended.out
    told = ended.out[ended.out.index("error: ") :].splitlines()
    assert all(line == line.rstrip() for line in told if line.startswith("    "))


def test_what_is_told_without_a_remedy_leaves_no_gap(photos, longtail, tmp_path):
    lines = [f'"{path.relative_to(tmp_path)}","{path.parent.name}"' for path in sorted(photos.rglob("*.png"))]
    (tmp_path / "all.csv").write_text("\n".join(["path,label", *lines]))
    ended = longtail("data", "inspect", "all.csv")
    assert ended.code == 0
    told = ended.out[ended.out.index("warning: ") :].splitlines()
    assert told.index("note: columns, separated by commas: path = 'path', label = 'label'") > 0
    assert told.count("") == 1, "above the last line"
    assert not any(line.isspace() for line in told)


def test_a_table_that_cannot_be_read_is_a_finding(longtail, tmp_path):
    (tmp_path / "t.csv").write_text("path,label\n../x.jpg,1\n")
    ended = longtail("data", "inspect", "t.csv")
    assert (ended.code, ended.err) == (1, "")
    assert "error: " in ended.out
    assert "line 2: ../x.jpg is not below the table's folder" in " ".join(ended.out.split())
    assert "or move the table to a folder above them" in " ".join(ended.out.split())
    assert longtail("data", "inspect", "t.csv", "--json").code == 1
    (tmp_path / "empty").mkdir()
    ended = longtail("data", "inspect", "empty")
    assert ended.code == 1
    assert "there is no image in the class folders of" in ended.out
    ended = longtail("data", "inspect", "empty", "--plot", "sizes.png")
    assert ended.err == "plot: sizes.png is not written, since no class has training images\n"
    assert not (tmp_path / "sizes.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("absent", "unknown data set 'absent'; choose one of cifar10"),
        ("not/there.csv", "there is no folder or table 'not/there.csv'\n"),
        (". --test-fraction 2", "argument --test-fraction: must be"),
        ("digits --profile steep", "unknown imbalance profile 'steep'"),
    ],
)
def test_mistakes_exit_with_2(words, message, longtail):
    ended = longtail("data", "inspect", *words.split())
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_data_sets_with_names(longtail):
    ended = longtail("data", "inspect", "digits", "--imbalance-factor", 0.1)
    assert ended.code == 0
    assert "digits: imbalance factor 0.1, 10 classes" in ended.out
    assert "few: fewer than 20" in ended.out
    assert ended.out.endswith("training can start: longtail train erm --data digits --imbalance-factor 0.1\n")


def test_many_classes_are_a_curve(longtail, tmp_path):
    fill(tmp_path / "d", {f"c{number:02}": 2 + number % 5 for number in range(40)}, side=8)
    ended = longtail("data", "inspect", "d", "--plot", "sizes.png")
    assert ended.code == 0
    assert "training images of the 40 classes, by size (log scale)" in ended.out
    assert ended.out.endswith("plot: sizes.png\n")
    assert max(map(len, ended.out.splitlines())) <= 120


TINY = ("--backbone", "resnet20", "--batch-size", 4, "--max-epochs", 1, "--max-steps", 1, "--device", "cpu", "--workers", 0)


def test_training_on_a_path(photos, longtail, tmp_path):
    words = ("train", "erm", "--data", "my photos", "--image-size", 32, *TINY, "--progress", "none")
    ended = longtail(*words)
    assert ended.code == 0, ended.err
    assert "notice: shot groups: many: more than 3 training images, few: fewer than 2 (thirds of the classes" in ended.err
    assert "notice: 2 training images, 0.1 of each class, are held out to choose the best epoch" in ended.err
    assert "erm on my photos: test accuracy in %" in ended.out
    assert ended.out.endswith("run folder: runs/my_photos-32px-resnet20-erm-ce-batch_size4-max_steps1-seed0\n")
    (path,) = tmp_path.glob("runs/*/run.json")
    record = json.loads(path.read_text())
    assert record["identity"]["data"] == str(photos)
    assert (record["identity"]["shots_many"], record["identity"]["shots_few"]) == (3, 2)
    drawn = record["drawn"]["test"]
    assert (drawn["fraction"], drawn["seed"], len(drawn["images"])) == (0.2, 0, 3)
    assert record["results"]["last"]["samples"] == 3
    again = longtail(*words, "--resume-auto")
    assert again.out == ended.out


def test_training_on_a_table_with_thresholds_and_a_held_out_part(photos, longtail, tmp_path):
    lines = [f'"{path.relative_to(tmp_path)}",{path.parent.name.split(",")[0]}\n' for path in sorted(photos.rglob("*.png"))]
    (tmp_path / "all.csv").write_text("file,species\n" + "".join(lines))
    words = ("--select", "val", "--thresholds", 5, 2, "--test-fraction", 0.3, "--split-seed", 2, "--out", "run")
    ended = longtail("train", "erm", "--data", "all.csv", "--image-size", 32, *TINY, *words)
    assert ended.code == 0, ended.err
    assert "notice: shot groups" not in ended.err
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["drawn"]["test"]["fraction"] == 0.3
    assert record["drawn"]["val"]["fraction"] == 0.1
    assert set(record["drawn"]["val"]["images"]).isdisjoint(record["drawn"]["test"]["images"])
    assert (record["identity"]["shots_many"], record["identity"]["shots_few"]) == (5, 2)


def test_training_where_it_cannot_start(longtail, tmp_path):
    fill(tmp_path / "d", {"only": 3})
    ended = longtail("train", "erm", "--data", "d", *TINY)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "longtail: error: there is one class only, only\ntraining needs images of two classes or more\n"
