"""Epoch orders: which samples an epoch shows, one after another (what others call samplers)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from longtail.datasets.base import Indices
from longtail.losses import effective_number_weights, inverse_frequency_weights
from longtail.randomness import Randomness

if TYPE_CHECKING:
    import torch

    from longtail.losses.weighting import Weights


class Order(Protocol):
    """The sample indices of every epoch; their number is the same in all of them."""

    def __len__(self) -> int:
        """Samples of one epoch, counted with repetition."""
        ...

    def __call__(self, epoch: int, /) -> Indices:
        """The sample indices of an epoch, int64, shape (len(self),); a pure function of `epoch`."""
        ...


class Sequential:
    """Every sample once, in data set order.

    Args:
        n: samples of the data set.
    """

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __call__(self, _epoch: int) -> Indices:
        """The indices 0 to n - 1."""
        return np.arange(self._n, dtype=np.int64)


class Shuffled:
    """Every sample once, in a new uniform permutation each epoch.

    Args:
        n: samples of the data set.
        randomness: the run's source of randomness.
        stream: the name under which the permutations are drawn.
    """

    def __init__(self, n: int, randomness: Randomness, stream: str = "order") -> None:
        self._n = n
        self._randomness = randomness
        self._stream = stream

    def __len__(self) -> int:
        return self._n

    def __call__(self, epoch: int) -> Indices:
        """A permutation of 0 to n - 1."""
        return self._randomness.generator(self._stream, epoch).permutation(self._n).astype(np.int64)


class FreshBatches:
    """A new uniform choice of samples for every batch, without replacement within a batch.

    Load it with batches of `batch_size`, for which it has an epoch of exactly `steps`.

    Args:
        n: samples of the data set.
        batch_size: samples of a batch, at most n.
        steps: batches of one epoch.
        randomness: the run's source of randomness.
        stream: the name under which the choices are drawn.
    """

    def __init__(
        self, n: int, batch_size: int, steps: int, randomness: Randomness, stream: str = "order-fresh-batches"
    ) -> None:
        if not 1 <= batch_size <= n:
            raise ValueError(f"a batch takes between 1 and all {n} samples, got {batch_size}")
        self._n = n
        self._batch_size = batch_size
        self._steps = steps
        self._randomness = randomness
        self._stream = stream

    def __len__(self) -> int:
        return self._steps * self._batch_size

    def __call__(self, epoch: int) -> Indices:
        """The choices of one epoch's batches, one after another."""
        rng = self._randomness.generator(self._stream, epoch)
        choices = [rng.choice(self._n, self._batch_size, replace=False) for _ in range(self._steps)]
        return np.concatenate(choices).astype(np.int64) if choices else np.empty(0, dtype=np.int64)


class DrawnByWeight:
    """As many draws with replacement as there are samples, each sample weighted by its class.

    Args:
        labels: int64, shape (N,).
        class_weights: weight of each sample of a class, float64, shape (C,), all > 0; only their ratios count.
        randomness: the run's source of randomness.
        stream: the name under which the samples are drawn.
    """

    def __init__(self, labels: Indices, class_weights: Weights, randomness: Randomness, stream: str) -> None:
        self.class_weights = class_weights
        self._sample_weights = class_weights[labels]
        self._randomness = randomness
        self._stream = stream

    def __len__(self) -> int:
        return len(self._sample_weights)

    def __call__(self, epoch: int) -> Indices:
        """The draws of one epoch."""
        return self.draw(self._randomness.torch_generator(self._stream, epoch))

    def draw(self, generator: torch.Generator) -> Indices:
        """The draws that follow from the state of `generator`, as torch's weighted sampler makes them."""
        import torch

        weights = torch.from_numpy(self._sample_weights)
        drawn: Indices = torch.multinomial(weights, len(weights), replacement=True, generator=generator).numpy()
        return drawn


class ClassWeighted(DrawnByWeight):
    """Draws with replacement by a power of the inverse class frequency (the foreground order of CMO).

    Args:
        labels: int64, shape (N,).
        class_counts: images per class, int64, shape (C,).
        alpha: exponent r of the inverse class frequency n_c^-r; a class is then drawn in proportion to n_c^(1 - r), so 1
            balances the classes.
        randomness: the run's source of randomness.
        stream: the name under which the samples are drawn.

    Raises:
        UserError: a class without images.

    Source: Park et al., The Majority Can Help the Minority, CVPR 2022 (there a weight of a class; the
    published results apply it to every sample of the class).
    """

    def __init__(
        self, labels: Indices, class_counts: Indices, alpha: float, randomness: Randomness, stream: str = "order-class-weighted"
    ) -> None:
        super().__init__(labels, inverse_frequency_weights(class_counts, alpha), randomness, stream)


class EffectiveNumber(DrawnByWeight):
    """Draws with replacement by the inverse effective number of samples, (1 - beta) / (1 - beta^n_c): nearly class-balanced.

    Args:
        labels: int64, shape (N,).
        class_counts: images per class, int64, shape (C,).
        beta: in [0, 1); towards 1 the classes are balanced, 0 weights all samples alike.
        randomness: the run's source of randomness.
        stream: the name under which the samples are drawn.

    Raises:
        UserError: a class without images, or beta outside [0, 1).

    Source: the weights of Cui et al., Class-Balanced Loss, CVPR 2019; as the resampling of Cao et al., LDAM, NeurIPS 2019.
    """

    def __init__(
        self,
        labels: Indices,
        class_counts: Indices,
        randomness: Randomness,
        *,
        beta: float = 0.9999,
        stream: str = "order-effective-number",
    ) -> None:
        super().__init__(labels, effective_number_weights(class_counts, beta), randomness, stream)


class FromEpoch:
    """One order until an epoch, another from that epoch on.

    Args:
        first: the order of the epochs before `epoch`.
        then: the order of the others; as many samples an epoch as `first`.
        epoch: the first epoch of `then`, 0-based.
    """

    def __init__(self, first: Order, then: Order, epoch: int) -> None:
        if len(first) != len(then):
            raise ValueError(f"an epoch has the same length before and after the change, got {len(first)} and {len(then)}")
        self._first = first
        self._then = then
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._first)

    def __call__(self, epoch: int) -> Indices:
        """The samples of whichever order this epoch has."""
        return self._then(epoch) if epoch >= self._epoch else self._first(epoch)


class ClassAware:
    """Classes uniformly, and within a class its samples in turn.

    The classes come in rounds, each a new permutation of all classes that have a sample. A class hands out its samples in
    shuffled order and shuffles anew when all of them have been seen. An epoch is (largest class count) x (number of such
    classes) long, so the largest class is seen once and every other class as often as it.

    Args:
        labels: int64, shape (N,).
        randomness: the run's source of randomness.
        stream: the name under which rounds and samples are drawn.
        samples_per_class: consecutive samples that a class hands out at its turn.

    Source: the class-aware sampling of Shen et al., Relay Backpropagation, ECCV 2016, as OLTR (CVPR 2019) and Decoupling
    (ICLR 2020) use it.
    """

    def __init__(
        self, labels: Indices, randomness: Randomness, stream: str = "order-class-aware", samples_per_class: int = 1
    ) -> None:
        if samples_per_class < 1:
            raise ValueError(f"samples_per_class is at least 1, got {samples_per_class}")
        by_class = np.argsort(labels, kind="stable").astype(np.int64)
        _, counts = np.unique(labels, return_counts=True)
        self._members = np.split(by_class, np.cumsum(counts)[:-1])
        self._length = int(counts.max(initial=0)) * len(counts)
        self._randomness = randomness
        self._stream = stream
        self._samples_per_class = samples_per_class

    def __len__(self) -> int:
        return self._length

    def __call__(self, epoch: int) -> Indices:
        """The sample indices of one epoch."""
        if not self._length:
            return np.empty(0, dtype=np.int64)
        rng = self._randomness.generator(self._stream, epoch)
        classes, group = len(self._members), self._samples_per_class
        rounds = -(-self._length // (classes * group))
        turns = rng.permuted(np.tile(np.arange(classes), (rounds, 1)), axis=1)
        handed_out = np.stack([_cycled(members, rounds * group, rng) for members in self._members])
        taken: Indices = handed_out.reshape(classes, rounds, group)[turns, np.arange(rounds)[:, None]]
        return taken.reshape(-1)[: self._length]


def _cycled(members: Indices, length: int, rng: np.random.Generator) -> Indices:
    """The first `length` entries of shuffled copies of `members`, one copy after another."""
    cycles = -(-length // len(members))
    handed_out: Indices = rng.permuted(np.tile(members, (cycles, 1)), axis=1).reshape(-1)[:length]
    return handed_out
