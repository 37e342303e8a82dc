"""Accuracy under the test distributions of SADE."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.metrics.distributions import DISTRIBUTIONS, RATIOS, Distribution, accuracy_under, shares_of

counts = st.lists(st.integers(1, 500), min_size=2, max_size=30).map(np.array)
steady = settings(max_examples=25, derandomize=True, deadline=None)


@steady
@given(counts, st.sampled_from(DISTRIBUTIONS))
def test_shares_fall_exponentially_in_the_order_of_class_sizes(class_counts, distribution):
    shares = shares_of(distribution, class_counts)
    assert shares.sum() == pytest.approx(1)
    by_size = shares[np.argsort(-class_counts, kind="stable")]
    if distribution.direction == "backward":
        by_size = by_size[::-1]
    assert by_size[0] / by_size[-1] == pytest.approx(distribution.ratio)
    np.testing.assert_allclose(by_size[1:] / by_size[:-1], distribution.ratio ** (-1 / (len(by_size) - 1)))


def test_there_are_eleven_from_forward_over_uniform_to_backward():
    names = [str(each) for each in DISTRIBUTIONS]
    assert (
        names[:5]
        == [f"forward {ratio}" for ratio in RATIOS]
        == ["forward 50", "forward 25", "forward 10", "forward 5", "forward 2"]
    )
    assert names[5:7] == ["uniform", "backward 2"]
    assert len(names) == 11


def test_the_mean_is_that_of_a_drawn_test_set():
    # 9 : 3 : 1 images of the classes, of which 6, 1 and 1 are right
    shares = shares_of(Distribution("forward", 9), [5, 50, 20])
    np.testing.assert_allclose(shares, np.array([1, 9, 3]) / 13)
    assert accuracy_under(shares, (1.0, 6 / 9, 1 / 3)) == pytest.approx(8 / 13)


def test_classes_that_were_not_evaluated_are_left_out():
    assert accuracy_under([0.5, 0.25, 0.25], (None, 1.0, 0.0)) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="none of these classes"):
        accuracy_under([1.0, 0.0], (None, 1.0))


def test_uniform_is_the_balanced_accuracy_and_one_class_has_it_all():
    assert accuracy_under(shares_of(Distribution("uniform", 1), [3, 2]), (0.5, 1.0)) == pytest.approx(0.75)
    assert shares_of(Distribution("forward", 50), [7]).tolist() == [1.0]
