"""The embedded data set: scikit-learn's 1797 handwritten digits, made long-tailed. No download, trains in seconds."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from longtail.datasets.base import ArrayImages, ImageData, LongTailData
from longtail.datasets.splits import class_counts, long_tailed_subset
from longtail.errors import UserError

TEST_PER_CLASS = 50
SCALE = 2
"""8 x 8 pixels become 16 x 16: networks for CIFAR halve the side twice and keep a 4 x 4 map."""

BUNDLED = "datasets/data/digits.csv.gz"
"""Where scikit-learn keeps the file. Importing `sklearn.datasets` to ask for it takes seconds, reading it some milliseconds."""

MEAN = (0.3053, 0.3053, 0.3053)
STD = (0.3760, 0.3760, 0.3760)
"""Over the pixels of all 1797 images."""


def load_digits(*, imbalance_factor: float = 0.01, profile: str = "exp", split_seed: int | None = 0) -> LongTailData:
    """The digits, 16 x 16 RGB, with a long-tailed training set and a balanced test set of 50 images a class.

    The test set is the last 50 images of each class in the bundled order: other writers than the first ones, and the same
    images for every split. The largest class trains on as many images as the smallest source class has left, 124.

    Args:
        imbalance_factor, profile: see `splits.class_counts`.
        split_seed: see `splits.long_tailed_subset`.

    Raises:
        UserError: where scikit-learn is not installed, and for impossible splits.
    """
    grey, labels = _source()
    levels = np.rint(grey * (255 / 16)).astype(np.uint8)
    images = ArrayImages(np.repeat(levels.repeat(SCALE, axis=1).repeat(SCALE, axis=2)[..., None], 3, axis=3))
    everything = ImageData(images, labels, tuple(str(digit) for digit in range(10)))

    by_class = [np.flatnonzero(labels == c) for c in range(10)]
    pool = everything.subset(np.sort(np.concatenate([members[:-TEST_PER_CLASS] for members in by_class])))
    counts = class_counts(10, int(pool.class_counts.min()), imbalance_factor, profile)
    return LongTailData(
        name="digits",
        train=pool.subset(long_tailed_subset(pool.labels, counts, split_seed)),
        val=None,
        test=everything.subset(np.sort(np.concatenate([members[-TEST_PER_CLASS:] for members in by_class]))),
        image_size=8 * SCALE,
        mean=MEAN,
        std=STD,
    )


def _source() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Grey levels 0..16, shape (1797, 8, 8), and labels."""
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise UserError("the digits come with scikit-learn, which is not installed: pip install scikit-learn")
    bundled = Path(package.submodule_search_locations[0]) / BUNDLED
    if bundled.is_file():
        table = np.loadtxt(bundled, delimiter=",")
        return table[:, :64].reshape(-1, 8, 8), table[:, 64].astype(np.int64)
    from sklearn import datasets  # type: ignore[import-untyped]

    digits = datasets.load_digits()
    return digits.images, digits.target.astype(np.int64)
