import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.datasets.splits import (
    class_counts,
    first_of_each_class,
    ldam_subset,
    long_tailed_subset,
    shuffled_subset,
    stratified_holdout,
)
from longtail.errors import UserError

few_examples = settings(derandomize=True, deadline=None, max_examples=60)
labelled = st.lists(st.integers(0, 6), min_size=1, max_size=120).map(lambda labels: np.array(labels, dtype=np.int64))


@pytest.mark.parametrize(
    ("factor", "total", "smallest", "groups", "first_ten", "last_five"),
    [
        (0.01, 10847, 5, (35, 35, 30), [500, 477, 455, 434, 415, 396, 378, 361, 344, 328], [6, 5, 5, 5, 5]),
        (0.02, 12608, 10, (41, 41, 18), [500, 480, 462, 444, 426, 410, 394, 379, 364, 350], [11, 11, 10, 10, 10]),
        (0.1, 19573, 50, (69, 31, 0), [500, 488, 477, 466, 455, 445, 434, 424, 415, 405], [54, 53, 52, 51, 50]),
        (0.005, 9502, 2, (30, 31, 39), [500, 473, 449, 425, 403, 382, 362, 343, 325, 308], [3, 2, 2, 2, 2]),
    ],
)
def test_cifar100_counts_are_the_published_ones(factor, total, smallest, groups, first_ten, last_five):
    counts = class_counts(100, 500, factor)
    assert counts.dtype == np.int64
    assert (counts.sum(), counts.min()) == (total, smallest)
    assert ((counts > 100).sum(), ((counts >= 20) & (counts <= 100)).sum(), (counts < 20).sum()) == groups
    assert counts[:10].tolist() == first_ten
    assert counts[-5:].tolist() == last_five


@pytest.mark.parametrize(
    ("factor", "expected", "total"),
    [
        (0.01, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50], 12406),
        (0.02, [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100], 13996),
        (0.1, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500], 20431),
        (0.005, [5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25], 11203),
    ],
)
def test_cifar10_counts_are_the_published_ones(factor, expected, total):
    counts = class_counts(10, 5000, factor)
    assert counts.tolist() == expected
    assert counts.sum() == total


def test_all_of_cifar100s_counts_at_a_ratio_of_100():
    published = """
        500 477 455 434 415 396 378 361 344 328 314 299 286 273 260 248 237 226 216 206 197 188 179 171 163 156 149 142 135 129
        123 118 112 107 102 98 93 89 85 81 77 74 70 67 64 61 58 56 53 51 48 46 44 42 40 38 36 35 33 32 30 29 27 26 25 24 23 22
        21 20 19 18 17 16 15 15 14 13 13 12 12 11 11 10 10 9 9 8 8 7 7 7 6 6 6 6 5 5 5 5
    """
    assert class_counts(100, 500, 0.01).tolist() == [int(count) for count in published.split()]


@pytest.mark.parametrize(
    ("num_classes", "profile", "factor", "total", "mean", "minority", "groups", "batches", "last_batch"),
    [
        (10, "exp", 0.005, 11203, 1120.3, (7, 3), (7, 3, 0), 176, 3),
        (10, "exp", 0.01, 12406, 1240.6, (7, 3), (8, 2, 0), 194, 54),
        (10, "exp", 0.02, 13996, 1399.6, (7, 3), (9, 1, 0), 219, 44),
        (10, "exp", 0.05, 17023, 1702.3, (6, 4), (10, 0, 0), 266, 63),
        (10, "exp", 0.1, 20431, 2043.1, (6, 4), (10, 0, 0), 320, 15),
        (10, "step", 0.01, 25250, 2525.0, (5, 5), (5, 5, 0), 395, 34),
        (100, "exp", 0.005, 9502, 95.02, (69, 31), (30, 31, 39), 149, 30),
        (100, "exp", 0.01, 10847, 108.47, (67, 33), (35, 35, 30), 170, 31),
        (100, "exp", 0.02, 12608, 126.08, (65, 35), (41, 41, 18), 197, 64),
        (100, "exp", 0.05, 15907, 159.07, (62, 38), (53, 47, 0), 249, 35),
        (100, "exp", 0.1, 19573, 195.73, (59, 41), (69, 31, 0), 306, 53),
        (100, "step", 0.01, 25250, 252.5, (50, 50), (50, 0, 50), 395, 34),
        (10, "exp", 1.0, 50000, 5000.0, (0, 10), (10, 0, 0), 782, 16),
        (100, "exp", 1.0, 50000, 500.0, (0, 100), (100, 0, 0), 782, 16),
    ],
)
def test_what_lcsl_derives_from_the_counts(num_classes, profile, factor, total, mean, minority, groups, batches, last_batch):
    """Its minority classes, those below the mean count, are all classes from some first one on."""
    counts = class_counts(num_classes, 50_000 // num_classes, factor, profile)
    assert (counts.sum(), counts.mean()) == (total, mean)
    size, first = minority
    assert np.flatnonzero(counts < counts.mean()).tolist() == list(range(first, num_classes))
    assert num_classes - first == size
    assert ((counts > 100).sum(), ((counts >= 20) & (counts <= 100)).sum(), (counts < 20).sum()) == groups
    assert (-(-total // 64), (total - 1) % 64 + 1) == (batches, last_batch)


def test_step_profile_keeps_the_first_half_whole():
    assert class_counts(4, 100, 0.029, "step").tolist() == [100, 100, 2, 2]
    assert class_counts(5, 100, 0.1, "step").tolist() == [100, 100, 10, 10, 10]


def test_balanced_profile_and_single_class_keep_everything():
    assert class_counts(3, 7, 0.01, "balanced").tolist() == [7, 7, 7]
    assert class_counts(1, 7, 0.5).tolist() == [7]


@few_examples
@given(st.integers(2, 40), st.integers(1, 600), st.floats(1e-3, 1.0), st.sampled_from(["exp", "step", "balanced"]))
def test_counts_fall_from_the_largest_class_and_none_is_empty(num_classes, max_count, factor, profile):
    try:
        counts = class_counts(num_classes, max_count, factor, profile)
    except UserError:
        assert int(max_count * factor) == 0
        return
    assert counts[0] == max_count
    assert (np.diff(counts) <= 0).all()
    assert counts[-1] == (max_count if profile == "balanced" else int(max_count * factor)) >= 1


@pytest.mark.parametrize("factor", [0.0, -0.1, 1.5, 100, float("nan")])
def test_factor_outside_its_range_is_refused(factor):
    with pytest.raises(UserError, match=r"outside \(0, 1\]"):
        class_counts(10, 100, factor)


def test_the_class_left_without_images_is_named():
    # 100 * 0.001^(c / 9) falls below one between c = 6 and 7.
    with pytest.raises(UserError, match=r"class 7 would get no image.*above 0\.01"):
        class_counts(10, 100, 0.001)


def test_the_largest_class_may_be_a_fraction_before_truncation():
    assert class_counts(3, 7.5, 0.2).tolist() == [7, 3, 1]
    assert class_counts(3, 7.5, 0.2, "step").tolist() == [7, 1, 1]
    assert class_counts(3, 7.5, 1, "balanced").tolist() == class_counts(1, 7.5, 1).tolist() * 3 == [7, 7, 7]
    with pytest.raises(UserError, match=r"class 2 would get no image: the largest class has 7.5, .* above 0\.133"):
        class_counts(3, 7.5, 0.1)


def test_unknown_profile_lists_the_valid_ones():
    with pytest.raises(UserError, match="'linear'; choose one of exp, step, balanced"):
        class_counts(10, 100, 0.1, "linear")


def test_selection_is_the_published_one():
    labels = np.arange(24, dtype=np.int64) % 3
    counts = class_counts(3, 8, 0.25)
    assert counts.tolist() == [8, 4, 2]
    expected = [18, 6, 3, 21, 9, 0, 15, 12, 4, 19, 10, 22, 17, 8]
    assert ldam_subset(labels, counts, 0).tolist() == expected

    # CMO's original goes on drawing from this generator.
    state = np.random.RandomState(0)
    assert shuffled_subset(labels, counts, state.shuffle).tolist() == expected
    np.testing.assert_allclose(state.rand(3), [0.3373961604, 0.6481718721, 0.3682415398], rtol=0, atol=1e-10)


def test_any_generator_may_shuffle():
    labels = np.array([2, 0, 1, 1, 2, 0, 0, 2, 1, 0], dtype=np.int64)

    def backwards(members):
        members[:] = members[::-1].copy()

    assert shuffled_subset(labels, np.array([2, 0, 3]), backwards).tolist() == [9, 6, 7, 4, 0]
    assert shuffled_subset(labels, np.array([1, 1]), backwards).tolist() == [9, 8], "other labels belong to no class"


def test_the_first_of_each_class_in_data_set_order():
    labels = np.array([2, 0, 1, 1, 2, 0, 0, 2, 1, 0], dtype=np.int64)
    first = first_of_each_class(labels, np.array([3, 2, 1]))
    assert first.dtype == np.int64
    assert first.tolist() == [1, 5, 6, 2, 3, 0]
    assert long_tailed_subset(labels, np.array([3, 2, 1]), None).tolist() == first.tolist()


@few_examples
@given(labelled, st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_both_selections_keep_as_many_of_each_class_class_by_class(labels, part, seed):
    counts = (np.bincount(labels, minlength=7) * part).astype(np.int64)
    first, drawn = (long_tailed_subset(labels, counts, choice) for choice in (None, seed))
    expected = [index for c, count in enumerate(counts) for index in np.flatnonzero(labels == c)[:count]]
    assert first.tolist() == expected
    np.testing.assert_array_equal(drawn, ldam_subset(labels, counts, seed))
    np.testing.assert_array_equal(labels[drawn], labels[first])
    assert len(set(drawn.tolist())) == len(drawn)


def test_selection_leaves_the_global_generator_alone():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    ldam_subset(np.zeros(10, dtype=np.int64), np.array([3]), 0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_selection_refuses_impossible_requests():
    labels = np.zeros(3, dtype=np.int64)
    with pytest.raises(ValueError, match="class 0 has 3 images, 4 wanted"):
        ldam_subset(labels, np.array([4]), 0)
    with pytest.raises(ValueError, match="class 0 has 3 images, 4 wanted"):
        first_of_each_class(labels, np.array([4]))
    for seed in (-1, 2**32):
        with pytest.raises(UserError, match="split seed"):
            ldam_subset(labels, np.array([1]), seed)


@few_examples
@given(labelled, st.floats(0.01, 0.99), st.integers(0, 3))
def test_holdout_divides_every_class(labels, fraction, seed):
    total = np.bincount(labels, minlength=7)
    if total.max() < 2:
        with pytest.raises(UserError, match="no class has two images"):
            stratified_holdout(labels, fraction, seed)
        return
    train, val = stratified_holdout(labels, fraction, seed)
    assert train.dtype == val.dtype == np.int64
    np.testing.assert_array_equal(np.sort(np.concatenate([train, val])), np.arange(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(val) > 0).all()

    held = np.bincount(labels[val], minlength=7)
    assert (held[total == 1] == 0).all()
    several = total >= 2
    assert ((held >= 1) & (held < total))[several].all()
    unclipped = several & (fraction * total >= 1) & ((1 - fraction) * total >= 1)
    assert (np.abs(held - fraction * total)[unclipped] <= 0.5 + 1e-9).all()
    np.testing.assert_array_equal(stratified_holdout(labels, fraction, seed)[1], val)


def test_holdout_depends_on_the_seed_and_on_a_class_alone():
    labels = np.repeat(np.arange(3), 40)
    _, first = stratified_holdout(labels, 0.2, 0)
    _, other = stratified_holdout(labels, 0.2, 1)
    assert first.tolist() != other.tolist()

    fewer_of_the_last = labels[:90]
    _, again = stratified_holdout(fewer_of_the_last, 0.2, 0)
    assert again[again < 80].tolist() == first[first < 80].tolist()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_holdout_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(UserError, match="between 0 and 1"):
        stratified_holdout(np.zeros(4, dtype=np.int64), fraction, 0)
