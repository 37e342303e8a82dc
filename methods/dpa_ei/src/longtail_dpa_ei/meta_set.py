"""A meta set for data that bring none: some images of each class, which leave the training set."""

from __future__ import annotations

import numpy as np

from longtail.datasets.base import ImageData, LongTailData
from longtail.errors import UserError
from longtail.randomness import Randomness


def train_and_meta(data: LongTailData, per_class: int, randomness: Randomness) -> tuple[ImageData, ImageData]:
    """The training images and the meta images of a data set, its own or drawn class by class from its training images.

    Args:
        data: the data set.
        per_class: meta images to draw from each class, at least 1.
        randomness: the run's source of randomness.

    Raises:
        UserError: a class would be left without training images.
    """
    if data.meta is not None:
        return data.train, data.meta
    train = data.train
    poorest = int(train.class_counts.argmin())
    if train.class_counts[poorest] <= per_class:
        raise UserError(
            f"class {train.class_names[poorest]} would be left without training images: it has {train.class_counts[poorest]}, "
            f"and the meta set takes {per_class} of each class.\nLower num_meta, or leave out classes that are so small."
        )
    taken = np.zeros(len(train), dtype=bool)
    for c in range(train.num_classes):
        members = np.flatnonzero(train.labels == c)
        taken[randomness.generator("meta set", c).permutation(members)[:per_class]] = True
    return train.subset(np.flatnonzero(~taken)), train.subset(np.flatnonzero(taken))
