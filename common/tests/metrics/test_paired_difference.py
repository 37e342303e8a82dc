"""Paired differences and their intervals, against a table of Student's t and scipy's paired test."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from longtail.metrics.paired import paired_difference, t_quantile


@pytest.mark.parametrize(("freedom", "value"), [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (120, 1.980)])
def test_quantiles_are_those_of_the_printed_table(freedom, value):
    assert t_quantile(0.975, freedom) == pytest.approx(value, abs=5e-4)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_the_interval_is_that_of_the_paired_t_test(pairs):
    values, baseline = ([pair[side] for pair in pairs] for side in (0, 1))
    differences = [value - base for value, base in pairs]
    found = paired_difference(values, baseline)
    assert found.pairs == len(pairs)
    assert found.mean == pytest.approx(sum(differences) / len(pairs), abs=1e-12)
    if max(differences) - min(differences) < 1e-6:
        return  # the oracle divides by the spread
    low, high = stats.ttest_rel(values, baseline).confidence_interval(0.95)
    assert found.mean - found.half_width == pytest.approx(low, abs=1e-9)
    assert found.mean + found.half_width == pytest.approx(high, abs=1e-9)
    assert found.is_beyond_noise == (low > 0 or high < 0)


def test_the_confidence_can_be_another():
    narrow = paired_difference([0.5, 0.7, 0.6], [0.4, 0.5, 0.4], confidence=0.5)
    wide = paired_difference([0.5, 0.7, 0.6], [0.4, 0.5, 0.4], confidence=0.99)
    assert 0 < narrow.half_width < wide.half_width


def test_one_pair_tells_nothing_of_noise():
    found = paired_difference([0.9], [0.1])
    assert (found.mean, found.half_width, found.is_beyond_noise) == (pytest.approx(0.8), None, False)


def test_methods_that_agree_do_not_differ():
    assert not paired_difference([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]).is_beyond_noise


@pytest.mark.parametrize(
    ("values", "baseline", "confidence"), [([], [], 0.95), ([1.0], [1.0, 2.0], 0.95), ([1.0], [1.0], 0), ([1.0], [1.0], 1)]
)
def test_what_makes_no_pairs_is_refused(values, baseline, confidence):
    with pytest.raises(ValueError, match=r"pairs need|lies between"):
        paired_difference(values, baseline, confidence=confidence)
