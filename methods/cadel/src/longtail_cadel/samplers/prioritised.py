"""Classes, or images, drawn by manual weights and by what the network makes of their images."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np

from longtail.datasets.base import Indices
from longtail_cadel.samplers.drawing import Draws, FloatArray, Wheel, in_turn, members_of
from longtail_cadel.samplers.options import ClassPriorityOptions, MixedPrioritizedOptions, PriorityOptions
from longtail_cadel.samplers.priorities import Priorities

Options = TypeVar("Options", bound=PriorityOptions)


class _Manual(Generic[Options]):
    """The manual weights.

    Args:
        labels: int64, shape (N,).
        options: of the sampler.
    """

    def __init__(self, labels: Indices, options: Options) -> None:
        _, self._classes, self._counts = np.unique(labels, return_inverse=True, return_counts=True)
        self._options = options

    def _manual(self, epoch: int) -> FloatArray:
        """The blend of balanced and uniform weights, shape (C,)."""
        options, uniform = self._options, self._counts.astype(np.float64)
        share = options.share(epoch)
        balanced = _scaled(uniform ** options.exponent(epoch), options.balance_scale * uniform.sum())
        return share * balanced + (1 - share) * uniform


class ClassPrioritySampler(_Manual[ClassPriorityOptions]):
    """Draws classes, each by its manual weight and the sum of its images' priorities, and shows the images of a class in turn.

    In an epoch, class c has the weight (m_c + sum of p_i)^alpha. The turns of its images begin anew with every epoch; in the
    authors' code they go on.

    Args:
        labels: int64, shape (N,).
        options: see there.

    Attributes:
        priorities: of the images; None where manual weights are all.
    """

    def __init__(self, labels: Indices, options: ClassPriorityOptions) -> None:
        super().__init__(labels, options)
        self._members = members_of(labels)
        self.priorities = Priorities(len(labels), options.ptype, options.momentum) if options.uses_priorities else None

    def weights(self, epoch: int) -> FloatArray:
        """The weights of the classes in an epoch, shape (C,)."""
        options, manual = self._options, self._manual(epoch)
        if self.priorities is None:
            return manual**options.alpha
        own = np.bincount(self._classes, self.priorities.of_epoch())
        size = float(len(self._classes))
        if options.fixed_scale < 0:
            return (own * _scaled(manual, size) / self._counts) ** options.alpha
        reference = own.sum() if options.rises and options.rescale else options.initial * size
        return (_scaled(manual, options.fixed_scale * reference) + own) ** options.alpha

    def draw(self, epoch: int, rng: Draws, length: int) -> Indices:
        """The indices of an epoch's images, int64, shape (length,)."""
        wheel = Wheel(_drawable(self.weights(epoch)))
        images = [in_turn(each, rng) for each in self._members]
        return np.fromiter((next(images[wheel.leaf(rng.random())]) for _ in range(length)), np.int64, length)


class MixedPrioritizedSampler(_Manual[MixedPrioritizedOptions]):
    """Draws images with replacement, each by its manual weight and its priority.

    In an epoch, image i of class c has the weight m_c / n_c + p_i^alpha.

    Args:
        labels: int64, shape (N,).
        options: see there.

    Attributes:
        priorities: of the images; None where manual weights are all.
    """

    def __init__(self, labels: Indices, options: MixedPrioritizedOptions) -> None:
        super().__init__(labels, options)
        self.priorities = Priorities(len(labels), options.ptype) if options.uses_priorities else None

    def weights(self, epoch: int) -> FloatArray:
        """The weights of the images in an epoch, shape (N,)."""
        options = self._options
        manual = (self._manual(epoch) / self._counts)[self._classes]
        if self.priorities is None:
            return manual
        own = self.priorities.of_epoch() ** options.alpha
        if options.rises and options.rescale:
            manual = _scaled(manual, options.fixed_scale * own.sum())
        # once the share has risen, the authors' code no longer scales the blend, but leaves it out where it was left out
        elif not options.rises or not epoch or not options.fixed_scale:
            manual = _scaled(manual, options.fixed_scale * options.initial**options.alpha * len(own))
        return manual + own

    def draw(self, epoch: int, rng: Draws, length: int) -> Indices:
        """The indices of an epoch's images, int64, shape (length,)."""
        wheel = Wheel(_drawable(self.weights(epoch)))
        return np.fromiter((wheel.leaf(rng.random()) for _ in range(length)), np.int64, length)


def _scaled(weights: FloatArray, total: float) -> FloatArray:
    scaled: FloatArray = weights * (total / weights.sum())
    return scaled


def _drawable(weights: FloatArray) -> FloatArray:
    """The weights, or where all of them are 0 equal ones for all."""
    return weights if weights.sum() > 0 else np.ones_like(weights)
