"""`longtail data make` as a user meets it."""

import pytest

from longtail.datasets.fake import write_fake


def test_what_is_made_can_be_trained_on(longtail, tmp_path):
    write_fake("cifar10", tmp_path / "cifar", largest_class=12, test_per_class=1)
    ended = longtail("data", "make", "cifar10-lt", "--source", "cifar", "--out", "made", "--imbalance-factor", 0.5)
    assert ended.code == 0
    assert "train  83 images of 10 classes, 6 to 12 a class" in ended.out
    assert "--data csv --root made" in ended.out
    words = (
        "train erm --data csv --root made --image-size 32 --augmentation padded --backbone resnet20 --device cpu --workers 0"
    )
    ended = longtail(*words.split(), "--max-epochs", 1, "--max-steps", 1, "--batch-size", 8, "--out", "run")
    assert ended.code == 0
    assert "erm on csv" in ended.out


def test_class_folders_and_mini_imagenet(longtail, tmp_path):
    write_fake("mini-imagenet", tmp_path / "mini", num_classes=3, largest_class=9, test_per_class=2)
    words = ["data", "make", "mini-imagenet-lt", "--source", "mini"]
    ended = longtail(*words, "--out", "made", "--seed", 3, "--link", "--folders")
    assert ended.code == 0
    assert "chosen with seed 3" in ended.out
    assert "--data folder --root made" in ended.out
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"train", "val", "test", "longtail-made.json"}
    assert longtail(*words, "--out", "listed", "--lists", "mini").code == 0
    assert (tmp_path / "listed/train.csv").read_bytes() == (tmp_path / "mini/train.csv").read_bytes()


def test_lists_and_class_counts(longtail, tmp_path):
    write_fake("mini-imagenet", tmp_path / "tree", num_classes=3, largest_class=4, test_per_class=1)
    for words in ("--out tree", "--out data/Mine --prefix Mine"):
        ended = longtail("data", "make", "lists", "--source", "tree", *words.split())
        assert (ended.code, ended.err) == (0, "")
        assert "val    3 images of 3 classes, 1 a class" in ended.out
        assert "their paths begin at tree" in ended.out
    assert (tmp_path / "data/Mine/Mine_train.txt").read_bytes() == (tmp_path / "tree/train.txt").read_bytes()
    ended = longtail("data", "make", "num-shots", "--source", "data/Mine/Mine_train.txt", "--out", "counts")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("num_shots.npz and num_shots.txt are in counts\n")
    assert (tmp_path / "counts/num_shots.txt").read_bytes() == (tmp_path / "tree/num_shots.txt").read_bytes()


def test_lists_of_inaturalist(longtail, tmp_path):
    write_fake("inat18-json", tmp_path / "inat", num_classes=3, largest_class=4)
    ended = longtail("data", "make", "inat18-lists", "--source", "inat", "--out", "data/iNaturalist18")
    assert (ended.code, ended.err) == (0, "")
    assert "their paths begin at the folder of train_val2018/" in ended.out
    assert (tmp_path / "data/iNaturalist18/iNaturalist18_val.txt").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "required: WHAT"),
        ("lists --source x --out y --folders", "unrecognized arguments: --folders"),
        ("lists --source x --out y", "train.\nExpected: class folders in"),
        ("num-shots --source x --out y", "there is no training list in"),
        ("inat18-lists --source x --out y", "train2018.json"),
        ("svhn-lt", "invalid choice: 'svhn-lt'"),
        ("cifar10-lt --source x", "required: --out"),
        ("cifar10-lt --source x --out y --holdout-val 0", "argument --holdout-val: must be a number of images of at least 1"),
        ("cifar10-lt --source x --out y --holdout-val 1.5", "or a part between 0 and 1, got '1.5'"),
        ("cifar10-lt --source x --out y --holdout-val few", "got 'few'"),
        ("cifar10-lt --source x --out y --seed 3", "unrecognized arguments: --seed 3"),
        ("mini-imagenet-lt --source x --out y --lists none", "argument --lists: there is no folder 'none'"),
        ("mini-imagenet-lt --source x --out y", "there is no folder"),
    ],
)
def test_mistakes_exit_with_2(words, message, longtail):
    ended = longtail("data", "make", *words.split())
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert "Traceback" not in ended.err
