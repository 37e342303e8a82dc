"""The paper's split to the bit: its class counts, its generators, its images."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.datasets.splits import ldam_subset
from longtail.errors import UserError
from longtail.randomness import python_shuffle
from longtail_dpa_ei.splits import long_tail, long_tail_counts, meta_choice, split_with_meta

few_examples = settings(derandomize=True, deadline=None, max_examples=40)

COUNTS_OF_CIFAR10 = [4990, 2991, 1793, 1075, 644, 386, 231, 138, 83, 49]
COUNTS_OF_CIFAR100 = """
    400 381 364 347 332 316 302 288 275 263 251 239 228 218 208 199 190 181 173 165 157 150 143 137 130 125 119 113 108 103 99
    94 90 86 82 78 74 71 68 65 62 59 56 54 51 49 47 44 42 40 39 37 35 33 32 30 29 28 26 25 24 23 22 21 20 19 18 17 16 16 15
    14 14 13 12 12 11 11 10 10 9 9 8 8 8 7 7 6 6 6 6 5 5 5 5 4 4 4 4 4
"""


def turns(num_items, num_classes):
    """Labels that take turns."""
    return np.arange(num_items, dtype=np.int64) % num_classes


def globals_now():
    kind, key, *rest = np.random.get_state()
    return random.getstate(), kind, key.tolist(), rest


@pytest.mark.parametrize(
    ("num_classes", "num_meta", "factor", "first", "second", "middle", "last", "total"),
    [
        (10, 10, 0.1, 4990, 3863, 1388, 499, 20391),
        (10, 10, 0.05, 4990, 3577, 944, 249, 16989),
        (10, 10, 0.02, 4990, 3230, 567, 99, 13967),
        (10, 10, 0.01, 4990, 2991, 386, 49, 12380),
        (10, 10, 0.005, 4990, 2769, 262, 24, 11177),
        (100, 100, 0.1, 400, 390, 125, 40, 15651),
        (100, 100, 0.05, 400, 388, 88, 20, 12719),
        (100, 100, 0.02, 400, 384, 55, 8, 10080),
        (100, 100, 0.01, 400, 381, 39, 4, 8668),
        (100, 100, 0.005, 400, 379, 27, 2, 7597),
        (100, 10, 0.01, 490, 467, 47, 4, 10626),
    ],
)
def test_class_counts(num_classes, num_meta, factor, first, second, middle, last, total):
    counts = long_tail_counts(50_000, num_classes, num_meta, factor)
    assert (counts.dtype, counts.shape) == (np.int64, (num_classes,))
    assert counts[[0, 1, num_classes // 2, -1]].tolist() == [first, second, middle, last]
    assert counts.sum() == total


def test_class_counts_of_the_published_commands():
    assert long_tail_counts(50_000, 10, 10, 0.01).tolist() == COUNTS_OF_CIFAR10
    assert long_tail_counts(50_000, 100, 100, 0.01).tolist() == [int(count) for count in COUNTS_OF_CIFAR100.split()]


def test_counts_are_truncated_from_an_average_that_is_no_integer():
    """31 images of 3 classes, one of each taken out: an average of 9 1/3."""
    assert long_tail_counts(31, 3, 1, 0.5).tolist() == [9, 6, 4]
    assert long_tail_counts(31, 3, 1, 0.9).tolist() == [9, 8, 8]


def test_both_generators_shuffle_as_in_the_papers_code():
    expected = {
        python_shuffle(42): ([7, 3, 2, 8, 5, 6, 9, 4, 0, 1], [3, 5, 2, 4, 1, 8, 7, 0, 6, 9]),
        np.random.RandomState(42).shuffle: ([8, 1, 5, 0, 7, 2, 9, 4, 3, 6], [0, 1, 8, 5, 3, 4, 7, 9, 6, 2]),
    }
    for shuffle, orders in expected.items():
        for order in orders:
            items = np.arange(10)
            shuffle(items)
            assert items.tolist() == order


def test_thirty_images_of_three_classes():
    labels = turns(30, 3)
    meta = meta_choice(labels, 3, 2, 42)
    assert meta.tolist() == [1, 3, 4, 8, 24, 29]
    pool = np.delete(np.arange(30), meta)
    train = pool[long_tail(labels[pool], np.array([8, 4, 2]), 42)]
    assert train.tolist() == [0, 6, 7, 9, 12, 13, 14, 15, 16, 18, 20, 21, 27, 28]

    assert long_tail_counts(30, 3, 2, 0.25).tolist() == [8, 4, 2]
    meta_of_both, train_of_both = split_with_meta(labels, 3, 2, 0.25, 42)
    assert (meta_of_both.tolist(), train_of_both.tolist()) == (meta.tolist(), train.tolist())


SHA = {
    "meta 10, 10": (100, "16 965 1060 1071 5112 5257 5309 5712 5768 5890 5898 7050", 2214880, "64cb78d9ee8380d0"),
    "meta 100, 100": (10000, "0 9 18 29 30 31 34 38 44 53 55 68", 250763800, "7bb870854011c5b8"),
    "meta 100, 10": (1000, "44 68 92 97 124 164 190 259 273 420 554 620", 24327400, "a211d10ec445747c"),
}


@pytest.mark.parametrize(
    ("num_classes", "num_meta", "factor", "train"),
    [
        (10, 10, 0.01, (12380, "0 7 10 11 12 20 30 31 32 33 40 41", 312214175, "ec9604754df503bb")),
        (10, 10, 0.1, (20391, "0 3 5 7 10 11 12 18 20 24 30 31", 511714942, "327133f02053eb55")),
        (100, 100, 0.01, (8668, "1 2 3 4 5 6 7 8 11 13 16 19", 216649816, "fa70e165c6b6c893")),
        (100, 10, 0.01, (10626, "0 1 2 3 5 6 7 9 11 12 14 16", 264886021, "8aa7c20c241b70ee")),
    ],
)
def test_fifty_thousand_images(num_classes, num_meta, factor, train):
    before = globals_now()
    split = split_with_meta(turns(50_000, num_classes), num_classes, num_meta, factor, 42)
    assert globals_now() == before
    for indices, expected in ((split.meta, SHA[f"meta {num_classes}, {num_meta}"]), (split.train, train)):
        assert indices.dtype == np.int64
        first = " ".join(map(str, indices[:12].tolist()))
        sha = hashlib.sha256(",".join(map(str, indices.tolist())).encode()).hexdigest()[:16]
        assert (len(indices), first, indices.sum(), sha) == expected


@few_examples
@given(st.integers(2, 8), st.integers(3, 30), st.integers(1, 4), st.floats(0.05, 1.0), st.integers(0, 2**32 - 1))
def test_parts_keep_the_data_sets_order_and_share_no_image(num_classes, per_class, num_meta, factor, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(num_classes), per_class))
    left = per_class - num_meta
    if left < 1 or int(left * factor) < 1:
        with pytest.raises(UserError):
            split_with_meta(labels, num_classes, num_meta, factor, seed)
        return
    meta, train = split_with_meta(labels, num_classes, num_meta, factor, seed)
    for part in (meta, train):
        assert (np.diff(part) > 0).all()
    assert not set(meta.tolist()) & set(train.tolist())
    assert np.bincount(labels[meta]).tolist() == [num_meta] * num_classes
    assert np.bincount(labels[train]).tolist() == long_tail_counts(len(labels), num_classes, num_meta, factor).tolist()
    assert set(meta.tolist()) == set(ldam_subset(labels, np.full(num_classes, num_meta), seed).tolist())


def test_the_seed_chooses_the_images():
    first, same, other = (split_with_meta(turns(300, 3), 3, 5, 0.1, seed) for seed in (42, 42, 43))
    for one, again, different in zip(first, same, other, strict=True):
        assert one.tolist() == again.tolist()
        assert one.tolist() != different.tolist()


def test_the_meta_images_do_not_depend_on_the_factor():
    one, other = (split_with_meta(turns(300, 3), 3, 5, factor, 42) for factor in (0.1, 0.5))
    assert one.meta.tolist() == other.meta.tolist()


def test_impossible_numbers_of_meta_images_are_told():
    labels = np.repeat(np.arange(4), [9, 8, 5, 7])
    assert len(meta_choice(labels, 4, 4, 0)) == 16
    with pytest.raises(UserError, match="num_meta 5 leaves nothing to train on of class 2, which has 5 images; it can be 4 at"):
        split_with_meta(labels, 4, 5, 0.5, 0)
    with pytest.raises(UserError, match=r"num_meta 100 leaves nothing to train on of class 2, .* 4 at most"):
        meta_choice(labels, 4, 100, 0)
    with pytest.raises(UserError, match="of class 4, which has 0 images; it can be 0 at most"):
        meta_choice(labels, 5, 1, 0)
    for none in (0, -3):
        with pytest.raises(UserError, match=f"at least 1, got {none}"):
            split_with_meta(labels, 4, none, 0.5, 0)


def test_impossible_factors_and_seeds_are_told():
    labels = turns(300, 3)
    with pytest.raises(UserError, match=r"class 2 would get no image: the largest class has 90, .* use a factor above 0\.0111"):
        split_with_meta(labels, 3, 10, 0.01, 0)
    with pytest.raises(UserError, match=r"imbalance factor 100 is outside \(0, 1\]"):
        split_with_meta(labels, 3, 10, 100, 0)
    with pytest.raises(UserError, match=r"seed -1 is outside"):
        split_with_meta(labels, 3, 10, 0.1, -1)


def test_more_training_images_than_a_class_has_are_refused():
    with pytest.raises(ValueError, match="class 1 has 2 images, 3 wanted"):
        long_tail(np.array([0, 1, 0, 1, 0]), np.array([3, 3]), 0)
