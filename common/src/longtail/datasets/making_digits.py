"""The embedded digits as image files: a folder like one's own, for those who have no images at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from longtail.datasets.base import ArrayImages, ImageData
from longtail.datasets.contents import Contents, Sample
from longtail.datasets.digits import load_digits


@dataclass(frozen=True)
class DigitsLT:
    """The digits with their long tail, and their balanced test images.

    Args:
        imbalance_factor, profile: see `splits.class_counts`.
        split_seed: see `splits.long_tailed_subset`; None keeps the first images of each class.
    """

    imbalance_factor: float = 0.01
    profile: str = "exp"
    split_seed: int | None = None

    def contents(self, source: Path, *, in_place: bool = False) -> Contents:
        """The images of both parts.

        Raises:
            UserError: scikit-learn is not installed, or the split is impossible.
        """
        data = load_digits(imbalance_factor=self.imbalance_factor, profile=self.profile, split_seed=self.split_seed)
        parts = {"train": data.train, "test": data.test}

        def write(picture: tuple[str, int], path: Path) -> None:
            part, number = picture
            images = parts[part].images
            assert isinstance(images, ArrayImages)
            Image.fromarray(images.array[number]).save(path, format="PNG")

        which = "the first ones of each class" if self.split_seed is None else f"drawn with split seed {self.split_seed}"
        samples = {part: _samples(part, of_part) for part, of_part in parts.items()}
        return Contents(data.train.class_names, samples, write, fake=False, remark=which)


def _samples(part: str, data: ImageData) -> list[Sample]:
    return [
        Sample(label, f"images/{data.class_names[label]}/{part}_{number:04d}.png", (part, number))
        for number, label in enumerate(data.labels.tolist())
    ]
