"""DPA-EI for any data set: the method that the core finds through its entry point, and that the paper's scripts call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from longtail.names import AUGMENTATIONS, AUGMENTATIONS_IN_WORDS
from longtail.training.method import MakeBackbone, Setting
from longtail.training.options import at_least, between, option
from longtail_dpa_ei.schedules import Timing

if TYPE_CHECKING:
    from longtail.datasets.base import LongTailData
    from longtail.training.stage import Stage


@dataclass(frozen=True)
class DPAEIOptions:
    """The paper's settings; the defaults are those of its CIFAR runs."""

    lam: float = option(0.5, "strength of implicit augmentation at the end; it grows with the epoch", type=between(0))
    meta_lr: float = option(0.1, "step size of the covariances", type=between(0))
    num_meta: int = option(
        10, "images of each class that leave the training set for the meta set, where the data bring none", type=at_least(1)
    )
    margins: bool = option(True, "label-distribution-aware margins in the implicit stage")
    augmentation: str = option("reflect", AUGMENTATIONS_IN_WORDS, choices=AUGMENTATIONS)
    switch_epoch: int = option(
        160, "first 0-based epoch of the implicit stage, where the learning rate falls too", type=at_least(0)
    )
    decay_epoch: int = option(180, "epoch at which the learning rate falls again", type=at_least(0))
    epochs: int = option(200, "epochs")
    batch_size: int = option(100, "batch size over all ranks, of training images and of meta images")
    lr: float = option(0.1, "base learning rate")
    momentum: float = option(0.9, "SGD momentum")
    nesterov: bool = option(True, "Nesterov's momentum")
    weight_decay: float = option(5e-4, "weight decay")
    fit_schedule: bool = option(True, "stretch the paper's fixed epochs to the epochs of this run")

    @property
    def timing(self) -> Timing:
        """The paper's fixed epochs in this run."""
        timing = Timing(self.switch_epoch, self.decay_epoch)
        return timing.fitted(self.epochs) if self.fit_schedule else timing


class DPAEIMethod:
    """DPA-EI as a method."""

    name = "dpa_ei"
    paper = "DPA-EI: dual progressive augmentation (Zhao et al., Knowledge-Based Systems 2025)"
    year = 2025
    cost = "1 in its first epochs, more in the last fifth"
    needs = "a balanced meta set, taken from the training images"
    options = DPAEIOptions

    def build(self, data: LongTailData, backbone: MakeBackbone, options: DPAEIOptions, setting: Setting) -> Stage:
        """A stage with two kinds of epochs."""
        from longtail_dpa_ei.stage import create_stage

        return create_stage(data, backbone, options, setting)


METHOD = DPAEIMethod()
