"""What is known of the long-tailed data sets that are given by lists: ImageNet-LT, Places-LT, iNaturalist 2018."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from longtail.datasets.base import Indices
from longtail.datasets.list_forms import IMAGES, LINES, ROWS, ListForm

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Extent:
    """How much is in a list.

    Args:
        images: number of images.
        num_classes: classes that have images.
        smallest, largest: images of the smallest and of the largest class.
    """

    images: int
    num_classes: int
    smallest: int
    largest: int

    @classmethod
    def balanced(cls, num_classes: int, per_class: int) -> Extent:
        """That of a list with the same number of images for every class."""
        return cls(num_classes * per_class, num_classes, per_class, per_class)

    @classmethod
    def of(cls, counts: Indices) -> Extent:
        """That of a list with these images per class."""
        there = counts[counts > 0]
        return cls(int(there.sum()), len(there), int(there.min()), int(there.max()))

    def __str__(self) -> str:
        per_class = f"{self.smallest}" if self.smallest == self.largest else f"{self.smallest} to {self.largest}"
        return f"{self.images} images of {self.num_classes} classes, {per_class} a class"


@dataclass(frozen=True)
class Published:
    """What is known of one data set.

    Args:
        title: its name in the papers.
        files: its lists: `train`, `test`, and `val` where there is a list of images that are neither trained nor tested on.
        sizes: what the lists hold, where that is fixed.
        train_sha256: of the training images per class, joined by commas, in the order of the labels.
        images: where the images lie below the root.
        folder: where its code keeps the lists; None for the root.
        form: how the lists are written.
        origin: where its files come from, in a sentence.
        mean, std: per-channel normalisation.
        flat: folder of the lists' paths that its publishers pack without the class folders in it; None if there is none.
        other_files: other names that its lists go by, each set of them complete.
        binding: whether a training list that is not the published one is an error. Where none is published in this form, it is
            one that others have written.
    """

    title: str
    files: Mapping[str, str]
    sizes: Mapping[str, Extent]
    train_sha256: str
    images: str
    folder: str | None = None
    form: ListForm = LINES
    origin: str = "Lists and images come from their publishers."
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    flat: str | None = None
    other_files: tuple[Mapping[str, str], ...] = ()
    binding: bool = True


_IMAGENET_LT = Published(
    title="ImageNet-LT",
    files={"train": "ImageNet_LT_train.txt", "val": "ImageNet_LT_val.txt", "test": "ImageNet_LT_test.txt"},
    sizes={
        "train": Extent(115_846, 1000, 5, 1280),
        "val": Extent.balanced(1000, 20),
        "test": Extent.balanced(1000, 50),
    },
    train_sha256="93782c2e7eda453ae409fed503a27bc8d430ecb583c7d4b3c3adc93c2887236e",
    images="train/WNID/ and val/WNID/ (ILSVRC 2012; its validation images may also lie straight in val/)",
    folder="ImageNet_LT",
    flat="val",
    other_files=({"train": "train.txt", "val": "val.txt", "test": "test.txt"},),
)

_INAT18 = Published(
    title="iNaturalist 2018",
    files={"train": "iNaturalist18_train.txt", "test": "iNaturalist18_val.txt"},
    sizes={"train": Extent(437_513, 8142, 2, 1000), "test": Extent.balanced(8142, 3)},
    train_sha256="15490ddfe172c58cd927af79e69246707fc5eaf2e4e8da7e9f3325e6d00988a0",
    images="train_val2018/KINGDOM/ID/",
    folder="iNaturalist18",
    other_files=({"train": "train.txt", "test": "val.txt"},),
    mean=(0.466, 0.471, 0.380),
    std=(0.195, 0.194, 0.192),
)

LISTS = {
    "imagenet-lt": _IMAGENET_LT,
    "places-lt": Published(
        title="Places-LT",
        files={"train": "Places_LT_train.txt", "val": "Places_LT_val.txt", "test": "Places_LT_test.txt"},
        sizes={
            "train": Extent(62_500, 365, 5, 4980),
            "val": Extent.balanced(365, 20),
            "test": Extent.balanced(365, 100),
        },
        train_sha256="50c3529becbfdca5cdc4048a8354c1312370d86de7f11ac75d99e7987aba9cea",
        images="train/SCENE/ and val/SCENE/ (Places365, small images)",
        folder="Places_LT",
        other_files=_IMAGENET_LT.other_files,
    ),
    "inat18": _INAT18,
    "imagenet-lt-csv": replace(
        _IMAGENET_LT,
        files={"train": "train.csv", "test": "val.csv"},
        sizes={"train": _IMAGENET_LT.sizes["train"]},
        images="SPLIT_FOLDER/CLASS_INDEX/FILE_NAME, classes 0 to 999",
        folder=None,
        other_files=(),
        form=ROWS,
        origin="No lists are published in this form: a line is `split_folder,class_index,file_name`, and there is no header.",
        binding=False,
    ),
    "inat18-json": replace(
        _INAT18,
        files={"train": "train2018.json", "test": "val2018.json"},
        folder=None,
        other_files=(),
        form=IMAGES,
    ),
}
"""Long-tailed by publication. Lists: Liu et al., CVPR 2019 (ImageNet-LT, Places-LT); Kang et al., ICLR 2020 (iNaturalist).

The forms `imagenet-lt-csv` and `inat18-json` are those that LCSL reads (Vu et al., TCSVT 2024); the latter are the files of the
iNaturalist competition of 2018.
"""
