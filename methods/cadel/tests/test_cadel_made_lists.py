"""Lists and class counts that `longtail data make` writes are what the paper's scripts read."""

import logging

import pytest

from longtail.datasets.fake import write_fake
from longtail.datasets.fake_size import MARKER, FakeSize, Generated
from longtail.datasets.making import make
from longtail_cadel.data import load
from longtail_cadel.experiments import DATA_SETS


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.WARNING)
    return tmp_path


def loaded(name, root, num_classes):
    return load(
        DATA_SETS[name],
        root=str(root),
        num_classes=num_classes,
        num_dir=f"./data/{name}/num_shots.npz",
        image_size=32,
    )


def test_class_counts_of_lists_that_are_there(working_folder, caplog):
    root = write_fake("places-lt", working_folder / "places", num_classes=4, largest_class=6)
    make("num-shots", root, "data/Places_LT")
    loaded("Places_LT", root, 4)
    assert "num_shots" not in caplog.text


def test_the_tree_of_the_readme(working_folder, caplog):
    root = working_folder / "ImageNet-LT"
    for part, sizes in (("train", (5, 1)), ("val", (2, 2))):
        for name, size in zip(("n01", "n02"), sizes, strict=True):
            (root / part / name).mkdir(parents=True)
            for number in range(size):
                (root / part / name / f"{number}.jpeg").touch()
    # only fake data may have other numbers than the published ones
    Generated("imagenet-lt", FakeSize(2, 5, 2)).mark(root)
    make("lists", root, root)
    assert (root / "num_shots.txt").read_text() == "5\n1\n"
    data = loaded("ImageNet_LT", root, 2)
    assert data.val is not None
    assert (
        data.val.images.paths
        == data.test.images.paths
        == ("val/n01/0.jpeg", "val/n01/1.jpeg", "val/n02/0.jpeg", "val/n02/1.jpeg")
    )
    assert "num_shots" not in caplog.text


def test_inaturalist_of_its_json_files(working_folder, caplog):
    root = working_folder / "inat"
    write_fake("inat18-json", root, num_classes=3, largest_class=4)
    make("inat18-lists", root, root)
    marker = root / MARKER
    marker.write_text(marker.read_text().replace('"inat18-json"', '"inat18"'))
    data = loaded("iNaturalist18", root, 3)
    assert data.class_counts.sum() == len(data.train)
    assert "num_shots" not in caplog.text
