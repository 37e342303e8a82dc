"""The study's data sets: what lies in `--data_dir`, how it is shown, and which classes count as many, median and low."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from longtail.datasets.base import FileImages, ImageData, LongTailData
from longtail.datasets.factory import create_data
from longtail.datasets.tables import TABLES
from longtail.errors import UserError
from longtail.loading.base import Loader
from longtail.loading.framing import CentreCrop, Framed
from longtail.loading.orders import Sequential
from longtail.metrics import ShotThresholds
from longtail.training.method import Setting

LARGE, SMALL = 224, 32
"""Sides in pixels of what the study's networks see, and of what CIFAR's own see."""

CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR_STD = (0.2023, 0.1994, 0.2010)

MINI_IMAGENET = "mini-ImageNet"
"""The one name of a data set that the study takes fixed bounds of the shot groups for."""
MANY, LOW = 100, 20


def load(
    data_dir: str,
    *,
    input_size: int = LARGE,
    holdout: float | None = None,
    on_bad_image: str = "fail",
    only_tested: bool = False,
    train_list: str = TABLES["train"],
) -> LongTailData:
    """The data set in a folder, from its lists if there are any, or else from its class folders.

    Args:
        data_dir: the folder.
        input_size: side in pixels that the network sees; 32 means CIFAR's statistics.
        holdout, on_bad_image, only_tested: see `create_data`.
        train_list: the list of the training images.

    Raises:
        UserError: the data are not there or not in order.
    """
    root = Path(data_dir).expanduser()
    data = create_data(
        form(root, train_list),
        root=root,
        image_size=input_size,
        holdout=holdout,
        on_bad_image=on_bad_image,
        only_tested=only_tested,
        train_table=train_list,
    )
    return replace(data, mean=CIFAR_MEAN, std=CIFAR_STD) if input_size == SMALL else data


def form(root: Path, train_list: str = TABLES["train"]) -> str:
    """What the core calls the form of the data in a folder.

    Raises:
        UserError: it holds none.
    """
    if (root / train_list).is_file():
        return "csv"
    if train_list != TABLES["train"] or not (root / "train").is_dir():
        raise UserError(
            f"there is no data set in {root}. Expected is one of\n"
            f"  {root}/{train_list}, val.csv, test.csv: a header, then lines PATH,LABEL with paths below {root}/\n"
            f"  {root}/train/CLASS/..., val/CLASS/..., test/CLASS/...: images in class folders\n"
            "`longtail data make --help` tells how to make those of mini-ImageNet-LT and CIFAR. To rehearse without:\n"
            f"  longtail data fake --layout mini-imagenet --out {root}"
        )
    return "folder"


def has_validation(data_dir: str) -> bool:
    """Whether the data set in a folder brings validation images of its own."""
    root = Path(data_dir).expanduser()
    return (root / TABLES["val"]).is_file() or (not (root / TABLES["train"]).is_file() and (root / "val").is_dir())


def notices(data_dir: str, data: LongTailData, select: str, *, brings_own: bool) -> list[str]:
    """What choosing the best epoch on validation images does not mean, though one may think so.

    Args:
        data_dir, data: the data set.
        select: what chooses the epoch.
        brings_own: whether the data set has validation images of its own.
    """
    if select != "val" or data.val is None:
        return []
    if not brings_own:
        return [f"{data_dir} has no validation images; {len(data.val)} training images are held out for them (--val-fraction)"]
    val, test = data.val.images, data.test.images
    if isinstance(val, FileImages) and isinstance(test, FileImages) and not set(val.paths).isdisjoint(test.paths):
        return [f"validation and test of {data_dir} share images, so the best epoch is in part chosen on the test set"]
    return []


def shown(data: LongTailData, setting: Setting, *, batch_size: int) -> Callable[[ImageData], Loader]:
    """What makes the loaders of evaluation, with the study's framing.

    Validation images are brought to 256 x 256 pixels, test images keep their aspect with a shorter side of 256 (in proportion
    where the network does not see 224); the central square of each is shown. Images of CIFAR's size are shown as they are.
    """

    def make(part: ImageData) -> Loader:
        framing = None if part is data.test else Framed(CentreCrop(data.image_size, keep_aspect=False))
        if data.image_size == SMALL:
            framing = Framed(CentreCrop(SMALL, SMALL))
        return setting.loader(data, part, Sequential(len(part)), batch_size=batch_size, augmentation=framing)

    return make


def thresholds(name: str, class_counts: Sequence[int]) -> ShotThresholds:
    """The study's shot groups: on mini-ImageNet many from 100 images on and low up to 20, elsewhere by the counts' quarters.

    A class that both bounds take is many.

    Args:
        name: of the data set, as in the run's name.
        class_counts: training images per class, in the order of the labels, or in any: they are sorted first.
    """
    if name == MINI_IMAGENET:
        return _inclusive(MANY, LOW)
    ordered = sorted(class_counts, reverse=True)
    quarter = len(ordered) // 4
    return _inclusive(ordered[quarter], ordered[-quarter])


def _inclusive(many: int, low: int) -> ShotThresholds:
    """Groups that hold their bounds; the core's `many` lies below its group."""
    return ShotThresholds(many - 1, min(low, many - 1), few_inclusive=True)


def is_descending(class_counts: Sequence[int]) -> bool:
    """Whether no class is larger than the one before it."""
    return all(first >= second for first, second in pairwise(class_counts))
