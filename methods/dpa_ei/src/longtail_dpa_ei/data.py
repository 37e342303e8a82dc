"""DPA-EI's CIFAR-10 and CIFAR-100: long-tailed, with meta images taken out before."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from longtail.datasets.base import LongTailData
from longtail.datasets.cifar import read_cifar
from longtail.datasets.factory import hold_out
from longtail_dpa_ei.splits import split_with_meta

MEAN = (125.3 / 255, 123.0 / 255, 113.9 / 255)
STD = (63.0 / 255, 62.1 / 255, 66.7 / 255)
"""The paper's normalisation, for both data sets."""


def load_cifar_with_meta(
    name: str,
    root: str | Path,
    *,
    num_meta: int,
    imbalance_factor: float = 0.01,
    seed: int = 42,
    holdout: float | None = None,
    download: bool = True,
) -> LongTailData:
    """CIFAR with class-balanced meta images, a long tail cut from the other training images, and the whole test set.

    The largest class keeps all images that are no meta images: of the published CIFAR-100 with 100 meta images a class these
    are 400, so that the long tail is shorter than in other papers.

    Args:
        name: `cifar10` or `cifar100`.
        root: see `longtail.datasets.cifar.load_cifar`.
        num_meta: meta images of a class.
        imbalance_factor: smallest class / largest class of the training images, in (0, 1].
        seed: which images become meta and which training images.
        holdout: part of each training class to hold out as `val`; None holds nothing out.
        download: fetch the archive into `root` where it is missing.

    Raises:
        UserError: for missing, damaged or altered files and for impossible splits.
    """
    stored = read_cifar(name, root, download=download)
    split = split_with_meta(stored.train.labels, stored.train.num_classes, num_meta, imbalance_factor, seed)
    data = LongTailData(
        name=name,
        train=stored.train.subset(split.train),
        val=None,
        test=stored.test.subset(np.arange(len(stored.test))),
        image_size=32,
        mean=MEAN,
        std=STD,
        meta=stored.train.subset(split.meta),
    )
    return hold_out(data, holdout)
