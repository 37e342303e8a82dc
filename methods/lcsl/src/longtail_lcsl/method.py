"""LCSL for any data set: the method that the core finds through its entry point, and that the paper's script calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from longtail.names import AUGMENTATIONS, AUGMENTATIONS_IN_WORDS
from longtail.training.method import MakeBackbone, Setting
from longtail.training.options import at_least, between, option

if TYPE_CHECKING:
    from longtail.datasets.base import LongTailData
    from longtail.training.stage import Stage


@dataclass(frozen=True)
class LCSLOptions:
    """The paper's settings; the defaults are those of its published command."""

    alpha: float = option(1.0, "weight of the mixup loss", type=between(0))
    beta: float = option(1.0, "weight of the self-labelling loss; 0 is plain mixup", type=between(0))
    confidence: float = option(0.5, "least confidence of a label that the teacher gives", type=between(0))
    tau: float = option(1.0, "temperature of the teacher's confidence", type=between(0, least_excluded=True))
    normalise_teacher: bool = option(True, "give the rows of the teacher's classifier length 1")
    augmentation: str = option("standard", AUGMENTATIONS_IN_WORDS, choices=AUGMENTATIONS)
    jitter: float = option(
        0.0,
        "strength of brightness, contrast and saturation jitter after crop and flip; the paper takes 0.4 for images in files",
        type=between(0, 1),
    )
    epochs: int = option(300, "epochs")
    warmup_epochs: int = option(10, "epochs of linear warm-up", type=at_least(0))
    batch_size: int = option(64, "batch size over all ranks")
    lr: float = option(0.01, "base learning rate")
    weight_decay: float = option(5e-3, "weight decay")


class LCSLMethod:
    """LCSL as a method."""

    name = "lcsl"
    paper = "Long-tailed Classification via Self-Labeling (Vu et al., IEEE TCSVT 2024)"
    year = 2024
    cost = "about 1.5"
    needs = "nothing"
    options = LCSLOptions

    def build(self, data: LongTailData, backbone: MakeBackbone, options: LCSLOptions, setting: Setting) -> Stage:
        """What trains with LCSL."""
        from longtail_lcsl.stage import create_stage

        return create_stage(data, backbone, options, setting)


METHOD = LCSLMethod()
