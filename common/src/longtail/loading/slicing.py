"""What the loaders have in common: an epoch is cut into global batches, and each of those into one slice for every rank."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import torch

from longtail.distributed import Ranks, slice_of
from longtail.errors import UserError
from longtail.loading.augment import Augmentation
from longtail.loading.base import Batch
from longtail.loading.framing import Framed
from longtail.loading.normalise import Normalise
from longtail.loading.orders import Order
from longtail.randomness import Randomness


class SlicedLoader(ABC):
    """A loader whose batch is a pure function of (seed, epoch, step).

    What happens to a sample depends neither on the batch size nor on the rank or the number of ranks, which only slice the
    global batches: rank r takes the r-th of `world_size` contiguous parts, the first ones larger by one image if it does not
    come out even. No image is repeated to fill a batch; a small last batch may leave a rank none.

    Args:
        order: the epoch orders, of indices into the data set.
        batch_size: images of a global batch, over all ranks.
        mean, std: per-channel normalisation of values in [0, 1].
        randomness: the run's source of randomness; needed if there is an augmentation.
        augmentation: what happens to the images, or None.
        stream: the name under which the augmentation draws.
        device: where batches are yielded.
        rank, world_size: which part of every global batch is yielded.
        drop_last: leave out the last batch of an epoch if it is smaller than the others.

    Raises:
        UserError: no batch is left, because the last one is left out and there are fewer samples than `batch_size`.
    """

    def __init__(
        self,
        order: Order,
        *,
        batch_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        randomness: Randomness | None,
        augmentation: Augmentation | Framed | None,
        stream: str,
        device: torch.device | str,
        rank: int,
        world_size: int,
        drop_last: bool,
    ) -> None:
        if augmentation is not None and randomness is None:
            raise ValueError("an augmentation needs a source of randomness")
        if batch_size < 1 or not 0 <= rank < world_size:
            raise ValueError(
                f"a batch has at least one image and a rank is one of world_size, got {batch_size=} {rank=} {world_size=}"
            )
        if drop_last and len(order) < batch_size:
            raise UserError(
                f"there are {len(order)} samples, fewer than a batch of {batch_size}, and incomplete batches are left out"
            )
        self._order = order
        self._batch_size = batch_size
        self._randomness = randomness
        self._stream = stream
        self._device = torch.device(device)
        self._place = Ranks(rank, world_size=world_size)
        self._drop_last = drop_last
        self._normalise = Normalise(mean, std, self._device)

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        full, rest = divmod(len(self._order), self._batch_size)
        return full if self._drop_last or not rest else full + 1

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `first_step` on; a pure function of its arguments."""
        return self.batches(epoch, range(first_step, self.steps))

    def batch(self, epoch: int, step: int) -> Batch:
        """One batch of an epoch."""
        return next(self.batches(epoch, (step,)))

    def batches(self, epoch: int, steps: Iterable[int]) -> Iterator[Batch]:
        """The batches of these steps of an epoch, in the order of `steps`; the same ones that `epoch` yields."""
        chosen = list(steps)
        if chosen and not 0 <= min(chosen) <= max(chosen) < self.steps:
            raise ValueError(f"an epoch has the steps 0 to {self.steps - 1}, got {min(chosen)} to {max(chosen)}")
        return self._batches(epoch, chosen)

    @abstractmethod
    def _batches(self, epoch: int, steps: Sequence[int]) -> Iterator[Batch]:
        """The batches of these steps, all of which the epoch has."""

    def _part(self, step: int) -> tuple[int, slice]:
        """The size of the global batch, and this rank's positions of it in the epoch order."""
        first = step * self._batch_size
        size = min(self._batch_size, len(self._order) - first)
        own = slice_of(size, self._place)
        return size, slice(first + own.start, first + own.stop)
