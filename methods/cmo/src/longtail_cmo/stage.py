"""What CMO trains with: loaders, losses, optimiser and schedule."""

from __future__ import annotations

from longtail.datasets.base import LongTailData
from longtail.loading.base import Loader, RandomAccessLoader
from longtail.loading.orders import ClassWeighted, Order, Shuffled
from longtail.loading.paired import Paired
from longtail.loading.presets import create_augmentation
from longtail.losses import create_loss
from longtail.training.devices import place
from longtail.training.method import MakeBackbone, Setting
from longtail.training.plain import ClassWeights
from longtail.training.stage import Stage, create_sgd
from longtail_cmo.method import LOSSES, METHOD, RULES, CMOOptions
from longtail_cmo.mixing import MixPlan
from longtail_cmo.recipe import CMO


def head_of(loss_type: str) -> str:
    """The classifier that a loss is made for: LDAM's margins are between cosines."""
    return "cosine" if loss_type == "LDAM" else "linear"


def create_stage(data: LongTailData, backbone: MakeBackbone, options: CMOOptions, setting: Setting) -> Stage:
    """What trains with CMO, or without, on the same data; the arguments are those of `Method.build`."""
    counts = data.class_counts
    background = _loader(data, Shuffled(len(data.train), setting.randomness), "augment", options, setting)
    plan = None
    train: Loader = background
    if options.data_aug == "CMO":
        plan = _plan(data, background.steps, options, setting)
        order = ClassWeighted(data.train.labels, counts, options.weighted_alpha, setting.randomness, stream="foreground order")
        foreground = _loader(data, order, "foreground augment", options, setting)
        train = Paired(background, foreground, plan.mixes)
    rule = ClassWeights(RULES[options.train_rule], counts, options.timing.deferral)
    recipe = CMO(
        backbone(head_of(options.loss_type)),
        create_loss(LOSSES[options.loss_type], class_counts=counts),
        rule,
        plan,
    )
    place(recipe, setting.device, setting.runtime)
    optimiser = create_sgd(recipe, lr=options.lr, momentum=options.momentum, weight_decay=options.weight_decay)
    return Stage(METHOD.name, recipe, train, optimiser, options.timing.schedule(), options.epochs)


def _loader(data: LongTailData, order: Order, stream: str, options: CMOOptions, setting: Setting) -> RandomAccessLoader:
    augmentation = create_augmentation("strong" if options.use_randaug else "standard", data, jitter=options.jitter)
    return setting.loader(data, data.train, order, batch_size=options.batch_size, augmentation=augmentation, stream=stream)


def _plan(data: LongTailData, steps: int, options: CMOOptions, setting: Setting) -> MixPlan:
    return MixPlan(
        setting.randomness,
        data.image_size,
        data.image_size,
        steps,
        after=options.timing.fitted(options.start_data_aug),
        before=options.epochs - options.timing.fitted(options.end_data_aug),
        probability=options.mixup_prob,
        beta=options.beta,
    )
