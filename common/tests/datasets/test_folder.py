import logging
from pathlib import Path

import pytest
from PIL import Image

from longtail.datasets.base import FileImages
from longtail.datasets.fake import write_fake
from longtail.datasets.folder import EXTENSIONS, load_folder
from longtail.errors import UserError


def fill(root: Path, *paths: str) -> Path:
    """Makes files; their content does not matter to who lists them."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def samples(part) -> list[tuple[str, str]]:
    """(class, path) of every image."""
    return [(part.class_names[label], path) for label, path in zip(part.labels.tolist(), part.images.paths, strict=True)]


def test_what_comes_out(tmp_path):
    train = ("train/cat/2.jpg", "train/cat/1.png", "train/ant/deep/er/3.JPEG", "train/ant/a.webp", "train/bee hive/x y.gif")
    root = fill(tmp_path, *train, "test/cat/1.jpg", "test/ant/1.bmp", "val/ant/1.jpg")
    data = load_folder(root)
    assert (data.name, data.image_size, data.val) == ("folder", 224, None)
    assert (data.mean, data.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert data.train.class_names == data.test.class_names == ("ant", "bee hive", "cat")
    assert samples(data.train) == [
        ("ant", "train/ant/a.webp"),
        ("ant", "train/ant/deep/er/3.JPEG"),
        ("bee hive", "train/bee hive/x y.gif"),
        ("cat", "train/cat/1.png"),
        ("cat", "train/cat/2.jpg"),
    ]
    assert isinstance(data.train.images, FileImages)
    assert data.train.images.root == root
    assert data.train.images.upright
    assert data.class_counts.tolist() == [2, 1, 2]
    assert data.test.class_counts.tolist() == [1, 0, 1], "a class may be missing in the test set"


def test_validation_images_come_where_wanted(tmp_path):
    root = fill(tmp_path, "train/a/1.jpg", "test/a/1.jpg", "val/a/1.jpg")
    val = load_folder(root, with_val=True, image_size=96).val
    assert val is not None
    assert samples(val) == [("a", "val/a/1.jpg")]
    (root / "val/a/1.jpg").unlink()
    with pytest.raises(UserError, match="no image in the class folders of"):
        load_folder(root, with_val=True)
    (root / "val/a").rmdir()
    (root / "val").rmdir()
    assert load_folder(root, with_val=True).val is None


def test_fake_class_folders_are_read_and_announced(tmp_path, caplog):
    root = write_fake("mini-imagenet", tmp_path, num_classes=4, largest_class=5, test_per_class=2)
    with caplog.at_level(logging.WARNING):
        data = load_folder(root, with_val=True)
    assert caplog.messages == [f"{root}: generated fake data, not your images"]
    assert (data.num_classes, data.class_counts.max()) == (4, 5)
    assert data.val is not None
    assert data.val.class_counts.tolist() == data.test.class_counts.tolist() == [2] * 4


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_pillow_knows_every_extension(extension):
    assert extension in Image.registered_extensions()


def test_hidden_files_do_not_count_and_others_are_told(tmp_path, caplog):
    images = ("train/a/1.jpg", "test/a/1.jpg")
    root = fill(tmp_path, *images, "train/.DS_Store", "train/a/.1.jpg", "train/.cache/1.jpg", "test/a/._2.jpg")
    with caplog.at_level(logging.WARNING):
        assert samples(load_folder(root).train) == [("a", "train/a/1.jpg")]
        assert not caplog.records
        fill(root, "train/a/notes.txt", "train/loose.jpg", "notes.txt")
        assert samples(load_folder(root).train) == [("a", "train/a/1.jpg")]
    assert caplog.messages == [f"{root}: ignored 2 files that are not images in class folders, such as train/a/notes.txt"]


def test_linked_folders_are_followed_once(tmp_path):
    root = fill(tmp_path / "data", "test/a/1.jpg")
    fill(tmp_path / "elsewhere", "1.jpg", "more/2.jpg")
    (root / "train").mkdir()
    (root / "train" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "more" / "again").symlink_to(tmp_path / "elsewhere")
    assert samples(load_folder(root).train) == [("a", "train/a/1.jpg"), ("a", "train/a/more/2.jpg")]


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ((), r"there is no folder .*train"),
        (("cats/1.jpg", "dogs/1.jpg"), r"there is no folder .*train"),
        (("train/a/1.jpg", "val/a/1.jpg"), r"there is no folder .*test\. To be judged on .*val, name it test\."),
        (("train/1.jpg", "test/a/1.jpg"), r"there is no image in the class folders of .*train"),
        (("train/a/1.txt", "test/a/1.jpg"), r"there is no image in the class folders of .*train"),
        (("train/a/1.jpg", "test/a/1.txt"), r"there is no image in the class folders of .*test"),
        (("train/a/1.jpg", "test/a/1.jpg", "test/b/1.jpg"), r"class 'b' has no image in .*train"),
        (("train/a/1.jpg", "train/b/1.txt", "test/a/1.jpg"), r"class 'b' has no image in .*train"),
        (("train/a/1.jpg", "test/a/1.jpg", "val/b/1.jpg"), r"class 'b' has no image in .*train"),
    ],
)
def test_mistakes_show_the_layout(paths, reason, tmp_path):
    fill(tmp_path, *paths)
    with pytest.raises(UserError, match=reason) as caught:
        load_folder(tmp_path)
    told, layout = str(caught.value).splitlines()
    assert str(tmp_path) in told
    assert layout.startswith(f"Expected: {tmp_path}/train/CLASS/... and {tmp_path}/test/CLASS/...")
    assert "*.jpeg, *.jpg, *.png" in layout
