"""Global generators that are lent come back as they were; a generator like Python's own leaves them alone."""

from __future__ import annotations

import random

import numpy as np
import pytest

from longtail.randomness import lend_global_generators, python_generator


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


def test_pythons_generator_is_the_global_one_after_seeding():
    for value in (0, 42):
        with lend_global_generators() as seed:
            seed(value)
            expected = [random.random() for _ in range(3)]
        before = position()
        generator = python_generator(value)
        assert [generator.random() for _ in range(3)] == expected
        assert position() == before
