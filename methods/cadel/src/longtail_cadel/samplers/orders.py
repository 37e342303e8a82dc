"""The samplers as epoch orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Protocol

from longtail.datasets.base import Indices
from longtail.errors import UserError
from longtail.randomness import Randomness
from longtail_cadel.samplers.class_aware import ClassAwareSampler
from longtail_cadel.samplers.drawing import Draws
from longtail_cadel.samplers.options import ClassPriorityOptions, MixedPrioritizedOptions
from longtail_cadel.samplers.priorities import Priorities
from longtail_cadel.samplers.prioritised import ClassPrioritySampler, MixedPrioritizedSampler


class Sampler(Protocol):
    """Draws the images of epochs."""

    @property
    def priorities(self) -> Priorities | None:
        """What it remembers of the images, if anything."""
        ...

    def draw(self, epoch: int, rng: Draws, length: int, /) -> Indices:
        """The indices of an epoch's images, int64, shape (length,)."""
        ...


class SampledOrder:
    """The epochs of a sampler, each a function of seed, epoch, and the priorities that it began with.

    Args:
        sampler: what draws.
        length: images of an epoch.
        randomness: the run's source of randomness.
        stream: the name under which the epochs are drawn.

    Attributes:
        priorities: what the recipe has to keep up to date: a submodule of it, whose `begin_epoch` it calls in its own, and
            whose `update` it calls with every batch. None where nothing is to be remembered.
    """

    def __init__(self, sampler: Sampler, length: int, randomness: Randomness, stream: str = "order-sampler") -> None:
        self._sampler = sampler
        self._length = length
        self._randomness = randomness
        self._stream = stream
        self.priorities = sampler.priorities

    def __len__(self) -> int:
        return self._length

    def __call__(self, epoch: int) -> Indices:
        """The sample indices of one epoch."""
        return self._sampler.draw(epoch, self._randomness.generator(self._stream, epoch), self._length)


class Named(NamedTuple):
    """A sampler that can be named.

    make: from labels, options, and the run's epochs.
    options: names of what it can be told.
    """

    make: Callable[[Indices, Mapping[str, Any], int], Sampler]
    options: tuple[str, ...]


def _class_aware(labels: Indices, options: Mapping[str, Any], _epochs: int) -> Sampler:
    return ClassAwareSampler(labels, **options)


def _class_priority(labels: Indices, options: Mapping[str, Any], epochs: int) -> Sampler:
    return ClassPrioritySampler(labels, ClassPriorityOptions(**{"epochs": epochs, **options}))


def _mixed_prioritized(labels: Indices, options: Mapping[str, Any], epochs: int) -> Sampler:
    return MixedPrioritizedSampler(labels, MixedPrioritizedOptions(**{"epochs": epochs, **options}))


SAMPLERS = {
    "ClassAwareSampler": Named(_class_aware, ("num_samples_cls",)),
    "ClassPrioritySampler": Named(_class_priority, tuple(each.name for each in fields(ClassPriorityOptions))),
    "MixedPrioritizedSampler": Named(_mixed_prioritized, tuple(each.name for each in fields(MixedPrioritizedOptions))),
}
"""By their `type` in configurations, which is also the name of the authors' module in `def_file`."""


def create_order(spec: Mapping[str, Any], labels: Indices, epochs: int, randomness: Randomness) -> SampledOrder:
    """The epoch orders of a sampler that a configuration describes.

    An epoch is as long as the training set, since the authors' training stops there even where the sampler would go on.

    Args:
        spec: `type`, the sampler's options, and perhaps `def_file`.
        labels: of the training set, int64, shape (N,).
        epochs: of the run; over these a share rises, unless the options have `epochs` of their own (in the authors' code it is
            90 then).
        randomness: the run's source of randomness.

    Raises:
        UserError: there is no such sampler, or it cannot be told this.
    """
    kind = _kind(spec)
    options = {name: value for name, value in spec.items() if name not in ("type", "def_file")}
    unknown = [name for name in options if name not in SAMPLERS[kind].options]
    if unknown:
        known = ", ".join(SAMPLERS[kind].options)
        raise UserError(f"training_opt.sampler: {kind} has no option {', '.join(unknown)}; its options are {known}")
    return SampledOrder(SAMPLERS[kind].make(labels, options, epochs), len(labels), randomness)


def _kind(spec: Mapping[str, Any]) -> str:
    module = spec.get("def_file")
    stem = None if module is None else PurePosixPath(str(module).replace("\\", "/")).stem
    kind = str(spec.get("type", stem))
    if kind not in SAMPLERS:
        raise UserError(f"training_opt.sampler.type must be one of {', '.join(SAMPLERS)}, got {kind}")
    if stem not in (None, kind):
        raise UserError(f"training_opt.sampler: type is {kind}, but def_file is {module}, which is another sampler")
    return kind
