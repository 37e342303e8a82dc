import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.metrics import ShotThresholds, adapted_thresholds


def sizes_of_groups(counts):
    return [int(group.sum()) for group in adapted_thresholds(counts).groups(counts)]


@pytest.mark.parametrize("counts", [[5000, 500, 50, 5], [101, 3], [5000, 4000]])
def test_where_a_class_is_many_shot_the_usual_thresholds_stay(counts):
    assert adapted_thresholds(counts) == ShotThresholds()


@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        ([100, 80, 60, 40, 20, 10, 9, 5, 4], [3, 3, 3]),
        ([4, 9, 5], [1, 1, 1]),
        ([24, 5], [1, 0, 1]),
        ([50, 50, 50, 10, 5, 2], [3, 1, 2]),
        ([90, 50, *[5] * 8], [1, 1, 8]),
        ([7, 7, 7], [0, 3, 0]),
        ([1], [0, 1, 0]),
        ([], [0, 0, 0]),
        ([6, 5], [1, 1, 0]),
    ],
)
def test_small_data_sets_are_cut_into_thirds_of_their_classes(counts, groups):
    assert sizes_of_groups(counts) == groups


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=40))
def test_groups_follow_the_sizes(counts):
    counts = np.array(counts)
    many, medium, few = adapted_thresholds(counts).groups(counts)
    assert not (many & few).any()
    for larger, smaller in ((many, medium), (medium, few), (many, few)):
        if larger.any() and smaller.any():
            assert counts[larger].min() > counts[smaller].max()
    distinct = len(set(counts.tolist()))
    if distinct > 1:
        assert many.any()
    if distinct > 2:
        assert medium.any()
        assert few.any()
