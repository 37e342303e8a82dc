"""What `inspect_parts` sees in files and in memory."""

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail.datasets.base import ArrayImages, ImageData
from longtail.datasets.decode import UnreadableImage
from longtail.datasets.findings import ERROR
from longtail.datasets.inspection import inspect_parts
from longtail.datasets.looks import look_at
from longtail.datasets.own import find_own


def picture(path: Path, shade: int = 0, *, mode: str = "RGB", size: tuple[int, int] = (40, 32), **options) -> Path:
    """Writes a picture whose contents depend on `shade`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (np.arange(size[0] * size[1] * 3).reshape(size[1], size[0], 3) * 7 + shade * 11) % 251
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(path, **options)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes of readable pictures, all different, with test images."""
    for number, name in enumerate(("train/a/1.jpg", "train/a/2.png", "train/b/1.jpg", "test/a/1.jpg", "test/b/1.jpg")):
        picture(tmp_path / name, number)
    return tmp_path


def inspect(root: Path, **options):
    own = find_own(root)
    return inspect_parts(own.parts, name=own.name, form=own.form, findings=own.findings, **options)


def finding(inspection, kind: str):
    (found,) = [each for each in inspection.findings if each.kind == kind]
    return found


def test_what_is_in_order(tree):
    found = inspect(tree)
    assert found.can_train
    assert [each.kind for each in found.findings] == ["class-with-one-image"]
    assert {part: counts.tolist() for part, counts in found.counts.items()} == {"train": [2, 1], "test": [1, 1]}
    assert found.imbalance_factor == 0.5
    assert found.groups() == {"many": 1, "medium": 1, "few": 0}
    pictures = found.pictures
    assert pictures is not None
    assert (pictures.files, pictures.decoded, pictures.formats) == (5, 5, {"JPEG": 4, "PNG": 1})
    assert (pictures.smallest, pictures.largest, pictures.median_side) == ((40, 32), (40, 32), 32)


def test_kinds_of_pictures_are_counted(tree):
    for number, (mode, name) in enumerate(
        [
            ("L", "grey.jpg"),
            ("CMYK", "print.jpg"),
            ("P", "drawing.gif"),
            ("RGBA", "glass.png"),
            ("I;16", "deep.png"),
            ("1", "b.png"),
        ]
    ):
        if mode == "I;16":
            Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)).save(tree / "train/a" / name)
        else:
            picture(tree / "train/a" / name, 20 + number, mode=mode)
    pictures = inspect(tree).pictures
    assert pictures is not None
    assert dict(pictures.kinds) == {
        "grey": 1,
        "CMYK": 1,
        "palette": 1,
        "transparent": 1,
        "16 bits": 1,
        "black and white": 1,
    }


def truncated_jpeg(path: Path) -> None:
    picture(path, 9, size=(200, 200))
    path.write_bytes(path.read_bytes()[:-300])


def truncated_png(path: Path) -> None:
    picture(path.with_suffix(".png"), 9, size=(200, 200)).rename(path)
    path.write_bytes(path.read_bytes()[:-300])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.touch(), "the file is empty"),
        (lambda path: path.write_text("nothing"), "no picture of the formats"),
        (
            lambda path: path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
            "the format HEIC, whatever its name says; convert",
        ),
        (truncated_jpeg, "truncated"),
        (truncated_png, "truncated"),
        (lambda path: path.symlink_to("nowhere.jpg"), "a link to a file that is not there"),
        (
            lambda path: Image.fromarray(np.zeros((4, 4), dtype=np.float32)).save(path, format="TIFF"),
            "floating-point numbers",
        ),
    ],
    ids=["empty", "text", "heic", "cut-off jpeg", "cut-off png", "broken link", "float"],
)
def test_what_cannot_be_read_prevents_training(make, reason, tree):
    make(tree / "train/a/bad.jpg")
    found = inspect(tree)
    assert not found.can_train
    error = finding(found, "unreadable")
    assert error.level == ERROR
    assert "1 image that cannot be read: train/a/bad.jpg (" in error.text
    assert reason in error.text
    assert "mend or delete them, or train with --on-bad-image skip" in error.remedy
    assert found.train_counts.tolist() == [3, 1], "it is there, all the same"


def test_a_file_without_permission_prevents_training(tree, monkeypatch):
    open_file = Path.open

    def opened(path, *options, **named):
        if path.name == "2.png":  # the tests may run as root, whom chmod does not stop
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_file(path, *options, **named)

    monkeypatch.setattr(Path, "open", opened)
    found = inspect(tree)
    assert not found.can_train
    assert finding(found, "unreadable").text == "1 image that cannot be read: train/a/2.png (Permission denied)"


def test_file_names_that_are_not_utf_8_are_read_and_told(tree):
    picture(tree / "train/a/1.jpg", 31).rename(tree / "train/a/\udce9t\udce9.jpg")
    found = inspect(tree)
    assert found.can_train
    assert finding(found, "name-not-utf-8").text == "1 file name not in UTF-8: train/a/\\xe9t\\xe9.jpg"
    assert found.pictures is not None
    assert found.pictures.decoded == 5


def test_a_decompression_bomb_is_told_from_its_header(tree, monkeypatch):
    picture(tree / "train/a/wide.png", 1, mode="1", size=(20_000, 5))
    assert inspect(tree).can_train, "it is long, but has few pixels"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60_000)
    found = inspect(tree)
    assert "20000 x 5" in finding(found, "unreadable").text
    assert "safe" in finding(found, "unreadable").text
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    assert "wide.png" in finding(inspect(tree), "unreadable").text


def test_moving_and_long_and_tiny_pictures_are_told(tree):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "green", "blue")]
    for name in ("moving.gif", "moving.webp", "moving.png"):
        frames[0].save(tree / "train/a" / name, save_all=True, append_images=frames[1:])
    picture(tree / "train/a/long.png", 3, size=(400, 20))
    picture(tree / "train/a/tiny.png", 4, size=(3, 2))
    found = inspect(tree)
    assert found.can_train
    moving = ("train/a/moving.gif", "train/a/moving.png", "train/a/moving.webp")
    assert finding(found, "animation").items == moving
    assert "only the first picture counts" in finding(found, "animation").remedy
    assert finding(found, "long-image").items == ("train/a/long.png",)
    assert finding(found, "tiny-image").items == ("train/a/tiny.png",)


def test_copies_are_found_across_parts_and_classes(tree):
    for source, copy in [
        ("train/a/1.jpg", "test/a/x.jpg"),
        ("train/a/2.png", "train/b/x.png"),
        ("train/b/1.jpg", "train/b/y.jpg"),
    ]:
        (tree / copy).write_bytes((tree / source).read_bytes())
    found = inspect(tree)
    leak = finding(found, "copies-in-train-and-test")
    assert leak.text == "1 image of test also in train, the same bytes: test/a/x.jpg"
    assert leak.remedy == "delete all but one of each, or the accuracy on test flatters"
    assert finding(found, "copies-in-two-classes").items == ("train/a/2.png", "train/b/x.png")
    assert finding(found, "copies-in-two-classes").text.endswith("(a and b)")
    assert set(finding(found, "copies-in-train").items) == {"train/b/x.png", "train/b/y.jpg"}
    assert found.can_train


def test_large_pictures_are_read_whole_only_where_asked(tree, monkeypatch):
    monkeypatch.setattr("longtail.datasets.picture_files._DECODED", 100)
    pictures = inspect(tree).pictures
    assert pictures is not None
    assert pictures.decoded == 0
    truncated_jpeg(tree / "train/a/bad.jpg")
    assert not inspect(tree).can_train, "a file that is cut off shows it at its end"
    whole = inspect(tree, decode=True).pictures
    assert whole is not None
    assert whole.decoded == 5


def test_damage_inside_of_a_file_needs_its_pixels(tmp_path):
    path = picture(tmp_path / "a.png", 3, size=(200, 200))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    assert not look_at(path).decoded
    with pytest.raises(UnreadableImage):
        look_at(path, decode=True)


def test_images_in_memory():
    array = np.arange(4 * 4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 4, 3)
    train = ImageData(ArrayImages(array), np.array([0, 0, 0, 1]), ("a", "b"))
    test = ImageData(ArrayImages(array[:1]), np.array([1]), ("a", "b"))
    found = inspect_parts({"train": train, "test": test}, name="x", form="y", adapt=False)
    assert found.pictures is None
    assert found.thresholds.many == 100
    assert finding(found, "copies-in-train-and-test").items == ("test[0]",)


def test_plain_data(tree):
    (tree / "train/b/bad.jpg").touch()
    told = inspect(tree).to_dict()
    assert told["classes"] == [{"name": "a", "train": 2, "test": 1}, {"name": "b", "train": 2, "test": 1}]
    assert told["images"] == {"train": 4, "test": 2}
    assert told["findings"][0]["level"] == "error"
    assert told["findings"][0]["items"] == ["train/b/bad.jpg: the file is empty"]
    assert not told["can_train"]


def test_progress_is_told(tree):
    seen = []
    inspect(tree, progress=lambda *told: seen.append(told))
    assert ("looking at images", 5, 5) in seen
