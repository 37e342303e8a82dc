"""Epoch orders: published draws, permutations, balance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import UserError
from longtail.loading.orders import (
    ClassAware,
    ClassWeighted,
    DrawnByWeight,
    EffectiveNumber,
    FreshBatches,
    FromEpoch,
    Order,
    Sequential,
    Shuffled,
)
from longtail.randomness import Randomness

# eight, four and two samples of three classes
LABELS = np.repeat(np.arange(3), (8, 4, 2))
COUNTS = np.array([8, 4, 2])

ORDERS = {
    "sequential": lambda _: Sequential(len(LABELS)),
    "shuffled": lambda randomness: Shuffled(len(LABELS), randomness),
    "class-weighted": lambda randomness: ClassWeighted(LABELS, COUNTS, 1.0, randomness),
    "effective number": lambda randomness: EffectiveNumber(LABELS, COUNTS, randomness),
    "from an epoch": lambda randomness: FromEpoch(Sequential(len(LABELS)), Shuffled(len(LABELS), randomness), 4),
    "fresh batches": lambda randomness: FreshBatches(len(LABELS), 5, 3, randomness),
    "class-aware": lambda randomness: ClassAware(LABELS, randomness),
    "class-aware, three at a time": lambda randomness: ClassAware(LABELS, randomness, samples_per_class=3),
}

few = settings(max_examples=25, derandomize=True, deadline=None)


@pytest.mark.parametrize("make", ORDERS.values(), ids=ORDERS)
def test_an_order_is_a_function_of_seed_and_epoch(make):
    order: Order = make(Randomness(3))
    first = order(5)
    assert first.dtype == np.int64
    assert first.shape == (len(order),)
    assert set(first) <= set(range(len(LABELS)))
    order(6)
    np.testing.assert_array_equal(order(5), first)
    np.testing.assert_array_equal(make(Randomness(3))(5), first)


@pytest.mark.parametrize("make", list(ORDERS.values())[1:], ids=list(ORDERS)[1:])
def test_random_orders_change_with_epoch_seed_and_stream(make):
    first = make(Randomness(3))(5)
    assert not np.array_equal(make(Randomness(3))(6), first)
    assert not np.array_equal(make(Randomness(4))(5), first)


@given(n=st.integers(0, 200), seed=st.integers(0, 5))
@few
def test_plain_orders_show_every_sample_once(n, seed):
    np.testing.assert_array_equal(Sequential(n)(seed), np.arange(n))
    np.testing.assert_array_equal(np.sort(Shuffled(n, Randomness(seed))(1)), np.arange(n))


def test_streams_are_independent():
    randomness = Randomness(0)
    assert not np.array_equal(Shuffled(100, randomness)(0), Shuffled(100, randomness, stream="other")(0))


def test_class_weights_of_cmo():
    counts = np.array([500, 100, 20, 5])
    order = ClassWeighted(np.arange(4), counts, 1.0, Randomness(0))
    expected = [0.030534351145038167, 0.15267175572519084, 0.7633587786259542, 3.053435114503817]
    np.testing.assert_allclose(order.class_weights, expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("alpha", "weights", "draws"),
    [
        (1, (0.42857142857142855, 0.8571428571428571, 1.7142857142857142), "13 12 9 13 11 12 4 8 10 6 9 4 8 11"),
        (0.5, (0.6796227589829592, 0.9611317230511223, 1.3592455179659184), "13 11 8 13 10 12 3 6 9 5 7 3 6 10"),
        (0, (1, 1, 1), "13 9 6 12 9 11 2 4 8 4 6 2 4 8"),
        (2, (0.14285714285714285, 0.5714285714285714, 2.2857142857142856), "13 12 12 13 12 13 8 10 12 10 12 8 10 12"),
    ],
)
def test_foreground_draws_of_cmo(alpha, weights, draws):
    order = ClassWeighted(LABELS, COUNTS, alpha, Randomness(0))
    np.testing.assert_allclose(order.class_weights, weights, rtol=1e-15)
    drawn = order.draw(torch.Generator().manual_seed(0))
    assert " ".join(map(str, drawn)) == draws


@given(counts=st.lists(st.integers(1, 300), min_size=2, max_size=5), alpha=st.floats(0, 2))
@few
def test_drawn_classes_follow_the_weights(counts, alpha):
    counts = np.array(counts) * 40
    labels = np.repeat(np.arange(len(counts)), counts)
    order = ClassWeighted(labels, counts, alpha, Randomness(1))
    share = np.bincount(labels[order(0)], minlength=len(counts)) / len(labels)
    expected = counts ** (1 - alpha) / (counts ** (1 - alpha)).sum()
    tolerance = 5 * np.sqrt(expected * (1 - expected) / len(labels))
    assert (np.abs(share - expected) <= tolerance).all()


def test_a_class_without_images_cannot_be_weighted():
    with pytest.raises(UserError, match="no training image of class 1"):
        ClassWeighted(np.array([0, 0, 2]), np.array([2, 0, 1]), 1.0, Randomness(0))


def test_effective_number_weights_are_cuis():
    counts = np.array([5000, 500, 100, 50, 12])
    order = EffectiveNumber(np.arange(5), counts, Randomness(0), beta=0.9999)
    expected = np.array([0.00025414, 0.00205032, 0.01004958, 0.02004904, 0.08337918])
    np.testing.assert_allclose(order.class_weights / order.class_weights.sum(), expected / expected.sum(), rtol=2e-5)


@pytest.mark.parametrize("raw", [True, False], ids=["as published", "scaled"])
def test_balanced_draws_of_ldam(raw):
    labels = np.repeat(np.arange(3), (5, 3, 2))
    order = EffectiveNumber(labels, np.array([5, 3, 2]), Randomness(0))
    np.testing.assert_allclose(
        order.class_weights / order.class_weights[0], np.array([0.20004, 0.33336667, 0.500025]) / 0.20004, rtol=1e-6
    )
    if raw:
        order = DrawnByWeight(labels, np.array([0.20004, 0.33336667, 0.500025]), Randomness(0), "any")
    assert order.draw(torch.Generator().manual_seed(0)).tolist() == [9, 8, 6, 9, 7, 8, 2, 5, 7, 4]


def test_effective_numbers_balance_the_classes_and_beta_0_the_samples():
    labels = np.repeat(np.arange(2), (6000, 60))
    balanced, plain = (EffectiveNumber(labels, np.array([6000, 60]), Randomness(0), beta=beta) for beta in (0.99999999, 0.0))
    assert abs((labels[balanced(0)] == 1).mean() - 0.5) < 0.05
    assert abs((labels[plain(0)] == 1).mean() - 0.01) < 0.005
    with pytest.raises(UserError, match="no training image of class 1"):
        EffectiveNumber(np.array([0]), np.array([1, 0]), Randomness(0))


def test_an_order_changes_at_its_epoch():
    randomness = Randomness(1)
    order = FromEpoch(Sequential(9), Shuffled(9, randomness), 3)
    assert len(order) == 9
    for epoch in (0, 2):
        np.testing.assert_array_equal(order(epoch), np.arange(9))
    for epoch in (3, 7):
        np.testing.assert_array_equal(order(epoch), Shuffled(9, randomness)(epoch))


def test_an_epoch_keeps_its_length():
    with pytest.raises(ValueError, match="same length before and after the change, got 3 and 4"):
        FromEpoch(Sequential(3), Sequential(4), 1)


@given(counts=st.lists(st.integers(0, 12), min_size=1, max_size=6), group=st.integers(1, 4), epoch=st.integers(0, 3))
@few
def test_class_aware_visits_classes_in_rounds_and_samples_in_cycles(counts, group, epoch):
    labels = np.repeat(np.arange(len(counts)), counts)
    order = ClassAware(labels, Randomness(2), samples_per_class=group)
    present = sum(count > 0 for count in counts)
    assert len(order) == max(counts) * present
    shown = order(epoch)
    turns = labels[shown][::group]
    for start in range(0, len(turns), max(1, present)):
        visited = turns[start : start + present]
        assert len(set(visited)) == len(visited)
    for label, count in enumerate(counts):
        samples = shown[labels[shown] == label]
        for start in range(0, len(samples), max(1, count)):
            cycle = samples[start : start + count]
            assert len(set(cycle)) == len(cycle)


def test_class_aware_shows_the_largest_class_once():
    shown = ClassAware(LABELS, Randomness(0))(0)
    np.testing.assert_array_equal(np.sort(shown[shown < 8]), np.arange(8))
    np.testing.assert_array_equal(np.bincount(LABELS[shown]), (8, 8, 8))


def test_class_aware_needs_a_group():
    with pytest.raises(ValueError, match="at least 1"):
        ClassAware(LABELS, Randomness(0), samples_per_class=0)


@given(n=st.integers(1, 40), steps=st.integers(0, 6), data=st.data())
@few
def test_each_fresh_batch_shows_a_sample_at_most_once(n, steps, data):
    size = data.draw(st.integers(1, n))
    order = FreshBatches(n, size, steps, Randomness(2))
    assert len(order) == steps * size
    batches = order(4).reshape(steps, size)
    assert all(len(set(batch)) == size and set(batch) <= set(range(n)) for batch in batches.tolist())


def test_fresh_batches_differ_and_favour_no_sample():
    batches = FreshBatches(10, 4, 2000, Randomness(2))(0).reshape(2000, 4)
    assert len({tuple(batch) for batch in batches.tolist()}) > 1500
    # 800 of each are expected, with a standard deviation of 22
    assert np.abs(np.bincount(batches.ravel(), minlength=10) - 800).max() < 100


def test_a_fresh_batch_cannot_exceed_the_data():
    with pytest.raises(ValueError, match="between 1 and all 3 samples, got 4"):
        FreshBatches(3, 4, 1, Randomness(0))
