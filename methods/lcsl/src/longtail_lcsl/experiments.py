"""The paper's experiments: what its script does for each data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Experiment:
    """What the script does for one data set.

    Args:
        dataset: as `--dataset` has it.
        title: as texts call it.
        num_classes: of the real data set.
        network: the label in names of files. On CIFAR it says ResNet32, though the network is a ResNet-34.
        arch: the network that is trained.
        folder: where the data lie below the root.
        data: the core's names of this data set, each with a file that shows that it is there, the paper's own form first.
        jitter: of brightness, contrast and saturation in the standard augmentation.
    """

    dataset: str
    title: str
    num_classes: int
    network: str
    arch: str
    folder: str
    data: tuple[tuple[str, str], ...]
    jitter: float = 0.0

    @property
    def is_cifar(self) -> bool:
        """Whether images are small and lie in memory, and the long tail is cut by a rule."""
        return self.dataset.startswith("cifar")

    def found(self, root: Path) -> str:
        """The core's name of the form that lies in this folder; the paper's own where there is none."""
        present = (name for name, file in self.data if (root / file).is_file())
        return next(present, self.data[0][0])


EXPERIMENTS = {
    each.dataset: each
    for each in (
        Experiment("cifar10", "CIFAR-10-LT", 10, "ResNet32", "cifar_resnet34", "", (("cifar10", ""),)),
        Experiment("cifar100", "CIFAR-100-LT", 100, "ResNet32", "cifar_resnet34", "", (("cifar100", ""),)),
        Experiment(
            "imagenet",
            "ImageNet-LT",
            1000,
            "ResNeXt50",
            "resnext50_32x4d",
            "ImageNet-LT",
            (("imagenet-lt-csv", "train.csv"), ("imagenet-lt", "ImageNet_LT_train.txt")),
            0.4,
        ),
        Experiment(
            "inaturalist",
            "iNaturalist 2018",
            8142,
            "ResNet50",
            "resnet50_plain",
            "",
            (("inat18-json", "train2018.json"), ("inat18", "iNaturalist18_train.txt")),
            0.4,
        ),
    )
}
