"""CMO for any data set: the method that the core finds through its entry point, and that the paper's scripts call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from longtail.training.method import MakeBackbone, Setting
from longtail.training.options import at_least, between, option
from longtail_cmo.schedules import LR_STEPS, PUBLISHED, Timing

if TYPE_CHECKING:
    from longtail.datasets.base import LongTailData
    from longtail.training.stage import Stage

LOSSES = {"CE": "ce", "LDAM": "ldam", "BS": "balanced_softmax"}
"""The paper's names of losses, and the core's."""
RULES = {"None": "none", "CBReweight": "reweight", "DRW": "drw"}
"""The paper's names of class weights, and the core's."""
DATA_AUGS = ("vanilla", "CMO")
"""Training without mixing and with it."""


@dataclass(frozen=True)
class CMOOptions:
    """The paper's settings; the defaults are those of its CIFAR-100-LT runs."""

    loss_type: str = option("BS", "loss: cross entropy, LDAM or balanced softmax", choices=tuple(LOSSES))
    train_rule: str = option("None", "class weights: none, effective-number weights, or those deferred", choices=tuple(RULES))
    data_aug: str = option("CMO", "mix, or train on the same data without mixing", choices=DATA_AUGS)
    mixup_prob: float = option(0.5, "share of batches that are mixed", type=between(0, 1))
    start_data_aug: int = option(3, "mix only after this 0-based epoch", type=at_least(-1))
    end_data_aug: int = option(3, "last epochs without mixing", type=at_least(0))
    weighted_alpha: float = option(
        1.0, "r of the foreground sampler: an image is drawn in proportion to (images of its class)^-r", type=between(0)
    )
    beta: float = option(1.0, "the mixing ratio is drawn from Beta(beta, beta)", type=between(0, least_excluded=True))
    use_randaug: bool = option(False, "strong augmentation with its own schedule")
    jitter: float = option(
        0.0, "brightness, contrast and saturation jitter without --use-randaug; 0.4 on ImageNet-LT", type=between(0, 1)
    )
    schedule: str = option("cifar", "whose fixed epochs: those of CIFAR, ImageNet-LT or iNaturalist", choices=tuple(PUBLISHED))
    lr_steps: tuple[int, ...] = option(
        LR_STEPS, "epochs that divide the rate by 10, with --use-randaug outside CIFAR", type=at_least(0), nargs="*"
    )
    cos: bool = option(False, "cosine schedule, with --use-randaug outside CIFAR")
    epochs: int = option(200, "epochs")
    batch_size: int = option(128, "batch size over all ranks")
    lr: float = option(0.1, "base learning rate")
    momentum: float = option(0.9, "SGD momentum")
    weight_decay: float = option(2e-4, "weight decay")
    fit_schedule: bool = option(True, "stretch the paper's fixed epochs to the epochs of this run")

    @property
    def timing(self) -> Timing:
        """The paper's fixed epochs in this run."""
        return Timing(self.schedule, self.use_randaug, self.epochs, self.fit_schedule, self.cos, self.lr_steps)


class CMOMethod:
    """CMO as a method."""

    name = "cmo"
    paper = "Context-rich Minority Oversampling (Park et al., CVPR 2022)"
    year = 2022
    cost = "1, and twice the loading"
    needs = "nothing"
    options = CMOOptions

    def build(self, data: LongTailData, backbone: MakeBackbone, options: CMOOptions, setting: Setting) -> Stage:
        """What trains with CMO, or without, on the same data."""
        from longtail_cmo.stage import create_stage

        return create_stage(data, backbone, options, setting)


METHOD = CMOMethod()
