"""The study for any data set: the method that the core finds through its entry point, and that the study's scripts call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from longtail.errors import UserError
from longtail.names import AUGMENTATIONS, AUGMENTATIONS_IN_WORDS
from longtail.training.method import MakeBackbone, Setting
from longtail.training.options import at_least, between, option

if TYPE_CHECKING:
    from longtail.datasets.base import LongTailData
    from longtail.training.stage import Stage

LDAM_WEIGHTS = ("cbl", "icf")
CE_WEIGHTS = ("none", "icf", "cbl")
"""The study's names of class weights: inverse class frequency, and class-balanced by effective numbers."""


@dataclass(frozen=True)
class RSGStudyOptions:
    """The study's settings, with the defaults of its README; what the study does not tell is that of the cited papers."""

    norm_out: bool = option(True, "classifier: cosines, or a linear layer")
    add_rsg: bool = option(True, "generate features of rare classes (RSG)")
    head_tail_ratio: float = option(0.2, "share of the classes, the largest ones, that RSG takes for head", type=between(0, 1))
    epoch_thresh: int = option(160, "RSG generates after this 0-based epoch", type=at_least(-1))
    rsg_centres: int = option(15, "centres of each class in RSG", type=at_least(1))
    rsg_width: int = option(256, "channels of RSG's contrastive network", type=at_least(1))
    rsg_strength: float = option(
        1.0, "generated maps, as a share of what pairs of head and tail allow", type=between(0, least_excluded=True)
    )
    cesc_weight: float = option(0.1, "weight of RSG's centre and contrastive loss", type=between(0))
    mv_weight: float = option(0.01, "weight of RSG's maximised-vector loss", type=between(0))
    add_cross_entropy_loss: bool = option(False, "cross entropy")
    ce_weight_type: str = option(
        "none", "class weights of cross entropy: none, inverse frequency, effective number", choices=CE_WEIGHTS
    )
    add_ldam_loss: bool = option(True, "LDAM")
    ldam_weight_type: str = option("icf", "class weights of LDAM: inverse frequency, effective number", choices=LDAM_WEIGHTS)
    ldam_loss_weight: float = option(0.1, "weight of LDAM", type=between(0))
    ldam_max_margin: float = option(0.3, "margin of the rarest class in LDAM", type=between(0))
    ldam_scale: float = option(30.0, "scale of cosines in LDAM", type=between(0, least_excluded=True))
    cbl_beta: float = option(0.999, "beta of the effective numbers; 0 weights all classes alike", type=between(0, 0.9999999))
    add_focal_loss: bool = option(False, "focal loss")
    focal_gamma: float = option(0.0, "gamma of the focal loss; 0 is cross entropy", type=between(0))
    add_supcon_loss: bool = option(True, "supervised contrastive loss on the features")
    supcon_loss_weight: float = option(0.9, "weight of the supervised contrastive loss", type=between(0))
    supcon_temperature: float = option(
        0.07, "temperature of the supervised contrastive loss", type=between(0, least_excluded=True)
    )
    add_arc_margin_loss: bool = option(False, "another head, ArcFace, for every loss of logits")
    arc_scale: float = option(30.0, "scale of ArcFace", type=between(0, least_excluded=True))
    arc_margin: float = option(0.5, "margin of ArcFace, in radians", type=between(0))
    arc_easy_margin: bool = option(False, "ArcFace's easy margin")
    add_add_margin_loss: bool = option(False, "another head, AM-softmax, for every loss of logits")
    add_scale: float = option(30.0, "scale of AM-softmax", type=between(0, least_excluded=True))
    add_margin: float = option(0.4, "margin of AM-softmax", type=between(0))
    add_sphere_loss: bool = option(False, "another head, SphereFace, for every loss of logits")
    sphere_margin: int = option(4, "multiple of the angle in SphereFace", type=at_least(1))
    resample_epoch: int = option(160, "0-based epoch from which on classes are drawn alike", type=at_least(0))
    augmentation: str = option("standard", AUGMENTATIONS_IN_WORDS, choices=AUGMENTATIONS)
    jitter: float = option(0.4, "strength of brightness, contrast and saturation jitter", type=between(0, 1))
    lr_decay: float = option(0.9, "factor of the learning rate after each epoch", type=between(0, least_excluded=True))
    epochs: int = option(20, "epochs")
    batch_size: int = option(32, "batch size over all ranks; an incomplete last batch is left out")
    lr: float = option(1e-3, "base learning rate")
    momentum: float = option(0.9, "SGD momentum")
    weight_decay: float = option(5e-4, "weight decay")

    @property
    def losses_of_logits(self) -> dict[str, float]:
        """The losses that are switched on, with their weights in the sum."""
        switches = {
            "ce": (self.add_cross_entropy_loss, 1.0),
            "ldam": (self.add_ldam_loss, self.ldam_loss_weight),
            "focal": (self.add_focal_loss, 1.0),
        }
        return {name: weight for name, (on, weight) in switches.items() if on}

    @property
    def margin_heads(self) -> list[str]:
        """The flags of the margin heads that are switched on."""
        flags = ("add_arc_margin_loss", "add_add_margin_loss", "add_sphere_loss")
        return [f"--{flag}" for flag in flags if getattr(self, flag)]


def check(options: RSGStudyOptions) -> None:
    """Refuse combinations with which nothing can be trained.

    Raises:
        UserError: there is no loss, or a margin head that no loss sees.
    """
    if not options.losses_of_logits and options.margin_heads:
        raise UserError(
            f"{', '.join(options.margin_heads)}: a margin head gives logits, and no loss of logits is on to train it; "
            "switch on --add_cross_entropy_loss, --add_ldam_loss or --add_focal_loss"
        )
    if not options.losses_of_logits and not options.add_supcon_loss:
        raise UserError(
            "no loss is on; switch on one of --add_cross_entropy_loss, --add_ldam_loss, --add_focal_loss, --add_supcon_loss"
        )


def notices(options: RSGStudyOptions) -> list[str]:
    """What the options do not do, though one may think so."""
    found = []
    if options.add_rsg and options.epochs <= options.epoch_thresh + 1:
        found.append(
            f"RSG generates nothing in {options.epochs} epochs: it begins after epoch {options.epoch_thresh} and "
            f"changes no prediction before; --epoch_thresh {options.epochs * 3 // 4} lets it generate in the last quarter"
        )
    if not options.losses_of_logits:
        found.append("only the contrastive loss is on, which never reaches the classifier: its accuracy stays at chance")
    unscaled = [name for name in ("ce", "focal") if name in options.losses_of_logits]
    if options.norm_out and unscaled:
        found.append(
            f"cosines lie in [-1, 1], where {' and '.join(unscaled)} are nearly flat; --norm_out False has a linear classifier"
        )
    return found


class RSGStudyMethod:
    """The study as a method."""

    name = "rsg_study"
    paper = "a study of RSG (Wang et al., CVPR 2021), cosine classifier and seven losses"
    year = 2023
    cost = "1.0 to 1.2"
    needs = "nothing"
    options = RSGStudyOptions

    def build(self, data: LongTailData, backbone: MakeBackbone, options: RSGStudyOptions, setting: Setting) -> Stage:
        """What trains with the losses that are switched on."""
        from longtail_rsg_study.stage import create_stage

        return create_stage(data, backbone, options, setting)


METHOD = RSGStudyMethod()
