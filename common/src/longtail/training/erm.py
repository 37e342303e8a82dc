"""Plain training (empirical risk minimisation) with any loss, class weights and epoch order: the baselines."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from longtail.backbones import Backbone
from longtail.datasets.base import Indices, LongTailData
from longtail.distributed import gather_rows
from longtail.loading.base import Batch
from longtail.loading.orders import ClassAware, ClassWeighted, Order, Shuffled
from longtail.loading.presets import AUGMENTATIONS, AUGMENTATIONS_IN_WORDS, create_augmentation
from longtail.losses import LOSSES, DeferredReweighting, Loss, WeightedLoss, create_loss, effective_number_weights
from longtail.training.devices import place
from longtail.training.method import MakeBackbone, Setting
from longtail.training.options import between, option
from longtail.training.recipe import Clock, Recipe, StepOutput
from longtail.training.schedules import Schedule, stretched, stretched_epoch, warmup_cosine, warmup_steps
from longtail.training.stage import Stage, create_sgd

TRAIN_RULES = ("none", "reweight", "drw")
STANDARD_EPOCHS = 200
STANDARD_STEPS = warmup_steps(5, ((160, 0.01), (180, 0.0001)))
"""The schedule that the LDAM family trains CIFAR with, written for 200 epochs."""
STANDARD_DEFERRAL = 160
BETA = 0.9999
"""The effective number's beta of the LDAM family."""


class PlainTraining(Recipe):
    """The loss of every batch as it comes, with class weights that may change from epoch to epoch.

    Args:
        backbone: maps images (B, 3, H, W) to logits (B, C).
        loss: a loss of `longtail.losses`.
        class_weights: maps the 0-based epoch to class weights, float (C,), or None for none.
    """

    def __init__(self, backbone: Backbone, loss: Loss, class_weights: ClassWeights | None = None) -> None:
        super().__init__(backbone, loss)
        self.class_weights = class_weights

    def begin_epoch(self, clock: Clock) -> None:
        """Set the epoch's class weights."""
        if self.class_weights is not None:
            self.class_weights.apply(self.loss, clock.epoch)

    def forward(self, batch: Batch, clock: Clock) -> StepOutput:
        """The mean loss of the batch."""
        logits = self.backbone(batch.images)
        return StepOutput(self.batch_loss(logits, batch.labels), logits, batch.labels, {})

    def batch_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of the global batch, given this rank's logits and labels."""
        value: Tensor = self.loss(gather_rows(logits), gather_rows(labels))
        return value


@dataclass(frozen=True)
class ClassWeights:
    """A training rule: class weights by epoch.

    Args:
        rule: `none`, `reweight` (effective-number weights throughout) or `drw` (from `deferral` on).
        class_counts: training images per class, int64 (C,).
        deferral: 0-based epoch at which `drw` starts.
    """

    rule: str
    class_counts: Indices
    deferral: int

    def apply(self, loss: Loss, epoch: int) -> None:
        """Give `loss` the weights of this epoch; a loss that takes none is left as it is."""
        if self.rule == "none" or not isinstance(loss, WeightedLoss):
            return
        if self.rule == "reweight":
            weights = effective_number_weights(self.class_counts, BETA)
        else:
            weights = DeferredReweighting(self.class_counts, self.deferral, BETA).weights(epoch)
        loss.set_class_weights(weights)


@dataclass(frozen=True)
class ERMOptions:
    """Settings of plain training; the defaults are the CIFAR recipe of the LDAM family."""

    loss: str = option("ce", "loss function", choices=tuple(LOSSES))
    train_rule: str = option("none", "class weights: none, effective-number weights, or those deferred", choices=TRAIN_RULES)
    order: str = option("shuffled", "epoch order", choices=("shuffled", "class_weighted", "class_aware"))
    sampling_power: float = option(
        1.0, "r of the class_weighted order: sample weight is (images of its class)^-r", type=between(0)
    )
    epochs: int = option(STANDARD_EPOCHS, "epochs")
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
        counts = data.class_counts
        deferral = STANDARD_DEFERRAL * options.epochs // STANDARD_EPOCHS
        recipe = PlainTraining(
            backbone("cosine" if options.loss == "ldam" else "linear"),
            create_loss(options.loss, class_counts=counts),
            ClassWeights(options.train_rule, counts, deferral),
        )
        place(recipe, setting.device, setting.runtime)
        loader = setting.loader(
            data,
            data.train,
            self._order(data, options, setting),
            batch_size=options.batch_size,
            augmentation=create_augmentation(options.augmentation, data, jitter=options.jitter),
        )
        optimiser = create_sgd(recipe, lr=options.lr, momentum=options.momentum, weight_decay=options.weight_decay)
        return Stage(self.name, recipe, loader, optimiser, self._schedule(options), options.epochs)

    @staticmethod
    def _order(data: LongTailData, options: ERMOptions, setting: Setting) -> Order:
        labels, counts = data.train.labels, data.class_counts
        if options.order == "class_weighted":
            return ClassWeighted(labels, counts, options.sampling_power, setting.randomness)
        if options.order == "class_aware":
            return ClassAware(labels, setting.randomness)
        return Shuffled(len(labels), setting.randomness)

    @staticmethod
    def _schedule(options: ERMOptions) -> Schedule:
        if options.schedule == "cosine":
            return warmup_cosine(int(stretched_epoch(5, options.epochs, STANDARD_EPOCHS)), options.epochs)
        return stretched(STANDARD_STEPS, STANDARD_EPOCHS, options.epochs)


METHOD = ERM()
