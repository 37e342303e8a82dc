"""Global generators that are lent come back as they were; shuffling as Python does leaves them alone."""

from __future__ import annotations

import random

import numpy as np
import pytest

from longtail.randomness import lend_global_generators, python_shuffle


def position():
    """Python's and numpy's global state."""
    kind, key, *rest = np.random.get_state()
    return random.getstate(), kind, key.tolist(), rest


def test_both_generators_follow_the_seed():
    with lend_global_generators() as seed:
        for value in (0, 7, 2**32 - 1):
            seed(value)
            assert random.random() == random.Random(value).random()
            assert np.random.rand() == np.random.RandomState(value).rand()


def test_nothing_is_left_behind():
    # halfway through a pair of normal deviates, which is part of the state too
    random.gauss(0, 1)
    np.random.randn()
    before = position()
    with lend_global_generators() as seed:
        seed(3)
        random.gauss(0, 1)
        np.random.randn(5)
    assert position() == before


def test_an_exception_leaves_nothing_behind():
    def fail():
        with lend_global_generators() as seed:
            seed(3)
            raise KeyError

    before = position()
    with pytest.raises(KeyError):
        fail()
    assert position() == before


def test_arrays_are_shuffled_as_python_shuffles_lists():
    for value in (0, 42):
        lists, arrays = [list(range(size)) for size in (9, 1, 0, 30)], [np.arange(size) for size in (9, 1, 0, 30)]
        with lend_global_generators() as seed:
            seed(value)
            for items in lists:
                random.shuffle(items)
        before = position()
        shuffle = python_shuffle(value)
        for array in arrays:
            shuffle(array)
        assert [array.tolist() for array in arrays] == lists
        assert position() == before
