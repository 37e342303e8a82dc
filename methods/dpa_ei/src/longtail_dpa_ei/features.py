"""Features that are computed once, for networks that do not change."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from longtail.backbones import Backbone
from longtail.datasets.base import ImageData, Indices, LongTailData
from longtail.distributed import gather_rows
from longtail.loading.base import Batch
from longtail.loading.orders import Order, Sequential
from longtail.loading.slicing import SlicedLoader
from longtail.loading.transfer import to_device
from longtail.training.devices import autocast, in_memory_format
from longtail.training.method import Setting


class FeatureLoader(SlicedLoader):
    """Batches of features, shape (B, A), in place of images.

    Args:
        features: of all samples, shape (N, A), on the device of the batches.
        labels: int64, shape (N,).
        order: the epoch orders.
        batch_size, rank, world_size: see `SlicedLoader`.
    """

    def __init__(
        self, features: Tensor, labels: Indices, order: Order, *, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        super().__init__(
            order,
            batch_size=batch_size,
            mean=(0.0,) * 3,
            std=(1.0,) * 3,
            randomness=None,
            augmentation=None,
            stream="",
            device=features.device,
            rank=rank,
            world_size=world_size,
            drop_last=False,
        )
        self._features = features
        self._labels = to_device(labels, features.device)

    def _batches(self, epoch: int, steps: Sequence[int]) -> Iterator[Batch]:
        indices = to_device(self._order(epoch), self._features.device)
        for size, positions in map(self._part, steps):
            chosen = indices[positions]
            yield Batch(self._features.index_select(0, chosen), self._labels.index_select(0, chosen), chosen, size)


class FeatureCache:
    """The features of whole parts of a data set without augmentation, each computed when it is first asked for.

    Ranks share the work, and all of them hold all features. A run that is bounded by `--max-steps` computes only the first
    batches, and repeats the last image's features for the rest.

    Args:
        network: whose features these are; put into evaluation mode.
        data: the data set.
        setting: where the run takes place.
        batch_size: of the computation, over all ranks.
    """

    def __init__(self, network: Backbone, data: LongTailData, setting: Setting, batch_size: int) -> None:
        self._network = network
        self._data = data
        self._setting = setting
        self._batch_size = batch_size
        self._known: list[tuple[ImageData, Tensor]] = []

    def loader(self, part: ImageData, order: Order | None = None, *, batch_size: int) -> FeatureLoader:
        """A loader of a part's features, in order unless another one is given."""
        ranks = self._setting.ranks
        return FeatureLoader(
            self.features(part),
            part.labels,
            order or Sequential(len(part)),
            batch_size=batch_size,
            rank=ranks.rank,
            world_size=ranks.world_size,
        )

    def features(self, part: ImageData) -> Tensor:
        """Features of a part's images, shape (N, A)."""
        known = next((features for each, features in self._known if each is part), None)
        if known is None:
            known = self._compute(part)
            self._known.append((part, known))
        return known

    @torch.no_grad()
    def _compute(self, part: ImageData) -> Tensor:
        setting, options = self._setting, self._setting.runtime
        self._network.eval()
        if setting.ranks.is_first:
            print(f"computing the features of {len(part)} images, once", file=sys.stderr)
        loader = setting.in_order(self._data, part, batch_size=self._batch_size)
        found = []
        for batch in islice(loader.epoch(0), options.max_steps):
            with autocast(setting.device, options.precision):
                features = self._network.features(in_memory_format(batch, options).images)
            found.append(gather_rows(features.float()))
        features = torch.cat(found)
        missing = len(part) - len(features)
        return torch.cat([features, features[-1:].expand(missing, -1)]) if missing else features
