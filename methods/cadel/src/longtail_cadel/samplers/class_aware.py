"""Classes in turn, and within a class its images in turn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from longtail.datasets.base import Indices
from longtail.errors import UserError
from longtail_cadel.samplers.drawing import Draws, in_turn, members_of


class ClassAwareSampler:
    """Classes in rounds of all of them, and a few images of each, those of a class in turn; both are shuffled for every round.

    The core's `ClassAware` draws in the same way, with other random numbers.

    Args:
        labels: int64, shape (N,).
        num_samples_cls: consecutive images of a class.

    Raises:
        UserError: no image of a class would be drawn.

    Source: Shen et al., Relay Backpropagation, ECCV 2016.
    """

    priorities = None

    def __init__(self, labels: Indices, num_samples_cls: int = 1) -> None:
        if num_samples_cls < 1:
            raise UserError(f"training_opt.sampler.num_samples_cls must be at least 1, got {num_samples_cls}")
        self._members = members_of(labels)
        self._num_samples_cls = num_samples_cls

    def draw(self, _epoch: int, rng: Draws, length: int) -> Indices:
        """Some indices of images, int64, shape (length,); the same in all epochs but for what `rng` draws."""
        return np.fromiter(islice(self._images(rng), length), np.int64, length)

    def _images(self, rng: Draws) -> Iterator[int]:
        images = [in_turn(each, rng) for each in self._members]
        for label in in_turn(range(len(images)), rng):
            yield from islice(images[label], self._num_samples_cls)
