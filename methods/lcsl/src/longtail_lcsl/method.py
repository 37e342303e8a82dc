"""LCSL for any data set: the method that the core finds through its entry point, and that the paper's script calls."""

from __future__ import annotations

from dataclasses import dataclass

from longtail.datasets.base import LongTailData
from longtail.loading.orders import Shuffled
from longtail.loading.presets import AUGMENTATIONS, AUGMENTATIONS_IN_WORDS, create_augmentation
from longtail.training.devices import place
from longtail.training.method import MakeBackbone, Setting
from longtail.training.options import at_least, between, option
from longtail.training.stage import Stage, create_sgd
from longtail_lcsl.recipe import LCSL, SelfLabelling
from longtail_lcsl.schedules import warmup_late_cosine

MOMENTUM = 0.9


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

    @property
    def self_labelling(self) -> SelfLabelling:
        """The settings of the algorithm itself."""
        return SelfLabelling(self.alpha, self.beta, self.tau, self.confidence, self.normalise_teacher)


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
        counts, settings = data.class_counts, options.self_labelling
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
        return Stage(self.name, recipe, train, optimiser, schedule, options.epochs, metric="balanced_accuracy")


METHOD = LCSLMethod()
