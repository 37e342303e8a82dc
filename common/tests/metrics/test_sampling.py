"""How far the choice of test images leaves an accuracy uncertain, against a simulation."""

import numpy as np
import pytest

from longtail.metrics.sampling import balanced_standard_error


def test_many_images_give_the_spread_of_repeated_draws():
    accuracies, counts = np.array([0.9, 0.5, 0.2]), np.array([400, 900, 200])
    drawn = np.random.default_rng(0).binomial(counts, accuracies, size=(20000, 3)) / counts
    assert balanced_standard_error(list(accuracies), list(counts)) == pytest.approx(drawn.mean(1).std(), rel=0.02)


def test_one_image_that_is_right_makes_no_class_certain():
    assert balanced_standard_error([1.0], [1]) == pytest.approx((2 / 9) ** 0.5)


def test_classes_without_images_do_not_count():
    assert balanced_standard_error([0.5, None], [10, 0]) == balanced_standard_error([0.5], [10])


@pytest.mark.parametrize(("accuracies", "counts"), [([0.5], [1, 2]), ([None], [0])])
def test_what_has_no_error_is_refused(accuracies, counts):
    with pytest.raises(ValueError, match="class"):
        balanced_standard_error(accuracies, counts)
