"""Paired loaders: partners where they are needed, and no work where they are not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import torch
from pillow_reference import varied_images

from longtail.datasets.base import ArrayImages, ImageData
from longtail.loading import Batch, ClassWeighted, Paired, Shuffled, cifar_standard, create_loader
from longtail.randomness import Randomness

RANDOMNESS = Randomness(5)
LABELS = np.repeat(np.arange(3), (20, 8, 2))
DATA = ImageData(ArrayImages(varied_images(30, 8, 8).numpy()), LABELS, ("a", "b", "c"))


def make_pair(needed, batch_size=8, partner_size=None, **options) -> Paired:
    options |= {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2), "randomness": RANDOMNESS, "augmentation": cifar_standard(8, 1)}
    main = create_loader(DATA, Shuffled(30, RANDOMNESS), batch_size=batch_size, **options)
    order = ClassWeighted(LABELS, DATA.class_counts, 1.0, RANDOMNESS)
    partner = create_loader(DATA, order, batch_size=partner_size or batch_size, stream="partner", **options)
    return Paired(main, partner, needed)


class Recorder:
    """A partner that notes for which steps it was asked, when it computes them."""

    steps = 4

    def __init__(self) -> None:
        self.computed: list[tuple[int, int]] = []

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        return self.batches(epoch, range(first_step, self.steps))

    def batches(self, epoch: int, steps: Iterable[int]) -> Iterator[Batch]:
        for step in steps:
            self.computed.append((epoch, step))
            yield Batch(torch.full((8, 3, 8, 8), step), torch.full((8,), step), torch.full((8,), step), 8)


def test_partners_come_only_where_they_are_needed():
    partner = Recorder()
    pair = make_pair(lambda epoch, step: (epoch + step) % 2 == 1)
    pair = Paired(pair._main, partner, pair._needed)
    assert pair.steps == 4
    partners = [batch.partner for batch in pair.epoch(2)]
    assert [None if batch is None else int(batch.labels[0]) for batch in partners] == [None, 1, None, 3]
    assert partner.computed == [(2, 1), (2, 3)]
    assert [batch.partner is None for batch in pair.epoch(3, first_step=1)] == [True, False, True]
    assert partner.computed[2:] == [(3, 2)]


def test_nothing_is_computed_for_nobody():
    partner = Recorder()
    list(Paired(make_pair(lambda *_: False)._main, partner, lambda *_: False).epoch(0))
    assert partner.computed == []


def test_a_partner_is_cut_to_its_batch():
    partners = [batch.partner for batch in Paired(make_pair(lambda *_: True)._main, Recorder(), lambda *_: True).epoch(0)]
    for partner, size in zip(partners, (8, 8, 8, 6), strict=True):
        assert len(partner.images) == len(partner.labels) == len(partner.indices) == partner.size == size


def test_a_whole_partner_stays_as_it_is():
    pair = Paired(make_pair(lambda *_: True)._main, Recorder(), lambda *_: True, whole=True)
    assert [(batch.size, batch.partner.size, len(batch.partner.images)) for batch in pair.epoch(0)] == [(8, 8, 8)] * 3 + [
        (6, 8, 8)
    ]


def test_a_partner_does_not_depend_on_who_else_has_one():
    everywhere = list(make_pair(lambda *_: True).epoch(1))
    somewhere = list(make_pair(lambda _, step: step in (1, 2)).epoch(1))
    later = list(make_pair(lambda *_: True).epoch(1, first_step=2))
    for step in (1, 2):
        for one, other in zip(everywhere[step].partner, somewhere[step].partner, strict=True):
            assert one is other is None or (one == other if isinstance(one, int) else torch.equal(one, other))
    assert torch.equal(later[0].partner.images, everywhere[2].partner.images)
    assert torch.equal(somewhere[0].images, everywhere[0].images)
    assert everywhere[0].partner.labels.bincount(minlength=3).tolist() != [8, 0, 0]


def test_ranks_hold_slices_of_the_pairs():
    whole = list(make_pair(lambda *_: True).epoch(0))
    ranks = [list(make_pair(lambda *_: True, rank=rank, world_size=3).epoch(0)) for rank in range(3)]
    for step, batch in enumerate(whole):
        assert torch.equal(torch.cat([rank[step].partner.images for rank in ranks]), batch.partner.images)
        assert {rank[step].partner.size for rank in ranks} == {batch.size}


def test_partners_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 steps, fewer than the 4"):
        make_pair(lambda *_: True, partner_size=10)
    with pytest.raises(ValueError, match="batch of 8 images cannot be paired with one of 7"):
        list(make_pair(lambda *_: True, partner_size=7).epoch(0))
