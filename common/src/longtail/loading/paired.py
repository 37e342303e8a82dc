"""Two loaders side by side, the second one only where it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from longtail.loading.base import Batch, Loader, RandomAccessLoader


class Paired:
    """The batches of one loader, some of them with a partner from another.

    Step t is paired with the partner's step t; partner batches that nobody needs are not computed.

    Args:
        main: decides the number of steps.
        partner: has at least as many steps, and unless it is `whole` batches at least as large.
        needed: whether a batch gets a partner, a pure function of (epoch, step); called for all steps of an epoch at its
            beginning.
        whole: leave the partner's batches as they are; otherwise they are cut to the size of those that they go with.
    """

    def __init__(
        self, main: Loader, partner: RandomAccessLoader, needed: Callable[[int, int], bool], *, whole: bool = False
    ) -> None:
        if partner.steps < main.steps:
            raise ValueError(f"the partner has {partner.steps} steps, fewer than the {main.steps} of the loader it goes with")
        self._main = main
        self._partner = partner
        self._needed = needed
        self._whole = whole

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return self._main.steps

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `first_step` on; a pure function of its arguments."""
        wanted = [self._needed(epoch, step) for step in range(first_step, self.steps)]
        partners = self._partner.batches(epoch, [step for step, yes in enumerate(wanted, start=first_step) if yes])
        for batch, yes in zip(self._main.epoch(epoch, first_step), wanted, strict=True):
            yield batch._replace(partner=self._fitted(next(partners), batch)) if yes else batch

    def _fitted(self, partner: Batch, batch: Batch) -> Batch:
        return partner if self._whole else _cut(partner, batch)


def _cut(partner: Batch, batch: Batch) -> Batch:
    """The partner's first images, as many as the batch has."""
    count = len(batch.images)
    if partner.size < batch.size or (partner.size > batch.size and count < batch.size):
        # a slice of a larger global batch would not start where this rank's slice starts
        raise ValueError(f"a global batch of {batch.size} images cannot be paired with one of {partner.size} on several ranks")
    return Batch(partner.images[:count], partner.labels[:count], partner.indices[:count], batch.size)
