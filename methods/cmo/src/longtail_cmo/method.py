"""CMO for any data set: the method that the core finds through its entry point, and that the paper's scripts call."""

from __future__ import annotations

from dataclasses import dataclass

from longtail.datasets.base import LongTailData
from longtail.loading.base import Loader, RandomAccessLoader
from longtail.loading.orders import ClassWeighted, Order, Shuffled
from longtail.loading.paired import Paired
from longtail.loading.presets import create_augmentation
from longtail.losses import create_loss
from longtail.training.devices import place
from longtail.training.erm import ClassWeights
from longtail.training.method import MakeBackbone, Setting
from longtail.training.options import at_least, between, option
from longtail.training.stage import Stage, create_sgd
from longtail_cmo.mixing import MixPlan
from longtail_cmo.recipe import CMO
from longtail_cmo.schedules import LR_STEPS, PUBLISHED, Timing

RULES = {"None": "none", "CBReweight": "reweight", "DRW": "drw"}
LOSSES = {"CE": "ce", "LDAM": "ldam", "BS": "balanced_softmax"}


def head_of(loss_type: str) -> str:
    """The classifier that a loss is made for: LDAM's margins are between cosines."""
    return "cosine" if loss_type == "LDAM" else "linear"


@dataclass(frozen=True)
class CMOOptions:
    """The paper's settings; the defaults are those of its CIFAR-100-LT runs."""

    loss_type: str = option("BS", "loss: cross entropy, LDAM or balanced softmax", choices=tuple(LOSSES))
    train_rule: str = option("None", "class weights: none, effective-number weights, or those deferred", choices=tuple(RULES))
    data_aug: str = option("CMO", "mix, or train on the same data without mixing", choices=("CMO", "vanilla"))
    mixup_prob: float = option(0.5, "share of batches that are mixed", type=between(0, 1))
    start_data_aug: int = option(3, "mix only after this 0-based epoch", type=at_least(-1))
    end_data_aug: int = option(3, "last epochs without mixing", type=at_least(0))
    weighted_alpha: float = option(
        1.0, "r of the foreground sampler: an image is drawn in proportion to (images of its class)^-r", type=between(0)
    )
    beta: float = option(1.0, "the mixing ratio is drawn from Beta(beta, beta)", type=between(0, least_excluded=True))
    use_randaug: bool = option(False, "strong augmentation with its own schedule")
    jitter: float = option(
        0.0, "brightness, contrast and saturation jitter without --use-randaug; 0.4 on ImageNet-LT", type=between(0, 1)
    )
    schedule: str = option("cifar", "whose fixed epochs: those of CIFAR, ImageNet-LT or iNaturalist", choices=tuple(PUBLISHED))
    lr_steps: tuple[int, ...] = option(
        LR_STEPS, "epochs that divide the rate by 10, with --use-randaug outside CIFAR", type=at_least(0), nargs="*"
    )
    cos: bool = option(False, "cosine schedule, with --use-randaug outside CIFAR")
    epochs: int = option(200, "epochs")
    batch_size: int = option(128, "batch size over all ranks")
    lr: float = option(0.1, "base learning rate")
    momentum: float = option(0.9, "SGD momentum")
    weight_decay: float = option(2e-4, "weight decay")
    fit_schedule: bool = option(True, "stretch the paper's fixed epochs to the epochs of this run")

    @property
    def timing(self) -> Timing:
        """The paper's fixed epochs in this run."""
        return Timing(self.schedule, self.use_randaug, self.epochs, self.fit_schedule, self.cos, self.lr_steps)


class CMOMethod:
    """CMO as a method."""

    name = "cmo"
    paper = "Context-rich Minority Oversampling (Park et al., CVPR 2022)"
    year = 2022
    cost = "1, and twice the loading"
    needs = "nothing"
    options = CMOOptions

    def build(self, data: LongTailData, backbone: MakeBackbone, options: CMOOptions, setting: Setting) -> Stage:
        """What trains with CMO, or without, on the same data."""
        counts = data.class_counts
        background = self._loader(data, Shuffled(len(data.train), setting.randomness), "augment", options, setting)
        plan = None
        train: Loader = background
        if options.data_aug == "CMO":
            plan = self._plan(data, background.steps, options, setting)
            order = ClassWeighted(
                data.train.labels, counts, options.weighted_alpha, setting.randomness, stream="foreground order"
            )
            foreground = self._loader(data, order, "foreground augment", options, setting)
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
        return Stage(self.name, recipe, train, optimiser, options.timing.schedule(), options.epochs)

    @staticmethod
    def _loader(data: LongTailData, order: Order, stream: str, options: CMOOptions, setting: Setting) -> RandomAccessLoader:
        augmentation = create_augmentation("strong" if options.use_randaug else "standard", data, jitter=options.jitter)
        return setting.loader(data, data.train, order, batch_size=options.batch_size, augmentation=augmentation, stream=stream)

    def _plan(self, data: LongTailData, steps: int, options: CMOOptions, setting: Setting) -> MixPlan:
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


METHOD = CMOMethod()
