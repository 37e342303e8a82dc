"""From a yaml file of the paper's to a configuration: what each key may be, and which belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from longtail_cadel.config import (
    FEATURE_WIDTHS,
    AdamWParams,
    ClassifierParams,
    CNNParams,
    Config,
    Criterions,
    Layout,
    Network,
    Params,
    SGDParams,
    TrainingOptions,
    ViTParams,
    check_patches,
)
from longtail_cadel.config_files import find_config
from longtail_cadel.config_reading import (
    Entry,
    Reading,
    Unread,
    flag,
    missing_keys,
    number,
    optional,
    read_file,
    text,
)


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

_NEEDED_TO_TRAIN = ("bins", "gamma", "base_weight")


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
        check_patches(config)


_REASONS = {
    "img_size": "training_opt.image_size",
    "in_dims": "the network has so many features there",
    "scale": "all heads have one scale",
}


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
