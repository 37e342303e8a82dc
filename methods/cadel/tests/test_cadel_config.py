"""The configurations: the values of the paper's files, and what a mistake in one is answered."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import UserError
from longtail_cadel.config import Sampler, dump, override
from longtail_cadel.config_files import find_config, published_configs
from longtail_cadel.config_loading import FACTORIES, load_config
from longtail_cadel.experiments import SCRIPTS

CONFIGS = Path(__file__).parents[1] / "config"
IMAGENET, INAT, PLACES = "ImageNet_LT", "iNaturalist18", "Places_LT"
CLASSES = {IMAGENET: 1000, INAT: 8142, PLACES: 365}
NONE = object()
"""Stands for a key that a file does not have."""

CNN_FILES = (
    "ImageNet_LT/resnet50_stage1",
    "ImageNet_LT/resnet50_stage2",
    "ImageNet_LT/resnext50",
    "ImageNet_LT/resnext50_stage2",
    "iNaturalist18/resnet50_stage1",
    "iNaturalist18/resnet50_stage2",
    "Places_LT/resnet152_stage1_places365",
    "Places_LT/resnet152_stage2",
)
RESNET, RESNEXT, CAFFE = (
    f"./models/{name}.py" for name in ("ResNet50Feature_Ensemble", "ResNext50Feature_Ensemble", "ResNet152FeatureCaffe")
)
CNN_TABLE = {
    "criterions.mixup.alpha": (0.5, 0.5, 0.8, 0.8, NONE, 0.8, 0.5, NONE),
    "criterions.no_mixup.alpha": (NONE, NONE, NONE, NONE, 0.5, NONE, NONE, 0.8),
    # where stage one of the same network writes
    "model_dir": (
        None,
        "./logs/ImageNet_LT/models/resnet50",
        None,
        "./logs/ImageNet_LT/models/resnext50",
        None,
        "./logs/iNaturalist18/models/resnet50",
        None,
        "./logs/Places_LT/models/resnet152_caffe",
    ),
    "pretrain_dir": (*[None] * 6, "./pretrain/Pretrain_for_Places_LT_v2.pth", None),
    "shuffle": (False, False, True, False, True, True, True, True),
    "networks.feat_model.def_file": (RESNET, RESNET, RESNEXT, RESNEXT, RESNET, RESNET, CAFFE, CAFFE),
    "networks.feat_model.fix": (False, True, False, True, False, False, False, False),
    "networks.feat_model.optim_params.lr": (0.025, 0.025, 0.05, 0.025, 0.025, 0.025, 0.0, 0.001),
    "networks.feat_model.params.dataset": (*[IMAGENET] * 4, *[NONE] * 4),
    "networks.feat_model.params.stage1_weights": (*[False] * 4, *[NONE] * 4),
    "networks.feat_model.params.num_classes": (*[1000] * 4, 8142, 8142, NONE, NONE),
    "networks.feat_model.params.normalized": (*[True] * 6, NONE, NONE),
    "networks.feat_model.params.caffe": (*[NONE] * 6, False, False),
    "networks.feat_model.params.test": (*[NONE] * 7, True),
    "networks.classifier.params.out_dims": (*[1000] * 4, 8142, 8142, NONE, NONE),
    "networks.classifier.fix": (False, True, False, True, False, False, NONE, NONE),
    "networks.classifier.optim_params.lr": (0.025, 0.025, 0.05, 0.025, 0.025, 0.025, NONE, NONE),
    "networks.classifier1.params.in_dims": (*[NONE] * 6, 512, 512),
    "networks.classifier2.params.in_dims": (*[NONE] * 6, 1024, 1024),
    "networks.classifier3.params.in_dims": (*[NONE] * 6, 2048, 2048),
    "networks.classifier1.optim_params.lr": (*[NONE] * 6, 0.025, 0.1),
    "networks.classifier2.optim_params.lr": (*[NONE] * 6, 0.025, 0.1),
    "networks.classifier3.optim_params.lr": (*[NONE] * 6, 0.025, 0.1),
    "networks.classifier1.params.groups": (*[NONE] * 6, 32, 32),
    "networks.classifier1.params.reduction": (*[NONE] * 6, 8, 8),
    "training_opt.backbone": (*["resnet50"] * 2, *["resnext50"] * 2, *["resnet50"] * 2, *["resnet152"] * 2),
    "training_opt.stage": (*["resnet50"] * 2, *["resnext50"] * 2, *["resnet50"] * 2, *["resnet152"] * 2),
    "training_opt.batch_size": (128, 128, 128, 128, 64, 128, 128, 256),
    "training_opt.num_epochs": (*[200] * 6, 30, 30),
    "training_opt.log_dir": (
        "./logs/ImageNet_LT/models/resnet50",
        "./logs/ImageNet_LT/stage2/resnet50",
        "./logs/ImageNet_LT/models/resnext50",
        "./logs/ImageNet_LT/stage2/resnext50",
        "./logs/iNaturalist18/models/resnet50",
        "./logs/iNaturalist18/stage2/resnet50",
        "./logs/Places_LT/models/resnet152_caffe",
        "./logs/Places_LT/stage2/resnet152",
    ),
    "training_opt.sub_dir": ("models", "models", "models", "stage2", "models", "stage2", "models", "stage2"),
    "training_opt.warmup_epoch": (5, 5, 0, 5, 5, 5, 5, 5),
    # without them, what most files say, which stage two has no use for; resnext50.yaml has those of its stage two
    "training_opt.bins": (8, 8, 4, 4, 8, 8, 8, 8),
    "training_opt.gamma": (1, 1, 2, 2, 1, 2, 2, 1),
    "training_opt.base_weight": (2, 2, 2, 2, 2, 1, 1, 2),
    "training_opt.tempture": (NONE, 0.5, 0.5, *[NONE] * 5),
    "last": (False, False, NONE, *[False] * 5),
    "memory.centroids": (False, False, NONE, *[False] * 5),
    "memory.init_centroids": (False, False, NONE, *[False] * 5),
    "coslr": (True,) * 8,
    "endlr": (0.0,) * 8,
    "training_opt.image_size": (224,) * 8,
    "training_opt.display_step": (200,) * 8,
    "training_opt.num_workers": (12,) * 8,
    "training_opt.feature_dim": (2048,) * 8,
    "training_opt.open_threshold": (0.1,) * 8,
    "training_opt.sampler": (None,) * 8,
    "training_opt.scheduler_params.gamma": (0.1,) * 8,
    "training_opt.scheduler_params.step_size": (30,) * 8,
    "networks.feat_model.optim_params.momentum": (0.9,) * 8,
    "networks.feat_model.optim_params.weight_decay": (0.0005,) * 8,
    "networks.feat_model.params.dropout": (None,) * 8,
    "networks.feat_model.params.use_fc": (False,) * 8,
    "networks.feat_model.params.use_selfatt": (False,) * 8,
}

VIT_FILES = tuple(f"{dataset}/ViT_B_16_{size}_stage{stage}" for dataset in CLASSES for size in (224, 384) for stage in (1, 2))
"""The first of them is a reconstruction, which the authors have no file of."""
STAGE_ONE = (True, False) * 6
VIT_TABLE = {
    "coslr": (*[False] * 4, *[True] * 8),
    "criterions.mixup.alpha": (0.8, 0.8, 0.5, 0.5, 0.5, 0.5, NONE, 0.5, 0.5, 0.8, 0.5, 0.5),
    "criterions.no_mixup.alpha": (*[NONE] * 6, 0.5, *[NONE] * 5),
    "networks.feat_model.optim_params.lr": (*[5e-4] * 10, 1.25e-4, 1.25e-4),
    "networks.feat_model.optim_params.min_lr": (1e-6, 1e-6, 0.0, 0.0, *[1e-7] * 8),
    "networks.feat_model.optim_params.adamW2": (0.999, 0.999, *[0.99] * 10),
    "networks.feat_model.optim_params.weight_decay": (0.05,) * 12,
    "networks.feat_model.optim_params.layer_decay": (0.75,) * 12,
    "networks.feat_model.optim_params.momentum": (0.9,) * 12,
    "networks.feat_model.params.drop_path": (0.1, 0.1, 0.1, 0.1, 0.2, *[0.1] * 7),
    "networks.feat_model.params.checkpoint": (
        "./pretrain/ImageNet_LT_Res_224.pth",
        NONE,
        "./pretrain/ImageNet_LT_Res_224.pth",
        NONE,
        "./pretrain/iNat18_ Res_128.pth",
        NONE,
        "./pretrain/iNat18_ Res_128.pth",
        NONE,
        "./pretrain/ImageNet_1K_Res_224.pth",
        NONE,
        "./pretrain/ImageNet_1K_Res_384.pth",
        NONE,
    ),
    "networks.feat_model.params.img_size": (224, 224, 384, 384) * 3,
    "networks.feat_model.params.num_classes": (*[1000] * 4, *[8142] * 4, *[365] * 4),
    "networks.feat_model.params.patch_size": (16,) * 12,
    "networks.feat_model.params.global_pool": (True,) * 12,
    "networks.feat_model.params.classifier_num": (3,) * 12,
    "networks.feat_model.params.normalized": (True,) * 12,
    "networks.feat_model.params.aux_depth": (2,) * 12,
    "networks.feat_model.params.scale": (30.0,) * 12,
    "networks.feat_model.params.embed_dim": (768,) * 12,
    "networks.feat_model.params.depth": (12,) * 12,
    "networks.feat_model.params.num_heads": (12,) * 12,
    "training_opt.batch_size": (256, 256, 32, 256, 128, 128, 32, 128, 128, 256, 32, 128),
    "training_opt.num_epochs": (*[100] * 8, 30, 30, 20, 30),
    "training_opt.gamma": (2.0, 2.0, *[1.0] * 10),
    "training_opt.base_weight": (1.0, 1.0, *[2.0] * 10),
    "training_opt.bins": (*[8] * 9, 4, 8, 8),
    "training_opt.accum_iter": (1, 1, 1, 1, NONE, NONE, NONE, 1, *[NONE] * 4),
    "training_opt.backbone": (
        *["ViTB_16_224"] * 2,
        "ViTB_16_ensemble",
        "ViTB_16_384",
        *["ViTB_16_224"] * 2,
        "ViTB_16_ensemble",
        "ViTB_16_384",
        *["ViTB_16_224"] * 2,
        *["ViTB_16_384"] * 2,
    ),
    "training_opt.stage": (
        *["ViTB_16_224"] * 2,
        *["ViTB_16_384"] * 2,
        "ViTB_16_ensemble",
        "ViTB_16_224",
        *["ViTB_16_384"] * 2,
        *["ViTB_16_Places_LT"] * 4,
    ),
    "training_opt.log_dir": (
        "./logs/ImageNet_LT/stage1/ViTB_16_224",
        "./logs/ImageNet_LT/stage2/ViTB_16_224",
        "./logs/ImageNet_LT/stage1/ViTB_16_384",
        "./logs/ImageNet_LT/stage2/ViTB_16_384",
        "./logs/iNaturalist18/models/ViTB_16_224",
        "./logs/iNaturalist18/stage2/ViTB_16_224",
        "./logs/iNaturalist18/models/ViTB_16_384",
        "./logs/iNaturalist18/stage2/ViTB_16_384",
        "./logs/Places_LT/models/ViTB_16_224",
        "./logs/Places_LT/stage2/ViTB_16_224",
        "./logs/Places_LT/models/ViTB_16_384",
        "./logs/Places_LT/stage2/ViTB_16_384",
    ),
    "training_opt.log_root": tuple(
        f"{start}logs/{dataset}"
        for dataset, starts in ((IMAGENET, "./ ./ / /"), (INAT, "./ / / ./"), (PLACES, "/ ./ / ./"))
        for start in starts.split()
    ),
    "training_opt.warmup_epoch": (5,) * 12,
    "training_opt.sub_dir": ("models",) * 12,
    "training_opt.feature_dim": (768,) * 12,
    "training_opt.num_workers": (8,) * 12,
    "training_opt.image_size": (224, 224, 384, 384) * 3,
    "training_opt.tempture": (*[0.5] * 10, NONE, NONE),
    "training_opt.alpha": (*[0.9] * 10, NONE, NONE),
    "training_opt.step1": (50,) * 12,
    "training_opt.step2": (70,) * 12,
    "endlr": (0.0,) * 12,
    "last": (False,) * 12,
    "shuffle": (True,) * 12,
    "memory": (NONE,) * 12,
}
FACTS = {
    **{name: {key: row[i] for key, row in CNN_TABLE.items()} for i, name in enumerate(CNN_FILES)},
    **{name: {key: row[i] for key, row in VIT_TABLE.items()} for i, name in enumerate(VIT_FILES)},
}
ALL = sorted(str(path.relative_to(CONFIGS).with_suffix("").as_posix()) for path in CONFIGS.glob("*/*.yaml"))


@cache
def load(name, **how):
    return load_config(f"./config/{name}.yaml", **how)


def at(values, dotted):
    for each in dotted.split("."):
        if not isinstance(values, dict) or each not in values:
            return NONE
        values = values[each]
    return values


@pytest.mark.parametrize("name", FACTS)
def test_the_values_of_the_papers_files(name):
    config = load(name)
    found = yaml.safe_load(dump(config))
    assert {key: at(found, key) for key in FACTS[name]} == FACTS[name]
    dataset = name.split("/")[0]
    assert config.training_opt.dataset == dataset
    assert config.training_opt.num_classes == CLASSES[dataset]
    counts = None if name.endswith("/resnext50") else f"./data/{dataset}/num_shots.npz"
    assert config.training_opt.num_dir == counts
    assert config.criterions.mixup_alpha == (
        None if FACTS[name]["criterions.mixup.alpha"] is NONE else found["criterions"]["mixup"]["alpha"]
    )


def test_the_reconstructed_resnext():
    one, two = load("ImageNet_LT/resnext50_stage1"), load("ImageNet_LT/resnext50_stage2")
    assert (one.model_dir, one.training_opt.log_dir) == (None, two.model_dir)
    assert not any(network.fix for network in one.networks.values())
    options = replace(one.training_opt, log_dir=two.training_opt.log_dir)
    networks = {name: replace(network, fix=True) for name, network in one.networks.items()}
    others = {**one.others, "training_opt.sub_dir": "stage2"}
    assert replace(one, training_opt=options, networks=networks, model_dir=two.model_dir, others=others) == two


def test_files_and_facts_are_the_same_set():
    assert sorted([*FACTS, "ImageNet_LT/resnext50_stage1"]) == ALL
    assert [str(path) for path in published_configs()] == sorted(f"config/{name}.yaml" for name in ALL)


@pytest.mark.parametrize("name", ALL)
def test_what_is_dumped_is_the_same_configuration(name, tmp_path):
    trains = "stage2" not in name
    config = load(name, trains=trains)
    path = tmp_path / "cfg.yaml"
    path.write_text(dump(config, local_rank=3))
    again = load_config(path, trains=trains)
    assert again == config
    assert yaml.safe_load(path.read_text())["local_rank"] == 3
    assert "local_rank" not in "".join(again.notices)


@pytest.mark.parametrize("name", [name for name in ALL if "stage2" in name])
def test_stage_two_starts_where_stage_one_ends(name):
    ends = {load(each).training_opt.log_dir for each in ALL if "stage2" not in each}
    assert load(name).model_dir in ends


@pytest.mark.parametrize("name", ALL)
def test_layouts(name):
    config = load(name)
    if "ViT" in name:
        assert (config.layout, config.trunk, list(config.networks)) == ("vit", "vit_base_patch16", ["feat_model"])
        assert config.eval_heads == "all"
        assert config.eval_resize == {224: 256, 384: 438}[config.vit.img_size]
        assert config.adamw.beta2 in (0.99, 0.999)
        assert config.sgd == {}
        return
    places = name.startswith(PLACES)
    trunk = "resnet152-places" if places else "resnext50" if "resnext" in name else "resnet50"
    beside = ["classifier1", "classifier2", "classifier3"] if places else ["classifier"]
    assert (config.layout, config.trunk) == ("places" if places else "ensemble", trunk)
    assert list(config.networks) == list(config.sgd) == ["feat_model", *beside]
    assert (config.eval_heads, config.eval_resize, config.scale) == ("last", 256, 30.0)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_every_script_has_its_configuration(script):
    config = load_config(script.cfg, trains=script.trains)
    assert (config.model_dir is None) == script.trains


CNN = """
criterions: {mixup: {alpha: 0.5}}
networks:
  feat_model:
    def_file: ./models/ResNet50Feature_Ensemble.py
    params: {num_classes: 10}
    optim_params: {lr: 0.025, weight_decay: 5e-4}
  classifier:
    def_file: ./models/CosNormClassifier.py
    params: {in_dims: 2048, out_dims: 10}
    optim_params: {lr: 0.025, weight_decay: 5e-4}
training_opt:
  dataset: Mine
  num_classes: 10
  batch_size: 8
  num_epochs: 2
  log_dir: ./logs/mine
  bins: 8
  gamma: 1
  base_weight: 2
"""
VIT = """
networks:
  feat_model:
    def_file: ViT_Ensemble_Create_Model
    params: {num_classes: 10, img_size: 32, patch_size: 8}
    optim_params: {lr: 5e-4, weight_decay: .05, layer_decay: 0.75, min_lr: 1e-7, adamW2: 0.99}
training_opt: {dataset: Mine, num_classes: 10, batch_size: 8, num_epochs: 2, log_dir: logs, image_size: 32}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Reads a configuration that a user wrote, called my.yaml."""
    monkeypatch.chdir(tmp_path)

    def read(text, **how):
        Path("my.yaml").write_text(text)
        return load_config("my.yaml", **how)

    return read


def changed(old, new, text=CNN):
    assert text.count(old) == 1
    return text.replace(old, new)


def test_a_minimal_file(write):
    config = write(CNN, trains=True)
    options = config.training_opt
    assert config.sgd["classifier"].weight_decay == 0.0005
    assert (options.image_size, options.num_workers, options.display_step, options.sampler) == (224, 8, 200, None)
    assert (options.step1, options.step2, options.g) == (50, 70, 0.1)
    assert (options.per_sample_weight, config.notices) == (False, ())
    vit = write(VIT)
    assert vit.criterions.mixup_alpha is None
    assert (vit.adamw.lr, vit.adamw.min_lr, vit.vit.drop_path, vit.vit.checkpoint) == (5e-4, 1e-7, 0.0, None)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            changed("  batch_size: 8", "  batchsize: 8"),
            15,
            "training_opt.batchsize is not a known key; did you mean batch_size?",
        ),
        (changed("training_opt:", "training_opts:"), 12, "training_opts is not a known key; did you mean training_opt?"),
        (changed("{mixup: {alpha", "{mixups: {alpha"), 2, "criterions.mixups is not a known key; did you mean mixup?"),
        (changed("  bins: 8", "  zebra: 8"), 18, "training_opt.zebra is not a known key; the keys here are accum_iter, "),
        (changed("  num_epochs: 2", "  num_epochs: 2\n  bins: 4"), 19, "training_opt.bins is there twice, first in line 17"),
        (changed("  batch_size: 8", "  batch_size: many"), 15, "training_opt.batch_size must be an integer, got many"),
        (changed("  batch_size: 8", "  batch_size: 8.5"), 15, "must be an integer, got 8.5"),
        (changed("  batch_size: 8", "  batch_size: '8'"), 15, "must be an integer, got the text '8'; take away the quotes"),
        (changed("  batch_size: 8", "  batch_size: true"), 15, "must be an integer, got true"),
        (changed("  batch_size: 8", "  batch_size: 0"), 15, "must be at least 1, got 0"),
        (changed("  batch_size: 8", "  batch_size:"), 15, "must be an integer, got nothing"),
        (changed("  batch_size: 8", "  batch_size: 010"), 15, "is ambiguous: programs disagree about which number 010 is"),
        (changed("  batch_size: 8", "  batch_size: 1_000"), 15, "is ambiguous"),
        (changed("  batch_size: 8", "  batch_size: 1:30"), 15, "is ambiguous"),
        (changed("  gamma: 1", "  gamma: .nan"), 19, "training_opt.gamma must be a number, got .nan"),
        (changed("  gamma: 1", "  gamma: 1e999"), 19, "must be at least 0"),
        (changed("  gamma: 1", "  gamma: -1"), 19, "must be at least 0, got -1"),
        (changed("  gamma: 1", "  gamma: [1]"), 19, "must be a number, got a list"),
        (changed("dataset: Mine", "dataset: 2018"), 13, "training_opt.dataset must be text, got 2018"),
        (
            changed("  bins: 8", "  bins: 8\n  num_dir: None"),
            19,
            "is the text None, which yaml does not take for nothing; write null",
        ),
        (changed("  bins: 8", "  bins: 8\n  per_sample_weight: 1"), 19, "must be true or false, got 1"),
        (
            changed("  bins: 8", "  bins: 8\n  eval_heads: [1, 4]"),
            19,
            "must be last, all, or some of 1,2,3, each once, got 1,4",
        ),
        (changed("  bins: 8", "  bins: 8\n  sampler: {type: Best}"), 19, "must be one of ClassAwareSampler, "),
        (
            changed("params: {num_classes: 10}", "params: {num_classes: 10, use_selfatt: true}"),
            6,
            "use_selfatt can only be false",
        ),
        (changed("params: {num_classes: 10}", "params: {num_classes: 10, dropout: 0.5}"), 6, "dropout can only be null"),
        (changed("params: {num_classes: 10}", "params: {num_classes: 10, normalized: 1}"), 6, "normalized can only be true"),
        (
            changed("out_dims: 10", "out_dims: 11"),
            10,
            "networks.classifier.params.out_dims must be 10, as training_opt.num_classes, got 11",
        ),
        (changed("in_dims: 2048", "in_dims: 512"), 10, "must be 2048, as the network has so many features there, got 512"),
        (
            changed("ResNet50Feature_Ensemble.py", "MyNet.py"),
            5,
            f"none of the networks that are offered: ./models/{next(iter(FACTORIES))}.py",
        ),
        (changed("ResNet50Feature_Ensemble.py", "ResNet152FeatureCaffe.py"), 4, "networks do not belong together"),
        (changed("ResNet50Feature_Ensemble.py", "CosNormClassifier.py"), 5, "networks.feat_model cannot be CosNormClassifier"),
        (
            changed("  bins: 8", "  bins: 8\n  scheduler_params: &a {b: *a}"),
            19,
            "training_opt.scheduler_params.b contains itself",
        ),
        (changed("lr: 5e-4", "lr: fast", VIT), 6, "networks.feat_model.optim_params.lr must be a number, got fast"),
        (changed("img_size: 32", "img_size: 64", VIT), 5, "must be 32, as training_opt.image_size, got 64"),
        ("a: [", 1, "not yaml"),
        ("\tx: 1", 1, "not yaml"),
    ],
)
def test_mistakes_have_a_line(write, text, line, said):
    with pytest.raises(UserError) as caught:
        write(text)
    assert str(caught.value).startswith(f"my.yaml, line {line}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed("  log_dir: ./logs/mine\n", ""), "my.yaml, line 13: missing: training_opt.log_dir"),
        (changed("  bins: 8\n  gamma: 1\n", ""), "missing: training_opt.bins, training_opt.gamma"),
        (changed("    params: {num_classes: 10}\n", ""), "missing: networks.feat_model.params"),
        (changed("{mixup: {alpha: 0.5}}", "{mixup: {mixup_alpha: 0.5}}"), "my.yaml, line 2: missing: criterions.mixup.alpha"),
        ("shuffle: true", "my.yaml: missing: networks, training_opt"),
        ("", "my.yaml: holds no keys"),
        ("- 1", "my.yaml: holds no keys"),
        (changed("patch_size: 8", "patch_size: 7", VIT), "images of 32 px cannot be cut into patches of 7 px"),
    ],
)
def test_what_is_missing(write, text, said):
    with pytest.raises(UserError) as caught:
        write(text, trains="feat_model:\n    def_file: ViT" not in text)
    assert said in str(caught.value)


def test_stage_two_needs_no_weighting(write):
    assert write(changed("  bins: 8\n  gamma: 1\n  base_weight: 2\n", "")).training_opt.bins == 8


def test_keys_without_effect_are_told_once(write):
    config = write("last: true\n" + changed("  bins: 8", "  bins: 8\n  warmup_epoch: 5\n  tempture: 0.5\n  stage: x"))
    assert config.notices == (
        "my.yaml: keys without effect, as in the paper's code: last, training_opt.{tempture, stage, warmup_epoch}",
    )
    # a learning rate that falls by steps has a use for the warm-up
    stepped = write("coslr: false\n" + changed("  bins: 8", "  bins: 8\n  warmup_epoch: 5"))
    assert stepped.notices == ()
    assert "coslr" in write("coslr: true" + VIT).notices[0]


def test_our_own_keys(write):
    config = write(changed("  bins: 8", "  bins: 8\n  per_sample_weight: true\n  eval_heads: [3, 1]\n  eval_resize: 230"))
    assert config.training_opt.per_sample_weight
    assert (config.eval_heads, config.eval_resize) == ("1,3", 230)
    for said, heads in (("all", "all"), ("last", "last"), ("null", "last"), ("2", "2")):
        assert write(changed("  bins: 8", f"  bins: 8\n  eval_heads: {said}")).eval_heads == heads


def test_samplers(write):
    sampler = "{type: ClassPrioritySampler, def_file: ./data/ClassPrioritySampler.py, lam: 0.5, root_decay: null, ptype: CE}"
    text = changed("  bins: 8", f"  bins: 8\n  sampler: {sampler}")
    config = write(text)
    expected = Sampler("ClassPrioritySampler", {"lam": 0.5, "root_decay": None, "ptype": "CE"})
    assert config.training_opt.sampler == expected
    assert write(dump(config)) == config
    with pytest.raises(UserError, match=r"line 19: training_opt\.sampler\.lamb is not a known key; did you mean lam\?"):
        write(changed("lam:", "lamb:", text))


def test_numbers_need_no_point(write):
    for said in ("5e-4", "5E-4", "5.0e-4", ".0005", "+0.0005"):
        assert write(changed("lr: 5e-4", f"lr: {said}", VIT)).adamw.lr == 0.0005


@settings(derandomize=True, deadline=None, max_examples=40)
@given(number=st.floats(0, 1e12) | st.integers(0, 10**9))
def test_every_number_python_writes_is_read(tmp_path_factory, number):
    path = tmp_path_factory.getbasetemp() / "number.yaml"
    path.write_text(changed("  gamma: 1", f"  gamma: {number!r}"))
    assert load_config(path).training_opt.gamma == number


def test_overrides():
    config = load("Places_LT/ViT_B_16_224_stage1")
    assert override(config) == config
    given = override(config, batch_size=4, model_dir="there", num_epochs=3, num_workers=0, image_size=64, eval_heads="2")
    options = given.training_opt
    assert (options.batch_size, options.num_epochs, options.num_workers, options.image_size) == (4, 3, 0, 64)
    assert (given.model_dir, given.vit.img_size, given.eval_heads, given.eval_resize) == ("there", 64, "2", 73)
    assert override(load("ImageNet_LT/resnet50_stage1"), image_size=65, per_sample_weight=True).training_opt.per_sample_weight
    with pytest.raises(UserError, match="images of 65 px cannot be cut into patches of 16 px"):
        override(config, image_size=65)


def test_files_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "./config/Places_LT/resnet152_stage2.yaml"
    assert load_config(name).training_opt.batch_size == 256
    own = Path(name)
    own.parent.mkdir(parents=True)
    own.write_text((CONFIGS / "Places_LT/resnet152_stage2.yaml").read_text().replace("batch_size: 256", "batch_size: 4"))
    assert load_config(name).training_opt.batch_size == 4
    assert find_config(own.resolve()) == own.resolve()
    with pytest.raises(UserError, match=r"did you mean \./config/Places_LT/resnet152_stage2\.yaml\?"):
        find_config("./config/Places_LT/resnet152_stage_2.yaml")
    with pytest.raises(UserError, match=r"the paper's are \./config/ImageNet_LT/ViT"):
        find_config("x")


def test_what_is_no_text(tmp_path):
    path = tmp_path / "picture.yaml"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UserError, match="cannot be read as text"):
        load_config(path)
