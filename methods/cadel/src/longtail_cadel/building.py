"""From a configuration to the network and the stage that trains it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.backbones import load_backbone_weights, load_matching_weights, seeded_weights
from longtail.datasets.base import ImageData, LongTailData
from longtail.errors import UserError
from longtail.loading.base import Loader
from longtail.loading.framing import CentreCrop, Framed
from longtail.loading.orders import Order, Sequential, Shuffled
from longtail.loading.presets import imagenet_standard
from longtail.training.checkpoint import load_plain
from longtail.training.devices import place
from longtail.training.method import Setting
from longtail.training.mixup import mixup
from longtail.training.schedules import Schedule
from longtail.training.stage import Stage, create_adamw, create_sgd
from longtail_cadel.cascade import Cascade
from longtail_cadel.experiments import model_dirs
from longtail_cadel.layer_decay import parameter_groups
from longtail_cadel.losses import Weighting
from longtail_cadel.names import fix, from_paper, in_networks
from longtail_cadel.networks import cascade_on, create_cascade
from longtail_cadel.recipe import CADEL, Cascading, head_numbers
from longtail_cadel.samplers import Priorities, create_order
from longtail_cadel.schedules import cosine, stepped, warmup_cosine_by_batch

if TYPE_CHECKING:
    from longtail_cadel.config import Config

LATEST, FINAL = "latest_model_checkpoint.pth", "final_model_checkpoint.pth"
"""The paper's names of the checkpoint of every epoch and of the best one."""
_VIT_TAU = 1.0

logger = logging.getLogger(__name__)


def layout_of(config: Config) -> str:
    """The key of `names.LAYOUTS` for a configuration's networks."""
    return "vit" if config.layout == "vit" else config.trunk


def create_network(config: Config, seed: int) -> Cascade:
    """The network of a configuration, with random weights that depend on the arguments alone.

    Raises:
        UserError: the images do not fit the network.
    """
    classes = config.training_opt.num_classes
    if config.layout != "vit":
        return create_cascade(config.trunk, num_classes=classes, seed=seed, scale=config.scale)
    # timm, which comes with it, takes seconds to import
    from longtail.backbones.vision_transformer import VisionTransformer

    params = config.vit
    with seeded_weights(seed):
        trunk = VisionTransformer(
            image_size=params.img_size,
            patch_size=params.patch_size,
            width=params.embed_dim,
            depth=params.depth,
            num_heads=params.num_heads,
            drop_path=params.drop_path,
            num_classes=classes,
            checkpointing=params.activation_checkpointing,
        )
    return cascade_on(trunk, num_classes=classes, seed=seed, scale=config.scale, aux_depth=params.aux_depth)


def begin(network: Cascade, config: Config, *, seed: int, pretrained: bool, may_be_missing: bool) -> str:
    """Give a network the weights that training begins with, and say in a line which.

    Args:
        network: of `create_network`.
        config: names the files.
        seed: of what is drawn anew.
        pretrained: whether to begin with the pretrained weights that it names.
        may_be_missing: begin with random weights where these are not there, instead of stopping.

    Raises:
        UserError: a file is missing or does not fit.
    """
    layout = layout_of(config)
    if config.model_dir is not None:
        path = find_model(config.model_dir)
        load_model(network, path, layout)
        return f"began with the networks of {path}"
    named = config.vit.checkpoint if config.layout == "vit" else config.pretrain_dir if config.layout == "places" else None
    still = ", ".join(name for name, each in config.sgd.items() if not each.lr)
    random = f"began with random weights{f', and will keep those of {still}, whose lr is 0' if still else ''}"
    if named is None or not pretrained:
        return random
    try:
        return _begin_with(network, named, config, seed)
    except UserError as error:
        if may_be_missing and not Path(named).is_file():
            return f"{named} is not there: {random}"
        raise error


def _begin_with(network: Cascade, named: str, config: Config, seed: int) -> str:
    if config.layout == "vit":
        from longtail_cadel.pretrained import load_pretrained

        return load_pretrained(network, named, seed=seed).in_words()
    if not Path(named).is_file():
        raise UserError(
            f"no pretrained networks at '{named}', which pretrain_dir of {config.name} names: the trunk, which is not trained "
            "here (its lr is 0), and the heads to begin with. The authors published no such file.\n"
            "Train one, or begin with random weights, which cannot work while that lr is 0: --no_pretrained"
        )
    try:
        loaded = load_matching_weights(network, from_paper(load_plain(Path(named)), layout_of(config)))
    except UserError as error:
        raise UserError(f"{named}: {error}") from error
    others = len(loaded.missing) + len(loaded.misshapen)
    return f"began with {len(loaded.taken)} tensors of {named}; {others} of the network are not in it, so random"


def find_model(named: str) -> Path:
    """The file of trained networks that a `model_dir` names, or that lies where stage one may have written it.

    Raises:
        UserError: there is none.
    """
    if named.endswith(".pth"):
        if not Path(named).is_file():
            raise UserError(f"no trained networks at '{named}', which model_dir names")
        return Path(named)
    folders = model_dirs(named)
    for folder in folders:
        path = Path(folder) / FINAL
        if path.is_file():
            if folder != named:
                logger.warning("model_dir %s holds no %s; taking that of %s", named, FINAL, folder)
            return path
    raise UserError(
        f"no trained networks: there is no {FINAL} in {' or '.join(folders)}. Train stage one first, "
        "or name its folder (its log_dir) with --model_dir"
    )


def load_model(network: Cascade, path: Path, layout: str) -> None:
    """Copy trained networks into a network; the file is one of ours or of the authors'.

    Raises:
        UserError: it is damaged, or of another network.
    """
    content = load_plain(path)
    try:
        own = isinstance(content, dict) and "longtail" in content and "state_dict_best" not in content
        load_backbone_weights(network, content["state_dict"] if own else from_paper(content, layout))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def create_recipe(network: Cascade, config: Config, data: LongTailData, priorities: Priorities | None = None) -> CADEL:
    """The algorithm with the settings of a configuration; the search of stage two is a script of its own."""
    options, is_vit = config.training_opt, config.layout == "vit"
    weighting = Weighting(options.bins, options.gamma, options.base_weight, options.per_sample_weight)
    settings = Cascading(is_vit, weighting, head_numbers(config.eval_heads), _VIT_TAU if is_vit else 0.0)
    alpha = config.criterions.mixup_alpha or 0.0
    return CADEL(network, data.class_counts, settings, mixup(alpha) if alpha > 0 else None, priorities)


def shown(config: Config, data: LongTailData, part: ImageData, setting: Setting, batch_size: int) -> Loader:
    """A part of the data as evaluation shows it: the shorter side resized, and the centre of that."""
    framed = Framed(CentreCrop(config.training_opt.image_size, config.eval_resize))
    return setting.loader(data, part, Sequential(len(part)), batch_size=batch_size, augmentation=framed)


def create_stage(
    network: Cascade, config: Config, data: LongTailData, setting: Setting, *, batch_size: int, jitter: float
) -> Stage:
    """What trains a network as its configuration says.

    Args:
        network: with the weights that it begins with.
        config: all the rest.
        data: with the training images.
        setting: where it runs.
        batch_size: over all ranks.
        jitter: of brightness, contrast and saturation.
    """
    options = config.training_opt
    for name, each in config.networks.items():
        if each.fix:
            fix(network, name, layout_of(config))
    order, priorities = _order(config, data, setting)
    recipe = create_recipe(network, config, data, priorities)
    place(recipe, setting.device, setting.runtime)
    train = setting.loader(
        data,
        data.train,
        order,
        batch_size=batch_size,
        augmentation=imagenet_standard(options.image_size, jitter),
        drop_last=len(data.train) >= batch_size,
    )
    optimiser, schedule = _optimisation(network, config)
    return Stage(
        "cadel",
        recipe,
        train,
        optimiser,
        schedule,
        options.num_epochs,
        shown=lambda part: shown(config, data, part, setting, batch_size),
        # the paper's code divides by the batches of a loader that leaves none out
        rate_steps=-(-len(data.train) // batch_size) if config.layout == "vit" else None,
    )


def _order(config: Config, data: LongTailData, setting: Setting) -> tuple[Order, Priorities | None]:
    options, labels = config.training_opt, data.train.labels
    if options.sampler is None:
        return Shuffled(len(labels), setting.randomness), None
    order = create_order(
        {"type": options.sampler.type, **options.sampler.options}, labels, options.num_epochs, setting.randomness
    )
    return order, order.priorities


def _optimisation(network: Cascade, config: Config) -> tuple[Any, Schedule]:
    options = config.training_opt
    if config.layout == "vit":
        adamw = config.adamw
        groups = parameter_groups(network, adamw.lr, adamw.weight_decay, adamw.layer_decay)
        optimiser: Any = create_adamw(groups, lr=adamw.lr, weight_decay=adamw.weight_decay, betas=(0.9, adamw.beta2))
        return optimiser, warmup_cosine_by_batch(options.warmup_epoch, options.num_epochs, lr=adamw.lr, min_lr=adamw.min_lr)
    groups = _sgd_groups(network, config)
    lr = max(group["lr"] for group in groups)
    optimiser = create_sgd(groups, lr=lr, momentum=0.9, weight_decay=0.0)
    if config.coslr:
        return optimiser, cosine(options.num_epochs, lr=lr, end_lr=config.endlr)
    return optimiser, stepped(options.warmup_epoch, options.step1, options.step2, factor=options.g)


def _sgd_groups(network: Cascade, config: Config) -> list[dict[str, Any]]:
    """The parameters of each of the paper's networks with its own rate; those of one whose rate is 0 need no gradient.

    Raises:
        UserError: nothing would be trained.
    """
    parameters = in_networks(dict(network.named_parameters()), layout_of(config))
    groups = []
    for name, sgd in config.sgd.items():
        if sgd.lr == 0:
            for parameter in parameters[name].values():
                parameter.requires_grad_(False)
        members = [each for each in parameters[name].values() if each.requires_grad]
        if members:
            groups.append({"params": members, "lr": sgd.lr, "momentum": sgd.momentum, "weight_decay": sgd.weight_decay})
    if not groups:
        raise UserError(f"{config.name}: every network is fixed or has lr 0, so nothing would be trained")
    return groups
