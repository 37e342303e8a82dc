"""What the writers of fake data and the readers of real data agree on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from longtail.errors import UserError

MARKER = "longtail-fake.json"
"""File that marks a folder as generated, says how, and holds the checksums that the CIFAR reader accepts there."""


@dataclass(frozen=True)
class FakeSize:
    """How much to generate.

    Args:
        num_classes: number of classes.
        largest_class: training images of the largest class. In the CIFAR archives, which are balanced, of every class.
        test_per_class: images per class of each evaluation part.
    """

    num_classes: int
    largest_class: int
    test_per_class: int

    def __post_init__(self) -> None:
        """Raises UserError for a size below one."""
        for field, value in asdict(self).items():
            if value < 1:
                raise UserError(f"fake data needs {field.replace('_', ' ')} of at least 1, got {value}")


@dataclass(frozen=True)
class Generated:
    """What the marker says of a generated data set.

    Args:
        layout: whose form it has.
        size: how much was generated.
    """

    layout: str
    size: FakeSize


def generated(folder: Path) -> Generated | None:
    """What the marker in this folder says, or None where there is no marker.

    Raises:
        UserError: the marker is damaged.
    """
    marker = folder / MARKER
    if not marker.is_file():
        return None
    try:
        told = dict(json.loads(marker.read_text(encoding="utf-8")))
        return Generated(str(told["layout"]), FakeSize(**{each.name: int(told[each.name]) for each in fields(FakeSize)}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{marker} is damaged; delete {folder} and generate the fake data again") from error
