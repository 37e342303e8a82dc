"""How many images each class keeps, and which ones."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from longtail.datasets.base import Indices
from longtail.errors import UserError
from longtail.names import PROFILES
from longtail.randomness import Randomness


def class_counts(num_classes: int, max_count: float, imbalance_factor: float, profile: str = "exp") -> Indices:
    """Images per class of a long-tailed training set, int64, shape (num_classes,).

    Args:
        num_classes: number of classes C; class 0 is the largest.
        max_count: images of the largest class, before truncation.
        imbalance_factor: smallest class / largest class, in (0, 1]; `balanced` does not use it.
        profile: `exp`, max_count * factor^(c / (C - 1)) truncated (Cao et al., NeurIPS 2019, "Learning Imbalanced Datasets with
            Label-Distribution-Aware Margin Loss"); `step`, the first C // 2 classes whole and the others max_count * factor
            truncated; `balanced`, all classes whole.

    Raises:
        UserError: for an unknown profile, a factor outside (0, 1], or a class that would be left without images.
    """
    if num_classes < 1 or max_count < 1:
        raise ValueError(f"a split needs at least one class and one image, got {num_classes} classes and {max_count:g} images")
    if profile not in PROFILES:
        raise UserError(f"unknown imbalance profile {profile!r}; choose one of {', '.join(PROFILES)}")
    if not 0 < imbalance_factor <= 1:
        raise UserError(
            f"imbalance factor {imbalance_factor:g} is outside (0, 1]: it is the smallest class divided by the largest, "
            "so write 0.01 for a ratio of 100"
        )
    counts = [_count(c, num_classes, max_count, imbalance_factor, profile) for c in range(num_classes)]
    if 0 in counts:
        raise UserError(
            f"class {counts.index(0)} would get no image: the largest class has {max_count:g}, and imbalance factor "
            f"{imbalance_factor:g} leaves less than one; use a factor above {1 / max_count:.3g}"
        )
    return np.array(counts, dtype=np.int64)


def _count(c: int, num_classes: int, max_count: float, imbalance_factor: float, profile: str) -> int:
    # Python floats and this order of operations: the truncation decides by the last bit (5000 * 0.01^(9/9) must give 50).
    if profile == "exp" and num_classes > 1:
        return int(max_count * imbalance_factor ** (c / (num_classes - 1)))
    if profile == "step" and c >= num_classes // 2:
        return int(max_count * imbalance_factor)
    return int(max_count)


def long_tailed_subset(labels: Indices, counts: Indices, split_seed: int | None) -> Indices:
    """Indices of a long-tailed subset: the first images of each class where the seed is None, else those that LDAM draws."""
    return first_of_each_class(labels, counts) if split_seed is None else ldam_subset(labels, counts, split_seed)


def first_of_each_class(labels: Indices, counts: Indices) -> Indices:
    """Indices of the first `counts[c]` images of each class, classes in ascending order; nothing is drawn.

    Which images LCSL trains on (Vu et al., TCSVT 2024).

    Args:
        labels: int64, shape (N,).
        counts: images to keep per class, int64, shape (C,).

    Raises:
        ValueError: for a class that has fewer images than it should keep.
    """
    return _first(_members(labels, counts), counts)


def ldam_subset(labels: Indices, counts: Indices, rand_number: int) -> Indices:
    """Indices of the long-tailed subset that the LDAM code draws, and with it every paper that descends from it.

    Classes in ascending order; of each class the first `counts[c]` of its indices after one legacy numpy shuffle. The generator
    is `RandomState(rand_number)`, so the subset is the published one bit for bit; numpy's global state stays untouched.

    Args:
        labels: int64, shape (N,).
        counts: images to keep per class, int64, shape (C,).
        rand_number: seed of the split, in [0, 2**32); not the training seed.

    Raises:
        UserError: for a seed that numpy's legacy generator does not take.
        ValueError: for a class that has fewer images than it should keep.
    """
    if not 0 <= rand_number < 2**32:
        raise UserError(f"split seed {rand_number} is outside [0, 2**32)")
    return shuffled_subset(labels, counts, np.random.RandomState(rand_number).shuffle)


def shuffled_subset(labels: Indices, counts: Indices, shuffle: Callable[[Indices], None]) -> Indices:
    """Indices of a subset: classes in ascending order, of each the first `counts[c]` of its ascending indices once shuffled.

    Args:
        labels: int64, shape (N,).
        counts: images to keep per class, int64, shape (C,).
        shuffle: puts an array in another order, in place; called once a class.

    Raises:
        ValueError: for a class that has fewer images than it should keep.
    """
    members = _members(labels, counts)
    for of_class in members:
        shuffle(of_class)
    return _first(members, counts)


def _members(labels: Indices, counts: Indices) -> list[Indices]:
    """The indices of each class, in order."""
    # sorted once: asking all labels for each of 8142 classes would take seconds
    by_class = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[by_class], np.arange(len(counts) + 1))
    members = [by_class[first:end] for first, end in pairwise(ends.tolist())]
    for c, (of_class, count) in enumerate(zip(members, counts, strict=True)):
        if len(of_class) < count:
            raise ValueError(f"class {c} has {len(of_class)} images, {count} wanted")
    return members


def _first(members: list[Indices], counts: Indices) -> Indices:
    chosen = [of_class[:count] for of_class, count in zip(members, counts, strict=True)]
    return np.concatenate(chosen).astype(np.int64)


class NothingToHoldOut(UserError):
    """No class has two images, so that none can be spared."""


def stratified_holdout(labels: Indices, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Splits a training set in two, class by class: (indices that stay, indices held out), both ascending.

    A class of n >= 2 images gives the nearest integer to `fraction * n`, but at least one and at most n - 1, so that rare
    classes are seen on both sides; a class of one image keeps it.
    The draw of a class depends on nothing but the seed, the class and n.

    Args:
        labels: int64, shape (N,).
        fraction: part of each class to hold out, in (0, 1).
        seed: seed of this draw, a non-negative integer.

    Raises:
        UserError: for a fraction outside (0, 1).
        NothingToHoldOut: where no class has two images.
    """
    if not 0 < fraction < 1:
        raise UserError(f"the held-out fraction must lie between 0 and 1, got {fraction:g}")
    randomness = Randomness(seed)
    held_out = np.zeros(len(labels), dtype=bool)
    classes, sizes = np.unique(labels, return_counts=True)
    by_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    for c, members in zip(classes, by_class, strict=True):
        count = min(max(int(fraction * len(members) + 0.5), 1), len(members) - 1)
        held_out[randomness.generator("holdout", int(c)).permutation(members)[:count]] = True
    if not held_out.any():
        raise NothingToHoldOut(
            "nothing can be held out: no class has two images; select on the test set or the last epoch instead"
        )
    return np.flatnonzero(~held_out).astype(np.int64), np.flatnonzero(held_out).astype(np.int64)
