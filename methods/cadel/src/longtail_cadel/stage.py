"""What CADEL trains any network of stages with; what the paper's configurations say is built in `building`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

from longtail.backbones import StagedBackbone
from longtail.datasets.base import LongTailData
from longtail.errors import UserError
from longtail.loading.orders import Shuffled
from longtail.loading.presets import create_augmentation
from longtail.training.devices import place
from longtail.training.method import MakeBackbone, Setting
from longtail.training.mixup import mixup
from longtail.training.stage import Stage, create_adamw, create_sgd
from longtail_cadel.cascade import Cascade
from longtail_cadel.convolutional_head import ConvolutionalHead
from longtail_cadel.experiments import CNN_TAUS, VIT_TAUS
from longtail_cadel.layer_decay import parameter_groups
from longtail_cadel.losses import Weighting
from longtail_cadel.method import METHOD, CADELOptions
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


def create_stage(data: LongTailData, backbone: MakeBackbone, options: CADELOptions, setting: Setting) -> Stage:
    """What trains a network with CADEL's heads, and then searches for the best prior correction.

    The arguments are those of `Method.build`.

    Raises:
        UserError: the network has no stages.
    """
    trunk = backbone("linear")
    if not isinstance(trunk, StagedBackbone):
        raise UserError(f"CADEL's heads branch off between a network's stages, and {type(trunk).__name__} has none")
    network = cascade_on(trunk, num_classes=data.num_classes, seed=setting.randomness.seed)
    family = family_of(network).changed_by(options)
    recipe = CADEL(network, data.class_counts, _cascading(options, family), mixup(options.mixup) if options.mixup > 0 else None)
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
        return Stage(METHOD.name, recipe, train, optimiser, schedule, family.epochs)
    groups = parameter_groups(network, family.lr, family.weight_decay, options.layer_decay)
    optimiser = create_adamw(groups, lr=family.lr, weight_decay=family.weight_decay, betas=(0.9, options.beta2))
    schedule = warmup_cosine_by_batch(options.warmup_epochs, family.epochs, lr=family.lr, min_lr=options.min_lr)
    # the paper's code divides by the batches of a loader that leaves none out
    whole = -(-size // options.batch_size)
    return Stage(METHOD.name, recipe, train, optimiser, schedule, family.epochs, rate_steps=whole)


def _cascading(options: CADELOptions, family: Family) -> Cascading:
    """The settings of the algorithm itself, for a family that the options have changed."""
    weighting = Weighting(options.bins, options.gamma, options.base_weight, options.per_sample_weight)
    return Cascading(family.binary, weighting, head_numbers(family.eval_heads), family.tau, family.taus)
