import importlib.util
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits as oracle

from longtail.datasets import digits
from longtail.datasets.digits import load_digits
from longtail.errors import UserError


def test_what_comes_out():
    data = load_digits(imbalance_factor=0.1)
    assert (data.name, data.num_classes, data.image_size, data.val) == ("digits", 10, 16, None)
    assert data.class_counts.tolist() == [124, 96, 74, 57, 44, 34, 26, 20, 16, 12]
    assert data.test.class_counts.tolist() == [50] * 10
    assert data.train.images.array.shape == (503, 16, 16, 3)
    assert data.test.class_names == tuple("0123456789")
    assert load_digits().class_counts.tolist() == [124, 74, 44, 26, 16, 9, 5, 3, 2, 1]


def test_pixels_and_labels_are_the_bundled_ones():
    bundled = oracle()
    data = load_digits(profile="balanced")
    test = np.sort(np.concatenate([np.flatnonzero(bundled.target == c)[-50:] for c in range(10)]))
    np.testing.assert_array_equal(data.test.labels, bundled.target[test])
    levels = np.rint(bundled.images[test] / 16 * 255)
    array = data.test.images.array
    for rows in (0, 1):
        for columns in (0, 1):
            for channel in range(3):
                np.testing.assert_array_equal(array[:, rows::2, columns::2, channel], levels)


def test_train_and_test_share_no_image_and_the_seed_moves_only_train():
    first, other = load_digits(split_seed=0), load_digits(split_seed=1)
    np.testing.assert_array_equal(first.test.images.array, other.test.images.array)
    assert (first.train.images.array != other.train.images.array).any()
    train = {image.tobytes() for image in load_digits(profile="balanced").train.images.array}
    assert not train & {image.tobytes() for image in first.test.images.array}


def test_without_a_split_seed_the_first_images_of_each_class_are_kept():
    pool = oracle()
    data = load_digits(imbalance_factor=0.1, split_seed=None)
    counts = [124, 96, 74, 57, 44, 34, 26, 20, 16, 12]
    first = np.concatenate([np.flatnonzero(pool.target == c)[:count] for c, count in enumerate(counts)])
    np.testing.assert_array_equal(data.train.labels, pool.target[first])
    np.testing.assert_array_equal(data.train.images.array[:, ::2, ::2, 0], np.rint(pool.images[first] / 16 * 255))


def test_normalisation_is_that_of_the_pixels():
    pixels = oracle().images / 16
    np.testing.assert_allclose((digits.MEAN[0], digits.STD[0]), (pixels.mean(), pixels.std()), rtol=0, atol=1e-4)


def test_a_moved_bundled_file_is_asked_for_through_scikit_learn(monkeypatch):
    direct = load_digits()
    monkeypatch.setattr(digits, "BUNDLED", "somewhere/else.csv.gz")
    np.testing.assert_array_equal(load_digits().train.images.array, direct.train.images.array)


def test_scikit_learn_is_not_imported(monkeypatch):
    for module in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, module)
    load_digits()
    assert "sklearn" not in sys.modules


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(digits, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="pip install scikit-learn"):
        load_digits()
    assert importlib.util.find_spec("sklearn") is not None
