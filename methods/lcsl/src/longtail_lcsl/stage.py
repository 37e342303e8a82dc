"""What LCSL trains with: networks, loader, optimiser and schedule."""

from __future__ import annotations

from longtail.datasets.base import LongTailData
from longtail.loading.orders import Shuffled
from longtail.loading.presets import create_augmentation
from longtail.training.devices import place
from longtail.training.method import MakeBackbone, Setting
from longtail.training.stage import Stage, create_sgd
from longtail_lcsl.method import METHOD, LCSLOptions
from longtail_lcsl.recipe import LCSL, SelfLabelling
from longtail_lcsl.schedules import warmup_late_cosine

MOMENTUM = 0.9


def create_stage(data: LongTailData, backbone: MakeBackbone, options: LCSLOptions, setting: Setting) -> Stage:
    """What trains with LCSL; the arguments are those of `Method.build`."""
    counts, settings = data.class_counts, self_labelling(options)
    teacher = backbone("linear") if LCSL.needs_teacher(counts, settings) else None
    recipe = LCSL(backbone("linear"), teacher, counts, settings)
    place(recipe, setting.device, setting.runtime)
    train = setting.loader(
        data,
        data.train,
        Shuffled(len(data.train), setting.randomness),
        batch_size=options.batch_size,
        augmentation=create_augmentation(options.augmentation, data, jitter=options.jitter),
    )
    optimiser = create_sgd(recipe, lr=options.lr, momentum=MOMENTUM, weight_decay=options.weight_decay)
    schedule = warmup_late_cosine(options.warmup_epochs, options.epochs)
    return Stage(METHOD.name, recipe, train, optimiser, schedule, options.epochs, metric="balanced_accuracy")


def self_labelling(options: LCSLOptions) -> SelfLabelling:
    """The settings of the algorithm itself."""
    return SelfLabelling(options.alpha, options.beta, options.tau, options.confidence, options.normalise_teacher)
