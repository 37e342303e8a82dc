"""CADEL for any data set and any network of stages: the method that the core finds, and that the paper's scripts call."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace

import torch

from longtail.backbones import StagedBackbone
from longtail.datasets.base import LongTailData
from longtail.errors import UserError
from longtail.loading.orders import Shuffled
from longtail.loading.presets import AUGMENTATIONS, AUGMENTATIONS_IN_WORDS, create_augmentation
from longtail.training.devices import place
from longtail.training.method import MakeBackbone, Setting
from longtail.training.mixup import mixup
from longtail.training.options import at_least, between, option
from longtail.training.stage import Stage, create_adamw, create_sgd
from longtail_cadel.cascade import Cascade
from longtail_cadel.convolutional_head import ConvolutionalHead
from longtail_cadel.experiments import CNN_TAUS, VIT_TAUS
from longtail_cadel.layer_decay import parameter_groups
from longtail_cadel.losses import Weighting
from longtail_cadel.networks import cascade_on
from longtail_cadel.recipe import CADEL, Cascading, head_numbers
from longtail_cadel.schedules import cosine, warmup_cosine_by_batch


@dataclass(frozen=True)
class Family:
    """What the paper does with one kind of network, as far as it differs.

    Args:
        binary, tau: see `Cascading`.
        epochs, lr, weight_decay, eval_heads, taus: defaults of these options.
    """

    binary: bool
    tau: float
    epochs: int
    lr: float
    weight_decay: float
    eval_heads: str
    taus: tuple[float, ...]

    def changed_by(self, options: CADELOptions) -> Family:
        """The same with whatever the options say themselves."""
        said = {each.name: getattr(options, each.name, None) for each in fields(self)}
        return replace(self, **{name: value for name, value in said.items() if value is not None})


CNN = Family(binary=False, tau=0.0, epochs=200, lr=0.025, weight_decay=5e-4, eval_heads="last", taus=CNN_TAUS)
VIT = Family(binary=True, tau=1.0, epochs=100, lr=5e-4, weight_decay=0.05, eval_heads="all", taus=VIT_TAUS)


def family_of(network: Cascade) -> Family:
    """The family of a network: whatever has convolutional heads is a CNN."""
    return CNN if isinstance(network.aux[0], ConvolutionalHead) else VIT


def heads(text: str) -> str:
    """The type of an argument that names heads, see `head_numbers`."""
    try:
        head_numbers(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


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

    def cascading(self, family: Family) -> Cascading:
        """The settings of the algorithm itself, for a family that these options have changed."""
        weighting = Weighting(self.bins, self.gamma, self.base_weight, self.per_sample_weight)
        return Cascading(family.binary, weighting, head_numbers(family.eval_heads), family.tau, family.taus)


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
        trunk = backbone("linear")
        if not isinstance(trunk, StagedBackbone):
            raise UserError(f"CADEL's heads branch off between a network's stages, and {type(trunk).__name__} has none")
        network = cascade_on(trunk, num_classes=data.num_classes, seed=setting.randomness.seed)
        family = family_of(network).changed_by(options)
        recipe = CADEL(
            network, data.class_counts, options.cascading(family), mixup(options.mixup) if options.mixup > 0 else None
        )
        place(recipe, setting.device, setting.runtime)
        size = len(data.train)
        train = setting.loader(
            data,
            data.train,
            Shuffled(size, setting.randomness),
            batch_size=options.batch_size,
            augmentation=create_augmentation(options.augmentation, data, jitter=options.jitter),
            drop_last=size >= options.batch_size,
        )
        if not family.binary:
            optimiser: torch.optim.Optimizer = create_sgd(
                recipe, lr=family.lr, momentum=options.momentum, weight_decay=family.weight_decay
            )
            schedule = cosine(family.epochs, lr=family.lr, end_lr=options.end_lr)
            return Stage(self.name, recipe, train, optimiser, schedule, family.epochs)
        groups = parameter_groups(network, family.lr, family.weight_decay, options.layer_decay)
        optimiser = create_adamw(groups, lr=family.lr, weight_decay=family.weight_decay, betas=(0.9, options.beta2))
        schedule = warmup_cosine_by_batch(options.warmup_epochs, family.epochs, lr=family.lr, min_lr=options.min_lr)
        # the paper's code divides by the batches of a loader that leaves none out
        whole = -(-size // options.batch_size)
        return Stage(self.name, recipe, train, optimiser, schedule, family.epochs, rate_steps=whole)


METHOD = CADELMethod()
