"""Plain training (empirical risk minimisation) with any loss, class weights and epoch order: the baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from longtail.names import AUGMENTATIONS, AUGMENTATIONS_IN_WORDS, LOSSES, TRAIN_RULES
from longtail.training.method import MakeBackbone, Setting
from longtail.training.options import between, option

if TYPE_CHECKING:
    from longtail.datasets.base import LongTailData
    from longtail.training.stage import Stage


@dataclass(frozen=True)
class ERMOptions:
    """Settings of plain training; the defaults are the CIFAR recipe of the LDAM family."""

    loss: str = option("ce", "loss function", choices=LOSSES)
    train_rule: str = option("none", "class weights: none, effective-number weights, or those deferred", choices=TRAIN_RULES)
    order: str = option("shuffled", "epoch order", choices=("shuffled", "class_weighted", "class_aware"))
    sampling_power: float = option(
        1.0, "r of the class_weighted order: sample weight is (images of its class)^-r", type=between(0)
    )
    epochs: int = option(200, "epochs")
    batch_size: int = option(128, "batch size over all ranks")
    lr: float = option(0.1, "base learning rate")
    momentum: float = option(0.9, "SGD momentum")
    weight_decay: float = option(2e-4, "weight decay")
    schedule: str = option(
        "step", "the LDAM family's steps, stretched to the epochs, or warm-up and cosine", choices=("step", "cosine")
    )
    augmentation: str = option("standard", AUGMENTATIONS_IN_WORDS, choices=AUGMENTATIONS)
    jitter: float = option(
        0.0, "strength of brightness, contrast and saturation jitter after crop and flip; papers take 0.4", type=between(0, 1)
    )


class ERM:
    """Plain training as a method."""

    name = "erm"
    paper = "plain training: any loss, class weights and epoch order"
    year = None
    cost = "1"
    needs = "nothing"
    options = ERMOptions

    def build(self, data: LongTailData, backbone: MakeBackbone, options: ERMOptions, setting: Setting) -> Stage:
        """What trains with the loss as it is."""
        from longtail.training.plain import create_stage

        return create_stage(data, backbone, options, setting)


METHOD = ERM()
