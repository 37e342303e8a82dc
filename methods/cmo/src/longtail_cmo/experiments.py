"""The paper's experiments: what each of its training scripts fixes, besides what flags say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Experiment:
    """What one of the paper's training scripts fixes.

    Args:
        dataset: the data set as `--dataset` has it.
        data: the same, as the core calls it.
        title: as texts call it.
        script: the training script.
        num_classes: of the real data set, the default of `--num_classes`.
        arch: the default network.
        schedule: a key of `schedules.PUBLISHED`.
        jitter: colour jitter without strong augmentation.
        few_inclusive: a class with exactly 20 training images counts as few-shot in the lines that are printed.
    """

    dataset: str
    data: str
    title: str
    script: str
    num_classes: int
    arch: str
    schedule: str
    jitter: float = 0.0
    few_inclusive: bool = False

    @property
    def is_cifar(self) -> bool:
        """Whether images are small and lie in memory, and the long tail is cut by a rule."""
        return self.schedule == "cifar"


CIFAR = Experiment("cifar100", "cifar100", "CIFAR-100-LT", "cifar_train.py", 100, "resnet32", "cifar")
IMAGENET = Experiment(
    "Imagenet-LT", "imagenet-lt", "ImageNet-LT", "imagenet_train.py", 1000, "resnet50", "imagenet", 0.4, few_inclusive=True
)
INAT = Experiment("iNat18", "inat18", "iNaturalist 2018", "inat_train.py", 8142, "resnet50", "inat", few_inclusive=True)
EXPERIMENTS = {each.dataset: each for each in (CIFAR, IMAGENET, INAT)}
