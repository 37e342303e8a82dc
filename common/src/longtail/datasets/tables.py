"""Images in files, named with their labels by the tables `train.csv`, `test.csv` and, if there, `val.csv`."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

from longtail.datasets.base import FileImages, ImageData, LongTailData
from longtail.datasets.fake_size import generated
from longtail.datasets.list_forms import TABLE, UNKNOWN_CLASSES, ImageList
from longtail.datasets.lists import demand_files, names_of_classes
from longtail.datasets.made import warn_of_fake
from longtail.datasets.mini_imagenet import FEW_SHOT
from longtail.datasets.published import IMAGENET_MEAN, IMAGENET_STD
from longtail.errors import UserError

TABLES = {part: f"{part}.csv" for part in ("train", "val", "test")}
"""The file of each part."""


def load_tables(
    root: str | Path,
    *,
    image_size: int = 224,
    with_val: bool = False,
    check_files: Container[str] = ("train", "val", "test"),
    num_classes: int | None = None,
    train_table: str = TABLES["train"],
) -> LongTailData:
    """The images that the tables in a folder name.

    A table has a header, which is not read, and a line `path,label` for each image; further columns are ignored. Paths are
    relative to the folder; a `data/` that one begins with is dropped. A class is called by the folder of its images, where
    every class has one to itself, and by its number otherwise. Pictures come as they are stored.

    Args:
        root: folder of the tables.
        image_size: side in pixels that the network sees.
        with_val: also read `val.csv`, where there is one.
        check_files: the parts of whose images it is looked whether every one exists.
        num_classes: labels lie in [0, num_classes); None takes the largest label for the last class.
        train_table: the file of the training images.

    Raises:
        UserError: tables or images are missing, a line is malformed, or a class has no training image.
    """
    root = Path(root).expanduser()
    if root.is_file():
        raise UserError(f"{root} is a file; the data root is the folder of the tables and images")
    _announce(root)
    files = {**TABLES, "train": train_table}
    wanted = [part for part in files if part != "val" or (with_val and (root / files[part]).is_file())]
    for part in wanted:
        _check_there(root, part, root / files[part])
    listed = {part: read_table(root / files[part], num_classes) for part in wanted}
    classes = num_classes or 1 + max(int(of_part.labels.max()) for of_part in listed.values())
    check_classes(root / files["train"], listed, classes)
    images = {part: FileImages(root, of_part.paths) for part, of_part in listed.items()}
    for part in wanted:
        if part in check_files:
            demand_files(root / files[part], listed[part].places, root, images[part].files, _expected(root))
    names = names_of_classes(images["train"], listed["train"].labels, classes)
    data = {part: ImageData(images[part], listed[part].labels, names) for part in wanted}
    return LongTailData(
        name="csv",
        train=data["train"],
        val=data.get("val"),
        test=data["test"],
        image_size=image_size,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


def _announce(root: Path) -> None:
    fake = generated(root)
    if fake is not None and fake.layout != "mini-imagenet":
        raise UserError(f"{root} holds fake data for {fake.layout}, not for csv")
    warn_of_fake(root, "your images")


def _check_there(root: Path, part: str, path: Path) -> None:
    if not path.is_file():
        val = root / TABLES["val"]
        instead = f" To be judged on {val}, copy it to {TABLES['test']}." if part == "test" and val.is_file() else ""
        raise UserError(f"there is no table {path}.{instead}\n{_expected(root)}")


def _expected(root: Path) -> str:
    return (
        f"Expected: {TABLES['train']} and {TABLES['test']} in {root}/ ({TABLES['val']} if you like), each with a header and "
        f"one line `path,label` for each image, the path below {root}/.\n"
        "To rehearse on fake data: longtail data fake --layout mini-imagenet --out DIR"
    )


def check_classes(train: Path, listed: Mapping[str, ImageList], num_classes: int) -> None:
    """Look whether each class has a training image, without an array as long as the largest label, which may be a mistake.

    Args:
        train: the table of the training images.
        listed: what the tables hold, `train` and `test` at least.
        num_classes: number of classes.

    Raises:
        UserError: a class has none.
    """
    there = {part: set(of_part.labels.tolist()) for part, of_part in listed.items()}
    if len(there["train"]) == num_classes:
        return
    absent = next(c for c in range(num_classes) if c not in there["train"])
    if there["train"].isdisjoint(there["test"]):
        raise UserError(f"{train} and {train.parent / TABLES['test']} have no class in common. {FEW_SHOT}")
    last = max(map(max, there.values()))
    limit = f"; the largest label is {last}, and there should be {num_classes} classes" if last < num_classes - 1 else ""
    raise UserError(f"{train}: class {absent} has no image; every class needs one to train on{limit}")


def has_tables(root: str | Path) -> bool:
    """Whether the folder holds a table of training images."""
    return (Path(root).expanduser() / TABLES["train"]).is_file()


def read_table(path: Path, num_classes: int | None = None) -> ImageList:
    """What a table holds.

    Args:
        path: the file.
        num_classes: labels lie in [0, num_classes); None for any number.

    Raises:
        UserError: it cannot be read, or a line is malformed.
    """
    return TABLE.read(path, UNKNOWN_CLASSES if num_classes is None else num_classes)
