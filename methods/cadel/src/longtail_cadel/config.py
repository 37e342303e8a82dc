"""The paper's yaml files as frozen dataclasses, whose fields have the names of the files' keys."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import yaml

from longtail.errors import UserError
from longtail_cadel.config_reading import (
    Entry,
    Reading,
    Unread,
    choice,
    flag,
    integer,
    key,
    missing_keys,
    nested,
    number,
    optional,
    read_file,
    text,
    unknown_key,
    values_of,
)

Layout = Literal["ensemble", "places", "vit"]
"""Where the auxiliary heads are: in the network, beside it as networks of their own, or in a vision transformer."""

FEATURE_WIDTHS = {"classifier": 2048, "classifier1": 512, "classifier2": 1024, "classifier3": 2048}
"""Features that each classifier of the paper's networks takes."""


def canonical_heads(said: str) -> str:
    """`last`, `all`, or numbers of heads with commas between them, ascending; 1 is the shallowest.

    Raises:
        ValueError: it is nothing of that.
    """
    if said in ("last", "all"):
        return said
    numbers = [each.strip() for each in said.split(",")]
    if not set(numbers) <= {"1", "2", "3"} or len(set(numbers)) < len(numbers):
        raise ValueError(f"must be last, all, or some of 1,2,3, each once, got {said}")
    return ",".join(sorted(numbers))


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


_NEEDED_TO_TRAIN = ("bins", "gamma", "base_weight")


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


class Factory(NamedTuple):
    """What stands for one of the authors' modules.

    Args:
        trunk: the network that it makes, for `feat_model`.
        layout: of the networks beside it.
        params: its `params`.
        unread: keys of those that fill no field.
    """

    params: type[Params]
    unread: Unread
    layout: Layout | None = None
    trunk: str = ""


_CNN_UNREAD = Unread(
    ignored=("dataset", "caffe", "test"),
    fixed={"use_fc": False, "use_selfatt": False, "stage1_weights": False, "normalized": True, "dropout": None},
)
FACTORIES = {
    "ResNet50Feature_Ensemble": Factory(CNNParams, _CNN_UNREAD, "ensemble", "resnet50"),
    "ResNext50Feature_Ensemble": Factory(CNNParams, _CNN_UNREAD, "ensemble", "resnext50"),
    "ResNet152FeatureCaffe": Factory(CNNParams, _CNN_UNREAD, "places", "resnet152-places"),
    "ViT_Ensemble_Create_Model": Factory(
        ViTParams,
        Unread(ignored=("classifier_num", "dataset"), fixed={"global_pool": True, "normalized": True}),
        "vit",
        "vit_base_patch16",
    ),
    "CosNormClassifier": Factory(ClassifierParams, Unread(ignored=("dataset", "margin", "init_std"))),
    "Aux_Classifier": Factory(
        ClassifierParams, Unread(ignored=("dataset",), fixed={"normalized": True, "groups": 32, "reduction": 8})
    ),
}
"""By the name of the authors' module, whatever folder `def_file` has it in."""

_BESIDE: dict[Layout, dict[str, str]] = {
    "ensemble": {"classifier": "CosNormClassifier"},
    "places": {"classifier1": "Aux_Classifier", "classifier2": "Aux_Classifier", "classifier3": "CosNormClassifier"},
    "vit": {},
}
_TOP = ("criterions", "model_dir", "pretrain_dir", "networks", "shuffle", "coslr", "endlr", "training_opt")
_TOP_UNREAD = Unread(ignored=("last", "memory", "local_rank"))
_TRAINING_UNREAD = Unread(
    ignored=(
        "backbone",
        "stage",
        "sub_dir",
        "log_root",
        "feature_dim",
        "open_threshold",
        "scheduler_params",
        "tempture",
        "alpha",
        "accum_iter",
    )
)
_MIXUP_UNREAD = Unread(
    ignored=("mixup_alpha", "cutmix_alpha", "mixup_switch_prob", "mixup_prob", "mixup_mode", "smoothing", "alpha")
)


def find_config(name: str | Path) -> Path:
    """The file that `--cfg` names: seen from the working directory, or else from the folder of the paper's scripts.

    Raises:
        UserError: there is no such file.
    """
    given = Path(name).expanduser()
    for path in dict.fromkeys((given, scripts_folder() / given)):
        if path.is_file():
            return path
    published = [f"./{path}" for path in published_configs()]
    near = difflib.get_close_matches(str(name), published, n=1)
    remedy = f"did you mean {near[0]}?" if near else "the paper's are " + ", ".join(published)
    raise UserError(f"--cfg {name}: there is no such file, here or among the paper's; {remedy}")


def scripts_folder() -> Path:
    """The folder that holds `config/`: inside an installed package, or the one of the scripts in a clone."""
    installed = Path(__file__).with_name("scripts")
    return installed if installed.is_dir() else Path(__file__).parents[2]


def published_configs() -> list[PurePosixPath]:
    """The files of `config/`, relative to `scripts_folder`."""
    folder = scripts_folder()
    return sorted(PurePosixPath(path.relative_to(folder).as_posix()) for path in folder.glob("config/*/*.yaml"))


def load_config(name: str | Path, *, trains: bool = False) -> Config:
    """Read and check a configuration.

    Args:
        name: see `find_config`.
        trains: whether what only training needs must be there.

    Raises:
        UserError: there is no such file, or something is wrong in it.
    """
    top = read_file(find_config(name))
    entries = top.mapping()
    reading = Reading()
    reading.set_aside(top, _TOP_UNREAD, _TOP)
    absent = [each for each in ("networks", "training_opt") if each not in entries]
    if absent:
        raise missing_keys(top, absent)
    if trains:
        needed = [each for each in _NEEDED_TO_TRAIN if each not in entries["training_opt"].mapping()]
        if needed:
            raise missing_keys(entries["training_opt"], needed)
    training = reading.section(entries["training_opt"], TrainingOptions, _TRAINING_UNREAD)
    layout, trunk, networks = _networks(entries["networks"], reading)

    def value(each: str, read: Any, default: Any) -> Any:
        return read(entries[each]) if each in entries else default

    config = Config(
        name=str(name),
        layout=layout,
        trunk=trunk,
        networks=networks,
        training_opt=training,
        criterions=_criterions(entries.get("criterions"), reading),
        model_dir=value("model_dir", optional(text), None),
        pretrain_dir=value("pretrain_dir", optional(text), None),
        shuffle=value("shuffle", flag, False),
        coslr=value("coslr", flag, True),
        endlr=value("endlr", number(), 0.0),
        others={each: value for each, value in reading.others.items() if each != "local_rank"},
    )
    _check_widths(entries, config)
    idle = [each for each in _idle(config) if _is_in(each, entries)]
    unread = [each for each in reading.no_effect if each != "local_rank"]
    return replace(config, no_effect=(*unread, *idle))


def _networks(entry: Entry, reading: Reading) -> tuple[Layout, str, dict[str, Network]]:
    entries = entry.mapping()
    if "feat_model" not in entries:
        raise missing_keys(entry, ["feat_model"])
    factories = {name: _factory(each) for name, each in entries.items()}
    feature = FACTORIES[factories["feat_model"]]
    if feature.layout is None:
        raise entries["feat_model"].error(f"cannot be {factories['feat_model']}, which is a classifier")
    wanted = {"feat_model": factories["feat_model"], **_BESIDE[feature.layout]}
    if factories != wanted:
        found, right = (", ".join(f"{name}: {made}" for name, made in each.items()) for each in (factories, wanted))
        raise entry.error(f"do not belong together: found {found}; with this feat_model it must be {right}")
    return feature.layout, feature.trunk, {name: _network(entries[name], reading) for name in wanted}


def _factory(entry: Entry) -> str:
    entries = entry.mapping()
    if "def_file" not in entries:
        raise missing_keys(entry, ["def_file"])
    name = PurePosixPath(text(entries["def_file"]).replace("\\", "/")).stem
    if name not in FACTORIES:
        known = ", ".join(f"./models/{each}.py" for each in FACTORIES)
        raise entries["def_file"].error(f"is none of the networks that are offered: {known}")
    return name


def _network(entry: Entry, reading: Reading) -> Network:
    entries = entry.mapping()
    factory = FACTORIES[_factory(entry)]
    known = ("def_file", "fix", "params", "optim_params")
    reading.set_aside(entry, Unread(), known)
    absent = [each for each in ("params", "optim_params") if each not in entries]
    if absent:
        raise missing_keys(entry, absent)
    is_vit = factory.layout == "vit"
    optimised: type[SGDParams | AdamWParams] = AdamWParams if is_vit else SGDParams
    idle = Unread(ignored=("momentum",) if is_vit else ("min_lr", "adamW2", "layer_decay"))
    return Network(
        def_file=text(entries["def_file"]),
        params=reading.section(entries["params"], factory.params, factory.unread),
        optim_params=reading.section(entries["optim_params"], optimised, idle),
        fix=flag(entries["fix"]) if "fix" in entries else False,
    )


def _criterions(entry: Entry | None, reading: Reading) -> Criterions:
    if entry is None or entry.is_null:
        return Criterions()
    entries = entry.mapping()
    reading.set_aside(entry, Unread(ignored=("cls_num", "no_mixup")), ("mixup",))
    if "mixup" not in entries:
        return Criterions()
    inside = entries["mixup"].mapping()
    reading.set_aside(entries["mixup"], _MIXUP_UNREAD, ("alpha",))
    if "alpha" not in inside:
        raise missing_keys(entries["mixup"], ["alpha"])
    return Criterions(number()(inside["alpha"]))


def _check_widths(entries: Mapping[str, Entry], config: Config) -> None:
    """Refuse numbers that occur several times and contradict each other."""
    options = config.training_opt
    for name, network in config.networks.items():
        params = entries["networks"].mapping()[name].mapping()["params"].mapping()
        wanted = {"num_classes": options.num_classes, "out_dims": options.num_classes, "scale": config.scale}
        if config.layout == "vit":
            wanted["img_size"] = options.image_size
        if name in FEATURE_WIDTHS:
            wanted["in_dims"] = FEATURE_WIDTHS[name]
        for each, value in wanted.items():
            if each in params and getattr(network.params, each) != value:
                reason = _REASONS.get(each, "training_opt.num_classes")
                raise params[each].error(f"must be {value:g}, as {reason}, got {params[each].shown()}")
    if config.layout == "vit":
        _check_patches(config)


_REASONS = {
    "img_size": "training_opt.image_size",
    "in_dims": "the network has so many features there",
    "scale": "all heads have one scale",
}


def _check_patches(config: Config) -> None:
    size, patch = config.vit.img_size, config.vit.patch_size
    if size % patch:
        raise UserError(f"{config.name}: images of {size} px cannot be cut into patches of {patch} px")


def _idle(config: Config) -> Iterable[str]:
    """Names of keys that only other layouts, or other settings, have a use for."""
    if config.layout == "vit":
        yield from ("coslr", "endlr", "pretrain_dir")
        yield from (f"training_opt.{each}" for each in ("step1", "step2", "g", "per_sample_weight"))
        return
    if config.layout == "ensemble":
        yield "pretrain_dir"
    if config.coslr:
        yield from (f"training_opt.{each}" for each in ("warmup_epoch", "step1", "step2", "g"))


def _is_in(name: str, entries: Mapping[str, Entry]) -> bool:
    section, _, rest = name.rpartition(".")
    return rest in (entries[section].mapping() if section else entries)


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
    _check_patches(changed)
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
