"""Plain training (empirical risk minimisation): its recipe, the class weights that may change with the epoch, its stage."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from longtail.backbones import Backbone
from longtail.datasets.base import Indices, LongTailData
from longtail.distributed import gather_rows
from longtail.loading.base import Batch
from longtail.loading.orders import ClassAware, ClassWeighted, Order, Shuffled
from longtail.loading.presets import create_augmentation
from longtail.losses import DeferredReweighting, Loss, WeightedLoss, create_loss, effective_number_weights
from longtail.names import TRAIN_RULES
from longtail.training.devices import place
from longtail.training.erm import METHOD, ERMOptions
from longtail.training.method import MakeBackbone, Setting
from longtail.training.recipe import Clock, Recipe, StepOutput
from longtail.training.schedules import Schedule, stretched, stretched_epoch, warmup_cosine, warmup_steps
from longtail.training.stage import Stage, create_sgd

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
        rule: `none`, `reweight` (effective-number weights throughout) or `drw` (from `deferral` on); one of `TRAIN_RULES`.
        class_counts: training images per class, int64 (C,).
        deferral: 0-based epoch at which `drw` starts.

    Raises:
        ValueError: there is no such rule.
    """

    rule: str
    class_counts: Indices
    deferral: int

    def __post_init__(self) -> None:
        if self.rule not in TRAIN_RULES:
            raise ValueError(f"class weights are {', '.join(TRAIN_RULES)}, got {self.rule!r}")

    def apply(self, loss: Loss, epoch: int) -> None:
        """Give `loss` the weights of this epoch; a loss that takes none is left as it is."""
        if self.rule == "none" or not isinstance(loss, WeightedLoss):
            return
        if self.rule == "reweight":
            weights = effective_number_weights(self.class_counts, BETA)
        else:
            weights = DeferredReweighting(self.class_counts, self.deferral, BETA).weights(epoch)
        loss.set_class_weights(weights)


def create_stage(data: LongTailData, backbone: MakeBackbone, options: ERMOptions, setting: Setting) -> Stage:
    """What trains with the loss as it is; the arguments are those of `Method.build`."""
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
        _order(data, options, setting),
        batch_size=options.batch_size,
        augmentation=create_augmentation(options.augmentation, data, jitter=options.jitter),
    )
    optimiser = create_sgd(recipe, lr=options.lr, momentum=options.momentum, weight_decay=options.weight_decay)
    return Stage(METHOD.name, recipe, loader, optimiser, _schedule(options), options.epochs)


def _order(data: LongTailData, options: ERMOptions, setting: Setting) -> Order:
    labels, counts = data.train.labels, data.class_counts
    if options.order == "class_weighted":
        return ClassWeighted(labels, counts, options.sampling_power, setting.randomness)
    if options.order == "class_aware":
        return ClassAware(labels, setting.randomness)
    return Shuffled(len(labels), setting.randomness)


def _schedule(options: ERMOptions) -> Schedule:
    if options.schedule == "cosine":
        return warmup_cosine(int(stretched_epoch(5, options.epochs, STANDARD_EPOCHS)), options.epochs)
    return stretched(STANDARD_STEPS, STANDARD_EPOCHS, options.epochs)
