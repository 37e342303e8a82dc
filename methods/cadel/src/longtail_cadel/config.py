"""The paper's yaml files as frozen dataclasses, whose fields have the names of the files' keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import yaml

from longtail.errors import UserError
from longtail_cadel.config_reading import (
    Entry,
    choice,
    flag,
    integer,
    key,
    missing_keys,
    nested,
    number,
    optional,
    text,
    unknown_key,
    values_of,
)
from longtail_cadel.eval_heads import canonical_heads

Layout = Literal["ensemble", "places", "vit"]
"""Where the auxiliary heads are: in the network, beside it as networks of their own, or in a vision transformer."""

FEATURE_WIDTHS = {"classifier": 2048, "classifier1": 512, "classifier2": 1024, "classifier3": 2048}
"""Features that each classifier of the paper's networks takes."""


def _eval_heads(entry: Entry) -> str:
    value = entry.plain()
    try:
        return canonical_heads(",".join(map(str, value)) if isinstance(value, list) else str(value))
    except ValueError as error:
        raise entry.error(str(error)) from error


@dataclass(frozen=True)
class CNNParams:
    """`networks.feat_model.params` of a convolutional network."""

    num_classes: int | None = key(integer(1), None)
    scale: float = key(number(), 30.0)


@dataclass(frozen=True)
class ViTParams:
    """`networks.feat_model.params` of a vision transformer.

    Args:
        checkpoint: file with pretrained weights of the trunk.
        activation_checkpointing: ours: compute activations again in the backward pass instead of keeping them.
    """

    img_size: int = key(integer(1))
    num_classes: int = key(integer(1))
    patch_size: int = key(integer(1), 16)
    embed_dim: int = key(integer(1), 768)
    depth: int = key(integer(1), 12)
    num_heads: int = key(integer(1), 12)
    aux_depth: int = key(integer(1), 2)
    drop_path: float = key(number(0, 0.999), 0.0)
    scale: float = key(number(), 30.0)
    checkpoint: str | None = key(optional(text), None)
    activation_checkpointing: bool = key(flag, False)


@dataclass(frozen=True)
class ClassifierParams:
    """`networks.classifier*.params`."""

    in_dims: int = key(integer(1))
    out_dims: int = key(integer(1))
    scale: float = key(number(), 30.0)


@dataclass(frozen=True)
class SGDParams:
    """`optim_params` of a network that SGD trains."""

    lr: float = key(number())
    weight_decay: float = key(number())
    momentum: float = key(number(0, 1), 0.9)


@dataclass(frozen=True)
class AdamWParams:
    """`optim_params` of a vision transformer; `beta2` is the files' `adamW2`."""

    lr: float = key(number())
    weight_decay: float = key(number())
    layer_decay: float = key(number(0, 1))
    min_lr: float = key(number())
    beta2: float = key(number(0, 1), name="adamW2")


Params = CNNParams | ViTParams | ClassifierParams


@dataclass(frozen=True)
class Network:
    """One of the `networks`.

    Args:
        def_file: the authors' module, which names one of `FACTORIES`.
        fix: the network, but for its auxiliary heads, is not trained; stage two trains nothing anyway.
    """

    def_file: str
    params: Params
    optim_params: SGDParams | AdamWParams
    fix: bool = False


@dataclass(frozen=True)
class Sampler:
    """`training_opt.sampler`: what draws the epochs' images.

    Args:
        type: a key of `SAMPLERS`.
        options: the other keys, but for `def_file`.
    """

    type: str
    options: Mapping[str, Any]


_PRIORITY = {
    "balance_scale": number(),
    "fixed_scale": number(-1e9),
    "lam": optional(number(0, 1)),
    "epochs": integer(1),
    "cycle": integer(),
    "nroot": optional(number()),
    "manual_only": flag,
    "rescale": flag,
    "root_decay": optional(choice("exp", "linear", "autoexp")),
    "decay_gap": integer(1),
    "ptype": choice("score", "CE", "entropy"),
    "alpha": number(),
}
SAMPLERS = {
    "ClassAwareSampler": {"num_samples_cls": integer(1)},
    "ClassPrioritySampler": {**_PRIORITY, "pri_mode": text, "momentum": number(0, 1)},
    "MixedPrioritizedSampler": _PRIORITY,
}
"""The samplers that a configuration can name, with their options."""


def _sampler(entry: Entry) -> Sampler:
    entries = entry.mapping()
    if "type" not in entries:
        raise missing_keys(entry, ["type"])
    kind = choice(*SAMPLERS)(entries["type"])
    known = SAMPLERS[kind]
    for name in entries:
        if name not in {*known, "type", "def_file"}:
            raise unknown_key(entry, name, known)
    return Sampler(kind, {name: known[name](each) for name, each in entries.items() if name in known})


@dataclass(frozen=True)
class TrainingOptions:
    """`training_opt`.

    Args:
        num_dir: file with the number of training images of each class; without one, the list of training images tells.
        bins, gamma, base_weight: of the re-weighting; stage two has no use for them.
        warmup_epoch: epochs of linear warm-up; with `coslr` in transformers alone.
        step1, step2, g: without `coslr`, epochs at which the learning rate falls by this factor; not in transformers.
        per_sample_weight: ours: weight each sample's loss, where the authors' code for CNNs weights the mean loss.
        eval_heads: ours: heads that predict, see `canonical_heads`; None is what the paper does, see `Config.eval_heads`.
        eval_resize: ours: pixels of the shorter side before the central crop of evaluation; None is 256 / 224 of the crop.
    """

    dataset: str = key(text)
    num_classes: int = key(integer(1))
    batch_size: int = key(integer(1))
    num_epochs: int = key(integer(1))
    log_dir: str = key(text)
    image_size: int = key(integer(1), 224)
    num_dir: str | None = key(optional(text), None)
    num_workers: int = key(integer(), 8)
    display_step: int = key(integer(1), 200)
    bins: int = key(integer(1), 8)
    gamma: float = key(number(), 1.0)
    base_weight: float = key(number(), 2.0)
    warmup_epoch: int = key(integer(), 5)
    step1: int = key(integer(), 50)
    step2: int = key(integer(), 70)
    g: float = key(number(), 0.1)
    sampler: Sampler | None = field(default=None, metadata={"read": optional(_sampler), "key": None})
    per_sample_weight: bool = key(flag, False)
    eval_heads: str | None = key(optional(_eval_heads), None)
    eval_resize: int | None = key(optional(integer(1)), None)


@dataclass(frozen=True)
class Criterions:
    """`criterions`.

    Args:
        mixup_alpha: of mixup's Beta(alpha, alpha), `criterions.mixup.alpha`; None without mixup.
    """

    mixup_alpha: float | None = None


@dataclass(frozen=True)
class Config:
    """A configuration.

    Args:
        name: the file that it comes from.
        networks: by name: `feat_model`, and what stands beside it.
        model_dir: trained networks to start from: a folder or a `.pth` file.
        pretrain_dir: file that the networks for Places start from.
        shuffle: as in the file; the order of images within a batch has no effect.
        coslr: the learning rate follows a cosine to `endlr`; transformers have their own schedule.
        no_effect: names of keys that are in the file for nothing.
        others: the values of all keys that fill no field here, by name.
    """

    name: str = field(compare=False)
    layout: Layout
    trunk: str
    networks: Mapping[str, Network]
    training_opt: TrainingOptions
    criterions: Criterions = Criterions()
    model_dir: str | None = None
    pretrain_dir: str | None = None
    shuffle: bool = False
    coslr: bool = True
    endlr: float = 0.0
    no_effect: tuple[str, ...] = field(default=(), compare=False)
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def vit(self) -> ViTParams:
        """The parameters of a vision transformer."""
        params = self.networks["feat_model"].params
        assert isinstance(params, ViTParams)
        return params

    @property
    def adamw(self) -> AdamWParams:
        """What a vision transformer is optimised with."""
        found = self.networks["feat_model"].optim_params
        assert isinstance(found, AdamWParams)
        return found

    @property
    def sgd(self) -> dict[str, SGDParams]:
        """What each network of a convolutional layout is optimised with."""
        return {name: each.optim_params for name, each in self.networks.items() if isinstance(each.optim_params, SGDParams)}

    @property
    def scale(self) -> float:
        """Of the cosines of all heads."""
        return self.networks["feat_model" if self.layout == "vit" else list(self.networks)[-1]].params.scale

    @property
    def eval_heads(self) -> str:
        """Heads that predict: the file's, or what the paper does, all in transformers and else the last."""
        return self.training_opt.eval_heads or ("all" if self.layout == "vit" else "last")

    @property
    def eval_resize(self) -> int:
        """Pixels of the shorter side before the central crop of evaluation."""
        options = self.training_opt
        return options.eval_resize or options.image_size * 256 // 224

    @property
    def notices(self) -> tuple[str, ...]:
        """What one may not expect of the file."""
        if not self.no_effect:
            return ()
        sections: dict[str, list[str]] = {}
        for name in self.no_effect:
            section, _, last = name.rpartition(".")
            sections.setdefault(section, []).append(last)
        listed = (f"{name}.{{{', '.join(keys)}}}" if name else ", ".join(keys) for name, keys in sections.items())
        return (f"{self.name}: keys without effect, as in the paper's code: {', '.join(listed)}",)


def check_patches(config: Config) -> None:
    """Refuse images that a vision transformer cannot cut into patches.

    Raises:
        UserError: it cannot.
    """
    size, patch = config.vit.img_size, config.vit.patch_size
    if size % patch:
        raise UserError(f"{config.name}: images of {size} px cannot be cut into patches of {patch} px")


def override(
    config: Config,
    *,
    batch_size: int | None = None,
    model_dir: str | None = None,
    num_epochs: int | None = None,
    num_workers: int | None = None,
    image_size: int | None = None,
    eval_heads: str | None = None,
    per_sample_weight: bool | None = None,
) -> Config:
    """The configuration with what the command line says instead; None keeps the file's value.

    Raises:
        UserError: a vision transformer cannot take images of this size.
    """
    given = {
        "batch_size": batch_size,
        "num_epochs": num_epochs,
        "num_workers": num_workers,
        "image_size": image_size,
        "eval_heads": eval_heads,
        "per_sample_weight": per_sample_weight,
    }
    options = replace(config.training_opt, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    changed = replace(config, training_opt=options, model_dir=config.model_dir if model_dir is None else model_dir)
    if image_size is None or config.layout != "vit":
        return changed
    feature = config.networks["feat_model"]
    resized = replace(feature, params=replace(config.vit, img_size=image_size))
    changed = replace(changed, networks={**config.networks, "feat_model": resized})
    check_patches(changed)
    return changed


def dump(config: Config, *, local_rank: int = -1) -> str:
    """The configuration as yaml, which `load_config` reads as the same one, keys without effect included."""
    alpha = config.criterions.mixup_alpha
    options = dict(values_of(config.training_opt))
    if isinstance(sampler := config.training_opt.sampler, Sampler):
        options["sampler"] = {"type": sampler.type, **sampler.options}
    told = {
        "criterions": {} if alpha is None else {"mixup": {"alpha": alpha}},
        "model_dir": config.model_dir,
        "pretrain_dir": config.pretrain_dir,
        "networks": {
            name: {
                "def_file": each.def_file,
                "fix": each.fix,
                "params": {name: value for name, value in values_of(each.params) if value is not None},
                "optim_params": dict(values_of(each.optim_params)),
            }
            for name, each in config.networks.items()
        },
        "shuffle": config.shuffle,
        "coslr": config.coslr,
        "endlr": config.endlr,
        "training_opt": options,
        "local_rank": local_rank,
    }
    return yaml.safe_dump(nested(config.others, told), sort_keys=False)
