"""The paper's data sets: lists of images, and how many training images a class has."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from longtail.datasets.base import Indices, LongTailData
from longtail.datasets.factory import create_data
from longtail.errors import UserError
from longtail_cadel.experiments import DataSet

logger = logging.getLogger(__name__)


def load(
    dataset: DataSet,
    *,
    root: str,
    num_classes: int,
    num_dir: str | None,
    image_size: int,
    holdout: float | None = None,
    val_as_train: bool = False,
    on_bad_image: str = "fail",
    only_tested: bool = False,
) -> LongTailData:
    """A data set of the paper; iNaturalist has no `val`, since it is tested on the validation list.

    Args:
        dataset: which one.
        root: folder of the images.
        num_classes: C, as the yaml says.
        num_dir: file of the training images per class, which the lists have to agree with; None to count.
        image_size: side in pixels that the network sees.
        holdout: share of each training class that becomes `val` where there is no list of it; None for none.
        val_as_train: train on the images of the validation list. Priors and shot groups stay those of the training list.
        on_bad_image, only_tested: see `create_data`.

    Raises:
        UserError: data are missing or not in order, or contradict the number of classes or the file of class counts.
    """
    data = create_data(
        dataset.lists,
        root=root,
        list_folders=[dataset.folder],
        holdout=0.5 if dataset.has_val else holdout,  # any number asks for the list
        image_size=image_size,
        on_bad_image=on_bad_image,
        only_tested=only_tested,
    )
    if data.num_classes != num_classes:
        raise UserError(
            f"training_opt.num_classes is {num_classes}, but {dataset.name} in {root} has {data.num_classes} classes"
        )
    in_list = data.class_counts + (0 if dataset.has_val or data.val is None else data.val.class_counts)
    _check_counts(dataset, in_list, _counts_file(dataset, root, num_dir), some_left_out=bool(data.left_out))
    if not val_as_train:
        return data
    if not dataset.has_val:
        raise UserError(f"--val_as_train: {dataset.name} has no validation list besides the one that it is tested on")
    assert data.val is not None
    return replace(data, train=data.val, counts=data.class_counts)


def _counts_file(dataset: DataSet, root: str, num_dir: str | None) -> Path | None:
    """The file of class counts: the yaml's, or what the README calls it."""
    named = [] if num_dir is None else [Path(num_dir), Path(num_dir).with_suffix(".txt")]
    folders = [Path(root), Path(dataset.folder)]
    usual = [folder / f"num_shots.{kind}" for folder in folders for kind in ("npz", "txt")]
    return next((each for each in (*named, *usual) if each.is_file()), None)


def _check_counts(dataset: DataSet, counts: Indices, path: Path | None, *, some_left_out: bool) -> None:
    if path is None:
        logger.warning("%s: no num_shots.npz or num_shots.txt; class counts are those of the training list", dataset.name)
        return
    told = read_counts(path)
    if len(told) != len(counts):
        raise UserError(f"{path} has {len(told)} classes, the training list of {dataset.name} has {len(counts)}")
    different = np.flatnonzero(told < counts if some_left_out else told != counts)
    if len(different):
        first = different[0]
        raise UserError(
            f"{path} contradicts the training list of {dataset.name}: class {first} has {told[first]:g} images there and "
            f"{counts[first]} in the list ({len(different)} classes differ); remove the file, and the list is counted"
        )


def read_counts(path: Path) -> Indices:
    """Training images per class, int64, shape (C,): the array `num_per_class` of an npz, or integers in a text.

    Raises:
        UserError: it is something else.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as content:
                values: Sequence[float] = content["num_per_class"].reshape(-1).tolist()
        else:
            values = [float(word) for word in path.read_text(encoding="utf-8-sig").replace(",", " ").split()]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"cannot read class counts from {path}: {error}") from error
    counts = np.array(values)
    if not len(counts) or not np.all(np.isfinite(counts)) or np.any(counts != np.round(counts)) or counts.min() < 0:
        raise UserError(f"{path} holds no class counts: one integer for each class, in the order of the labels")
    return counts.astype(np.int64)
