"""What DPA-EI trains with: the pairs of training and meta batches, optimiser and schedule."""

from __future__ import annotations

from longtail.datasets.base import LongTailData
from longtail.loading.orders import FreshBatches, Shuffled
from longtail.loading.paired import Paired
from longtail.loading.presets import create_augmentation
from longtail.training.devices import place
from longtail.training.method import MakeBackbone, Setting
from longtail.training.stage import Stage, create_sgd
from longtail_dpa_ei.meta_set import train_and_meta
from longtail_dpa_ei.method import METHOD, DPAEIOptions
from longtail_dpa_ei.recipe import DPAEI, Augmentation


def create_stage(data: LongTailData, backbone: MakeBackbone, options: DPAEIOptions, setting: Setting) -> Stage:
    """A stage with two kinds of epochs; the arguments are those of `Method.build`."""
    images, meta_images = train_and_meta(data, options.num_meta, setting.randomness)
    augmentation = create_augmentation(options.augmentation, data)
    train = setting.loader(
        data,
        images,
        Shuffled(len(images), setting.randomness),
        batch_size=options.batch_size,
        augmentation=augmentation,
    )
    size = min(options.batch_size, len(meta_images))
    meta = setting.loader(
        data,
        meta_images,
        FreshBatches(len(meta_images), size, train.steps, setting.randomness, stream="meta order"),
        batch_size=size,
        augmentation=augmentation,
        stream="meta augment",
    )
    timing = options.timing
    recipe = DPAEI(backbone("linear"), images.class_counts, _settings(options))
    place(recipe, setting.device, setting.runtime)
    optimiser = create_sgd(
        recipe,
        lr=options.lr,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        nesterov=options.nesterov,
    )
    pairs = Paired(train, meta, lambda epoch, _step: timing.is_implicit(epoch), whole=True)
    return Stage(METHOD.name, recipe, pairs, optimiser, timing.learning_rate(), options.epochs)


def _settings(options: DPAEIOptions) -> Augmentation:
    return Augmentation(options.lam, options.meta_lr, options.lr, options.timing, options.margins)
