"""Long-tailed data sets by name, and a short name for what is in one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from longtail.datasets.base import ArrayImages, ImageData, Images, LongTailData
from longtail.datasets.cifar import load_cifar
from longtail.datasets.digits import load_digits
from longtail.datasets.splits import stratified_holdout
from longtail.errors import UserError

DATASETS = ("cifar10", "cifar100", "digits")


def create_data(
    name: str,
    *,
    root: str | Path = "data",
    imbalance_factor: float = 0.01,
    profile: str = "exp",
    split_seed: int = 0,
    holdout: float | None = None,
    holdout_seed: int = 0,
    download: bool = True,
) -> LongTailData:
    """The data set `name`, made long-tailed.

    Args:
        name: one of `DATASETS`.
        root: folder of the files; `digits` needs none.
        imbalance_factor: smallest class / largest class, in (0, 1].
        profile: `exp`, `step` or `balanced`; see `splits.class_counts`.
        split_seed: which images the long-tailed training set keeps; see `splits.ldam_subset`.
        holdout: part of each training class to hold out as `val`, in (0, 1); None holds nothing out.
        holdout_seed: which images are held out.
        download: fetch files that are missing.

    Raises:
        UserError: for an unknown name, missing or damaged files, and impossible splits.
    """
    if name == "digits":
        data = load_digits(imbalance_factor=imbalance_factor, profile=profile, split_seed=split_seed)
    elif name in DATASETS:
        data = load_cifar(
            name, root, imbalance_factor=imbalance_factor, profile=profile, split_seed=split_seed, download=download
        )
    else:
        raise UserError(f"unknown data set {name!r}; choose one of {', '.join(DATASETS)}")
    if holdout is None:
        return data
    kept, held_out = stratified_holdout(data.train.labels, holdout, holdout_seed)
    return replace(data, train=data.train.subset(kept), val=data.train.subset(held_out))


def fingerprint(data: LongTailData) -> str:
    """16 hexadecimal digits that change with any image, label, class name, order or split of `data`.

    Images in memory count by their pixels, images in files by their paths. Same on every machine.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in (data.train, data.val, data.test):
        digest.update(b"-" if part is None else b"+")
        for piece in () if part is None else _pieces(part):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(part: ImageData) -> Iterator[bytes | memoryview]:
    """What is hashed of a part, each piece preceded by its extent so that none can run into the next."""
    names = "\n".join(part.class_names).encode()
    form, images = _content(part.images)
    for piece in (np.ascontiguousarray(part.labels, dtype="<i8").data, names, images):
        yield f"{form} {memoryview(piece).nbytes}\n".encode()
        yield piece


def _content(images: Images) -> tuple[str, bytes | memoryview]:
    if isinstance(images, ArrayImages):
        return str(images.array.shape), np.ascontiguousarray(images.array).data
    paths: Sequence[str | Path] = images.paths  # type: ignore[attr-defined]
    return "paths", "\n".join(str(path) for path in paths).encode()
