"""Which CIFAR images DPA-EI tunes its covariance on, and which of the others it trains on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from longtail.datasets.base import Indices
from longtail.datasets.splits import class_counts, ldam_subset, shuffled_subset
from longtail.errors import UserError
from longtail.randomness import python_shuffle


class Split(NamedTuple):
    """Indices of the meta and of the training images, each ascending and without those of the other."""

    meta: Indices
    train: Indices


def split_with_meta(labels: Indices, num_classes: int, num_meta: int, imb_factor: float, seed: int) -> Split:
    """The paper's split: as many meta images of each class, and a long tail cut from all the others.

    Args:
        labels: of the whole training set, int64, shape (N,).
        num_classes: number of classes C.
        num_meta: meta images of a class.
        imb_factor: smallest class / largest class, in (0, 1].
        seed: of both draws, in [0, 2**32).

    Raises:
        UserError: a class has too few images for its meta images or would get none to train on.

    Source: the code of Zhao et al. (Knowledge-Based Systems, 2025) to the bit, image by image.
    """
    meta = meta_choice(labels, num_classes, num_meta, seed)
    pool = np.delete(np.arange(len(labels), dtype=np.int64), meta)
    counts = long_tail_counts(len(labels), num_classes, num_meta, imb_factor)
    return Split(meta, pool[long_tail(labels[pool], counts, seed)])


def meta_choice(labels: Indices, num_classes: int, num_meta: int, seed: int) -> Indices:
    """Ascending indices of the meta images: of each class those that numpy's legacy generator shuffles to the front.

    Args:
        labels, num_classes, num_meta, seed: see `split_with_meta`.

    Raises:
        UserError: fewer than one meta image a class, or a class that would have no other image left.
    """
    if num_meta < 1:
        raise UserError(f"num_meta is the number of meta images of each class, at least 1, got {num_meta}")
    sizes = np.bincount(labels, minlength=num_classes)
    smallest = int(sizes.argmin())
    if num_meta >= sizes[smallest]:
        raise UserError(
            f"num_meta {num_meta} leaves nothing to train on of class {smallest}, which has {sizes[smallest]} images; "
            f"it can be {max(sizes[smallest] - 1, 0)} at most"
        )
    return np.sort(ldam_subset(labels, np.full(num_classes, num_meta), seed))


def long_tail_counts(num_images: int, num_classes: int, num_meta: int, imb_factor: float) -> Indices:
    """Training images of each class, int64, shape (C,): the exponential profile below the average class without meta images.

    Args:
        num_images: of the whole training set, N.
        num_classes, num_meta, imb_factor: see `split_with_meta`.

    Raises:
        UserError: for a factor outside (0, 1] or one that leaves a class without images.
    """
    return class_counts(num_classes, (num_images - num_meta * num_classes) / num_classes, imb_factor)


def long_tail(labels: Indices, counts: Indices, seed: int) -> Indices:
    """Ascending positions of the training images: of each class those that Python's generator shuffles to the front.

    Args:
        labels: of the images that are no meta images, int64, shape (M,).
        counts: images to keep per class, int64, shape (C,).
        seed: any integer.

    Raises:
        ValueError: for a class that has fewer images than it should keep.
    """
    return np.sort(shuffled_subset(labels, counts, python_shuffle(seed)))
