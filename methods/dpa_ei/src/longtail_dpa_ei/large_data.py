"""DPA-EI's ImageNet-LT and iNaturalist 2018: as their lists have them, and some listed images as meta images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from longtail.datasets.base import ImageData, Indices, LongTailData
from longtail.datasets.lists import load_list_data
from longtail.datasets.published import LISTS
from longtail.datasets.readable import leave_out_unreadable
from longtail.datasets.splits import ldam_subset, stratified_holdout
from longtail.errors import UserError
from longtail_dpa_ei.experiments import Experiment


def load_lists_with_meta(
    experiment: Experiment,
    root: str | Path,
    num_meta: int,
    *,
    seed: int = 42,
    holdout: float | None = None,
    on_bad_image: str = "fail",
    only_tested: bool = False,
) -> LongTailData:
    """A long-tailed training set by its published list, the test images that the paper judges by, and meta images.

    ImageNet-LT: the training list; the test list; meta images from the validation list. Selection by validation has the rest
    of that list. iNaturalist 2018: the training list; the validation list; meta images from the training list, where they stay.
    Selection by validation has training images that are no meta images, and they leave the training set.

    The lists are looked for in `data/`, then in its folder of that name, then where `load_list_data` does.

    Args:
        experiment: one of `LARGE`.
        root: folder that the paths in the lists begin at.
        num_meta: meta images of a class.
        seed: which images become meta; the paper's code takes 42 whatever its `--seed` is.
        holdout: part of each class to hold out as `val` where no list is for that, of the images that are no meta images; None
            leaves `val` out.
        on_bad_image: `fail` or `skip`, see `create_data`; what is skipped is not replaced in the meta set either.
        only_tested: of the training set nothing but its labels is needed, so that the images of its list need not be there;
            there is no meta set.

    Raises:
        UserError: for missing lists or images, lists that are not the published ones, and classes that have too few images.
    """
    # where nothing is trained, they still decide how many training images were held out
    needs_meta = not only_tested or (experiment.meta_from == "train" and holdout is not None)
    data = load_list_data(
        experiment.lists,
        root,
        with_val=needs_meta and experiment.meta_from == "val",
        check_files=() if on_bad_image == "skip" else ("test",) if only_tested else ("train", "val", "test"),
        list_folders=(Path("data"), Path("data", experiment.dataset)),
    )
    if needs_meta:
        source = data.train if experiment.meta_from == "train" else data.val
        assert source is not None
        meta = meta_indices(source, num_meta, seed, LISTS[experiment.lists].files[experiment.meta_from])
        parts = _stays(data, meta, holdout) if experiment.meta_from == "train" else _leaves_val(data, meta, holdout)
        data = replace(parts, meta=None if only_tested else source.subset(meta))
    return _readable(data) if on_bad_image == "skip" else data


def meta_indices(images: ImageData, num_meta: int, seed: int, file: str) -> Indices:
    """Ascending indices of the meta images: of each class those that numpy's legacy generator shuffles to the front.

    Args:
        images: those to choose from; meta images may be all there are of a class.
        num_meta: meta images of a class, at least 1.
        seed: in [0, 2**32).
        file: the list of the images, for errors.

    Raises:
        UserError: a class has too few images.

    Source: the code of Zhao et al. (Knowledge-Based Systems, 2025) to the bit, image by image.
    """
    if num_meta < 1:
        raise UserError(f"num_meta is the number of meta images of each class, at least 1, got {num_meta}")
    smallest = int(images.class_counts.argmin())
    most = images.class_counts[smallest]
    if num_meta > most:
        raise UserError(
            f"num_meta {num_meta} is too many for class {images.class_names[smallest]}, of which {file} has {most}; "
            f"it can be {most} at most"
        )
    return np.sort(ldam_subset(images.labels, np.full(images.num_classes, num_meta), seed))


def _leaves_val(data: LongTailData, meta: Indices, holdout: float | None) -> LongTailData:
    """The validation images without the meta images, where there is to be validation."""
    assert data.val is not None
    if holdout is None:
        return replace(data, val=None)
    others = _others(data.val, meta)
    if not len(others):
        raise UserError(
            "num_meta takes all validation images, and none is left to select by; lower it, or select on the test set or the "
            "last epoch instead"
        )
    return replace(data, val=data.val.subset(others))


def _stays(data: LongTailData, meta: Indices, holdout: float | None) -> LongTailData:
    """Training images with the meta images among them; what is held out is none of these."""
    if holdout is None:
        return data
    others = _others(data.train, meta)
    held_out = others[stratified_holdout(data.train.labels[others], holdout, 0)[1]]
    return replace(data, train=data.train.subset(_others(data.train, held_out)), val=data.train.subset(held_out))


def _others(images: ImageData, indices: Indices) -> Indices:
    return np.delete(np.arange(len(images), dtype=np.int64), indices)


def _readable(data: LongTailData) -> LongTailData:
    """The data set without unreadable images, and with meta images of each class.

    Raises:
        UserError: a class or a part would be left without.
    """
    kept = leave_out_unreadable(data)
    if kept.meta is not None and 0 in kept.meta.class_counts:
        empty = kept.meta.class_names[kept.meta.class_counts.argmin()]
        raise UserError(f"class {empty} would be left without meta images, because none of those chosen can be read")
    return kept
