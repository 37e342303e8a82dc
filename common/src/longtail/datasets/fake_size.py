"""What the writers of fake data and the readers of real data agree on."""

from __future__ import annotations

from dataclasses import asdict, dataclass

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
