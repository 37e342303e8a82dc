import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import UserError
from longtail.losses import DeferredReweighting, effective_number_weights, inverse_frequency_weights

COUNTS = [500, 100, 20, 5]
CIFAR100 = (500 * 0.01 ** (np.arange(100) / 99)).astype(np.int64)


def test_effective_numbers_of_the_published_code():
    expected = [0.03128016841686647, 0.15331907694317115, 0.7635380295028174, 3.051862725137145]
    assert effective_number_weights(COUNTS, 0.9999).tolist() == pytest.approx(expected, rel=1e-14)
    weights = effective_number_weights(CIFAR100, 0.9999)
    expected = [0.04487566010564508, 0.4302343201094655, 0.4570554548020237, 4.378312562680947]
    assert weights[[0, 49, 50, 99]].tolist() == pytest.approx(expected, rel=1e-13)
    assert weights.sum() == pytest.approx(100, rel=1e-14)


@pytest.mark.parametrize(
    ("counts", "beta", "expected"),
    [
        ([500, 100, 10, 1], 0.9999, [0.007374278848974973, 0.036144870167539034, 0.35982724016792433, 3.596653610815562]),
        ([1280, 5], 0.9999, [0.008286632281886953, 1.991713367718113]),
        ([100, 50, 10, 2], 0.999, [0.0665085389, 0.1297718354, 0.6360682062, 3.1676514195]),
    ],
)
def test_effective_numbers_of_other_papers_code(counts, beta, expected):
    assert effective_number_weights(counts, beta).tolist() == pytest.approx(expected, rel=1e-9)


def test_no_effect_gives_exact_ones():
    assert effective_number_weights(COUNTS, 0.0).tolist() == [1.0] * 4
    assert inverse_frequency_weights(COUNTS, 0.0).tolist() == [1.0] * 4


def test_inverse_frequencies():
    expected = [0.030534351145038167, 0.15267175572519084, 0.7633587786259542, 3.053435114503817]
    assert inverse_frequency_weights(COUNTS).tolist() == pytest.approx(expected, rel=1e-14)
    shares = inverse_frequency_weights([100, 50, 10, 2]) / 4
    assert shares.tolist() == pytest.approx([0.0158730159, 0.0317460317, 0.1587301587, 0.7936507937], rel=1e-8)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.floats(0.0, 0.99999))
def test_weights_sum_to_the_number_of_classes_and_fall_with_the_count(counts, beta):
    for weights in (effective_number_weights(counts, beta), inverse_frequency_weights(counts)):
        assert weights.dtype == np.float64
        assert weights.sum() == pytest.approx(len(counts))
        assert (np.diff(weights[np.argsort(counts)]) <= 1e-9).all()


def test_deferred_weights_set_in_once_and_stay():
    schedule = DeferredReweighting(COUNTS, start_epoch=160)
    ones, weighted = [1.0] * 4, effective_number_weights(COUNTS, 0.9999).tolist()
    assert {epoch: schedule.weights(epoch).tolist() for epoch in (0, 159)} == {0: ones, 159: ones}
    # Twice the start epoch is where the published code fell over.
    assert {epoch: schedule.weights(epoch).tolist() for epoch in (160, 320, 500)} == dict.fromkeys((160, 320, 500), weighted)


def test_a_start_at_zero_never_trains_unweighted():
    assert (
        DeferredReweighting(COUNTS, start_epoch=0, beta=0.9).weights(0).tolist()
        == effective_number_weights(COUNTS, 0.9).tolist()
    )


@pytest.mark.parametrize("beta", [-0.1, 1.0, float("nan")])
def test_impossible_betas_are_refused(beta):
    with pytest.raises(UserError, match=r"lies in \[0, 1\)"):
        effective_number_weights(COUNTS, beta)


@pytest.mark.parametrize("weights", [effective_number_weights, inverse_frequency_weights])
def test_a_class_without_images_has_no_weight(weights):
    with pytest.raises(UserError, match="no training image of class 1"):
        weights([5, 0, 3])
