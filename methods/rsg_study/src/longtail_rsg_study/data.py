"""The study's data sets: what lies in `--data_dir`, how it is shown, and which classes count as many, median and low."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from longtail.datasets.base import ImageData, LongTailData
from longtail.datasets.factory import create_data
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
) -> LongTailData:
    """The data set in a folder, from its lists if there are any, or else from its class folders.

    Args:
        data_dir: the folder.
        input_size: side in pixels that the network sees; 32 means CIFAR's statistics.
        holdout, on_bad_image, only_tested: see `create_data`.

    Raises:
        UserError: the data are not there or not in order.
    """
    root = Path(data_dir).expanduser()
    data = create_data(
        form(root),
        root=root,
        image_size=input_size,
        holdout=holdout,
        on_bad_image=on_bad_image,
        only_tested=only_tested,
    )
    return replace(data, mean=CIFAR_MEAN, std=CIFAR_STD) if input_size == SMALL else data


def form(root: Path) -> str:
    """What the core calls the form of the data in a folder.

    Raises:
        UserError: it holds none, or class folders that share no class, as those of few-shot learning.
    """
    if (root / "train.csv").is_file():
        return "csv"
    if not (root / "train").is_dir():
        raise UserError(_nothing_in(root))
    parts = {part: _folders(root / part) for part in ("train", "val", "test") if (root / part).is_dir()}
    disjoint = next((part for part, names in parts.items() if part != "train" and names and not names & parts["train"]), None)
    if disjoint is not None:
        raise UserError(
            f"{root}: train and {disjoint} share no class, as in the split of mini-ImageNet for few-shot learning; here every "
            "part holds every class.\n`longtail data make mini-imagenet-lt` merges the folders and splits them anew"
        )
    return "folder"


def has_validation(data_dir: str) -> bool:
    """Whether the data set in a folder brings validation images of its own."""
    root = Path(data_dir).expanduser()
    return (root / "val.csv").is_file() if (root / "train.csv").is_file() else (root / "val").is_dir()


def _folders(part: Path) -> set[str]:
    return {entry.name for entry in part.iterdir() if entry.is_dir() and not entry.name.startswith(".")}


def _nothing_in(root: Path) -> str:
    return (
        f"there is no data set in {root}. Expected is one of\n"
        f"  {root}/train.csv, val.csv, test.csv: a header, then lines FILE,LABEL with files below {root}\n"
        f"  {root}/train/CLASS/..., val/CLASS/..., test/CLASS/...: images in class folders\n"
        "`longtail data make` writes the lists of mini-ImageNet-LT, CIFAR-10-LT and CIFAR-100-LT. To rehearse without images:\n"
        f"  longtail data fake --layout mini-imagenet --out {root}"
    )


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
