"""CADEL for any data set and any network of stages: the method that the core finds through its entry point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from longtail.names import AUGMENTATIONS, AUGMENTATIONS_IN_WORDS
from longtail.training.method import MakeBackbone, Setting
from longtail.training.options import at_least, between, option
from longtail_cadel.eval_heads import heads

if TYPE_CHECKING:
    from longtail.datasets.base import LongTailData
    from longtail.training.stage import Stage


@dataclass(frozen=True)
class CADELOptions:
    """The paper's settings; the defaults are those of most of its configurations. None is what the network's family takes."""

    bins: int = option(8, "bins of the ensemble confidence", type=at_least(1))
    gamma: float = option(1.0, "what the share of the batch in a sample's bin adds to its weight", type=between(0))
    base_weight: float = option(2.0, "weight of a sample without that", type=between(0))
    per_sample_weight: bool = option(
        False, "in convolutional networks, weight each sample's own loss; the authors' code weights the mean loss"
    )
    mixup: float = option(0.5, "alpha of mixup's Beta(alpha, alpha); 0 is no mixup", type=between(0))
    eval_heads: str | None = option(
        None,
        "heads that predict: last, all, or some of 1,2,3 (default: last; all in transformers)",
        type=heads,
        metavar="HEADS",
    )
    taus: tuple[float, ...] | None = option(
        None,
        "strengths of the prior correction among which validation decides after training, none for no such stage "
        "(default: 0.9 to 1.5 by 0.1; 1.3 to 1.8 in transformers)",
        type=between(0),
        nargs="*",
        metavar="TAU",
    )
    augmentation: str = option("standard", AUGMENTATIONS_IN_WORDS, choices=AUGMENTATIONS)
    jitter: float = option(
        0.0,
        "strength of brightness, contrast and saturation jitter after crop and flip; the paper takes 0.4 on ImageNet-LT and "
        "Places-LT",
        type=between(0, 1),
    )
    epochs: int | None = option(None, "epochs (default: 200; 100 for transformers)")
    batch_size: int = option(128, "batch size over all ranks; a smaller last batch is left out")
    lr: float | None = option(None, "base learning rate (default: 0.025; 0.0005 for transformers)")
    weight_decay: float | None = option(None, "weight decay (default: 0.0005; 0.05 for transformers)")
    momentum: float = option(0.9, "SGD momentum; convolutional networks")
    end_lr: float = option(0.0, "learning rate that the cosine ends with; convolutional networks", type=between(0))
    warmup_epochs: int = option(5, "epochs of linear warm-up; transformers", type=at_least(0))
    min_lr: float = option(1e-7, "least learning rate; transformers", type=between(0))
    layer_decay: float = option(
        0.75,
        "factor of the learning rate from one block to the one before; transformers",
        type=between(0, 1, least_excluded=True),
    )
    beta2: float = option(0.99, "AdamW's second beta; transformers", type=between(0, 0.99999))


class CADELMethod:
    """CADEL as a method."""

    name = "cadel"
    paper = "Long-tailed Classification via CAscaded Deep Ensemble Learning (Chen et al., 2023)"
    year = 2023
    cost = "about 1.3 on a transformer, 2.3 on a ResNet-32, 12 on a ResNet-50"
    needs = "validation images for its second stage"
    options = CADELOptions

    def build(self, data: LongTailData, backbone: MakeBackbone, options: CADELOptions, setting: Setting) -> Stage:
        """What trains a network with CADEL's heads, and then searches for the best prior correction."""
        from longtail_cadel.stage import create_stage

        return create_stage(data, backbone, options, setting)


METHOD = CADELMethod()
