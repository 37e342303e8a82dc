"""A look at a data set before it is trained on: its sizes, its pictures, what occurs twice, what cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longtail.datasets.base import PARTS, ImageData, Indices
from longtail.datasets.copies import copies_in_memory, copies_of, told_of_copies
from longtail.datasets.findings import ERROR, LEVELS, Finding, shown
from longtail.datasets.picture_files import Pictures, Told, files_of, look_at_all
from longtail.metrics import ShotThresholds, adapted_thresholds


@dataclass(frozen=True)
class Inspection:
    """What was found out about a data set.

    Args:
        name: the data set's.
        form: how it was given, in a few words.
        class_names: C names.
        counts: images per class of each part, int64, each of shape (C,).
        thresholds: the shot groups that training would go by.
        pictures: what the files are; None of images in memory.
        findings: what is to be told, the worst first.
    """

    name: str
    form: str
    class_names: tuple[str, ...]
    counts: Mapping[str, Indices]
    thresholds: ShotThresholds
    pictures: Pictures | None
    findings: tuple[Finding, ...]

    @property
    def can_train(self) -> bool:
        """Whether nothing prevents training."""
        return not any(each.level == ERROR for each in self.findings)

    @property
    def train_counts(self) -> Indices:
        """Training images per class, int64, shape (C,)."""
        return self.counts.get("train", np.zeros(len(self.class_names), dtype=np.int64))

    @property
    def imbalance_factor(self) -> float | None:
        """Smallest class divided by the largest, of those that have training images; None where none has."""
        known = self.train_counts[self.train_counts > 0]
        return float(known.min() / known.max()) if len(known) else None

    def groups(self) -> dict[str, int]:
        """How many classes each shot group has."""
        return {name: int(members.sum()) for name, members in self.thresholds.groups(self.train_counts)._asdict().items()}

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        by_class = zip(*(counts.tolist() for counts in self.counts.values()), strict=True)
        return {
            "format": 1,
            "name": self.name,
            "form": self.form,
            "can_train": self.can_train,
            "images": {part: int(counts.sum()) for part, counts in self.counts.items()},
            "classes": [
                {"name": shown(name), **dict(zip(self.counts, counts, strict=True))}
                for name, counts in zip(self.class_names, by_class, strict=True)
            ],
            "imbalance_factor": self.imbalance_factor,
            "shot_thresholds": {"many": self.thresholds.many, "few": self.thresholds.few},
            "shot_groups": self.groups(),
            "pictures": None if self.pictures is None else asdict(self.pictures),
            "findings": [{**asdict(finding), "items": [shown(item) for item in finding.items]} for finding in self.findings],
        }


def inspect_parts(
    parts: Mapping[str, ImageData],
    *,
    name: str,
    form: str,
    findings: Sequence[Finding] = (),
    adapt: bool = True,
    decode: bool = False,
    progress: Told | None = None,
) -> Inspection:
    """Look at the images of a data set.

    Headers of all files are read; the pixels where `decode` asks for it, where the pictures are small or few enough to take
    a few seconds, and where a file seems to be cut off. Files of one length are compared by their contents.

    Args:
        parts: some of `train`, `val` and `test`.
        name, form: see `Inspection`.
        findings: what is known already.
        adapt: adapt the shot thresholds to the data, as training on one's own data does.
        decode: read all pixels.
        progress: is told how far it is.
    """
    told = progress or _nobody
    counts = {part: parts[part].class_counts for part in PARTS if part in parts}
    class_names = next(iter(parts.values())).class_names if parts else ()
    files = [file for part in counts for file in files_of(part, parts[part])]
    pictures, seen = look_at_all(files, decode, told) if files else (None, [])
    copies = copies_of(files, told) if files else copies_in_memory({part: parts[part] for part in counts})
    found = sorted([*findings, *seen, *told_of_copies(copies, class_names)], key=lambda each: LEVELS.index(each.level))
    train = counts.get("train", np.zeros(len(class_names), dtype=np.int64))
    thresholds = adapted_thresholds(train) if adapt else ShotThresholds()
    return Inspection(name, form, class_names, counts, thresholds, pictures, tuple(found))


def _nobody(_what: str, _done: int, _of: int) -> None:
    """Nobody wants to know how far it is."""
