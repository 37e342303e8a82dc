"""Lists under the names that a README gives them, and class counts that are not those of the training images."""

from dataclasses import replace

import numpy as np
import pytest

from longtail.datasets.factory import create_data
from longtail.datasets.fake import write_fake

NAMES = {
    "imagenet-lt": {"ImageNet_LT_train.txt": "train.txt", "ImageNet_LT_val.txt": "val.txt", "ImageNet_LT_test.txt": "test.txt"},
    "inat18": {"iNaturalist18_train.txt": "train.txt", "iNaturalist18_val.txt": "val.txt"},
    "places-lt": {"Places_LT_train.txt": "train.txt", "Places_LT_val.txt": "val.txt", "Places_LT_test.txt": "test.txt"},
}


@pytest.mark.parametrize("layout", NAMES)
def test_short_names_mean_the_same_lists(layout, tmp_path):
    write_fake(layout, tmp_path, num_classes=3, largest_class=4)
    usual = create_data(layout, root=tmp_path, holdout=0.5)
    for old, new in NAMES[layout].items():
        (tmp_path / old).rename(tmp_path / new)
    short = create_data(layout, root=tmp_path, holdout=0.5)
    for part in ("train", "val", "test"):
        assert getattr(short, part).images.paths == getattr(usual, part).images.paths
        np.testing.assert_array_equal(getattr(short, part).labels, getattr(usual, part).labels)


def test_class_counts_may_be_given():
    data = create_data("digits")
    given = replace(data, counts=np.arange(10))
    np.testing.assert_array_equal(given.class_counts, np.arange(10))
    np.testing.assert_array_equal(data.class_counts, data.train.class_counts)
