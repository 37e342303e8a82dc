"""What the study trains with: losses, RSG, further heads, loader, optimiser and schedule."""

from __future__ import annotations

from torch import nn

from longtail.backbones import Backbone, CifarResNet, StagedBackbone
from longtail.datasets.base import Indices, LongTailData
from longtail.errors import UserError
from longtail.loading.orders import EffectiveNumber, FromEpoch, Order, Shuffled
from longtail.loading.presets import create_augmentation
from longtail.losses import (
    LDAM,
    AMSoftmax,
    ArcFace,
    CrossEntropy,
    Focal,
    Loss,
    SphereFace,
    SupCon,
    effective_number_weights,
    inverse_frequency_weights,
)
from longtail.losses.weighting import Weights
from longtail.training.devices import place
from longtail.training.method import MakeBackbone, Setting
from longtail.training.stage import Stage, create_sgd
from longtail_rsg_study.method import METHOD, RSGStudyOptions, check
from longtail_rsg_study.recipe import RSGStudy, Shares
from longtail_rsg_study.rsg import RSG, head_classes

RESAMPLING_BETA = 0.9999
"""Of the effective numbers that the resampled epochs draw by."""


def create_stage(data: LongTailData, backbone: MakeBackbone, options: RSGStudyOptions, setting: Setting) -> Stage:
    """What trains with the losses that are switched on; the arguments are those of `Method.build`."""
    check(options)
    counts = data.class_counts
    network = backbone("cosine" if options.norm_out else "linear")
    recipe = RSGStudy(
        staged(network),
        _create_rsg(staged(network), counts, options) if options.add_rsg else None,
        _margin_heads(network.num_features, data.num_classes, options),
        _losses(counts, options),
        SupCon(temperature=options.supcon_temperature) if options.add_supcon_loss else None,
        Shares(options.losses_of_logits, options.supcon_loss_weight, options.cesc_weight, options.mv_weight),
        shown=CrossEntropy(counts),
    )
    place(recipe, setting.device, setting.runtime)
    train = setting.loader(
        data,
        data.train,
        _order(data, options, setting),
        batch_size=options.batch_size,
        augmentation=create_augmentation(options.augmentation, data, jitter=options.jitter),
        drop_last=len(data.train) >= options.batch_size,
    )
    optimiser = create_sgd(recipe, lr=options.lr, momentum=options.momentum, weight_decay=options.weight_decay)
    return Stage(METHOD.name, recipe, train, optimiser, lambda epoch: options.lr_decay**epoch, options.epochs)


def staged(network: Backbone) -> StagedBackbone:
    """The network, if it can be cut between two stages.

    Raises:
        UserError: it cannot.
    """
    if not isinstance(network, StagedBackbone):
        raise UserError(f"RSG stands between two stages of a network, and {type(network).__name__} has none")
    return network


def _create_rsg(network: StagedBackbone, counts: Indices, options: RSGStudyOptions) -> RSG:
    rsg = RSG(
        len(counts),
        network.stage_widths[-2],
        head_classes(counts, options.head_tail_ratio),
        threshold=options.epoch_thresh,
        centres=options.rsg_centres,
        width=options.rsg_width,
        strength=options.rsg_strength,
    )
    # in the networks for large images, the ancestors' loop over all modules comes after RSG was made
    rsg.reset_parameters(fan_out=not isinstance(network, CifarResNet))
    return rsg


def _margin_heads(features: int, classes: int, options: RSGStudyOptions) -> dict[str, nn.Module]:
    heads: dict[str, nn.Module] = {}
    if options.add_arc_margin_loss:
        heads["arc"] = ArcFace(
            features, classes, scale=options.arc_scale, margin=options.arc_margin, easy_margin=options.arc_easy_margin
        )
    if options.add_add_margin_loss:
        heads["am"] = AMSoftmax(features, classes, scale=options.add_scale, margin=options.add_margin)
    if options.add_sphere_loss:
        heads["sphere"] = SphereFace(features, classes, margin=options.sphere_margin)
    return heads


def _losses(counts: Indices, options: RSGStudyOptions) -> dict[str, Loss]:
    losses: dict[str, Loss] = {}
    if options.add_cross_entropy_loss:
        losses["ce"] = CrossEntropy(counts, weight=_weights(options.ce_weight_type, counts, options.cbl_beta))
    if options.add_ldam_loss:
        weights = _weights(options.ldam_weight_type, counts, options.cbl_beta)
        losses["ldam"] = LDAM(counts, max_margin=options.ldam_max_margin, scale=options.ldam_scale, weight=weights)
    if options.add_focal_loss:
        losses["focal"] = Focal(counts, gamma=options.focal_gamma)
    return losses


def _weights(kind: str, counts: Indices, beta: float) -> Weights | None:
    if kind == "none":
        return None
    return inverse_frequency_weights(counts) if kind == "icf" else effective_number_weights(counts, beta)


def _order(data: LongTailData, options: RSGStudyOptions, setting: Setting) -> Order:
    labels = data.train.labels
    shuffled = Shuffled(len(labels), setting.randomness)
    if options.resample_epoch >= options.epochs:
        return shuffled
    alike = EffectiveNumber(labels, data.class_counts, setting.randomness, beta=RESAMPLING_BETA)
    return FromEpoch(shuffled, alike, options.resample_epoch)
