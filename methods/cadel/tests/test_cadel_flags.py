"""The paper's flags: names, defaults, spellings, and what they change."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from longtail.errors import UserError
from longtail.testing import quick_help
from longtail.training.runtime import RuntimeOptions
from longtail_cadel.experiments import DATA_ROOTS, SCRIPTS, data_root, model_dirs, pretrained_files
from longtail_cadel.flags import check, configured, create_parser, notices

FOLDER = Path(__file__).parents[1]
MAIN, CORRECTION = SCRIPTS["main_CNN"], SCRIPTS["main_CNN_PC"]
EVERYWHERE = {
    "cfg",
    "batch_size",
    "model_dir",
    "test",
    "test_open",
    "output_logits",
    "save_feat",
    "knn",
    "feat_type",
    "dist_type",
    "val_as_train",
    "local_rank",
}
OURS = {"data_root", "seed", "gpu", "eval_heads", "image_size", "num_workers"}
TRAINING = {"num_epochs", "per_sample_weight", "resume", "no_pretrained", "allow_missing_pretrain"}
INAT, PLACES = "./config/iNaturalist18", "./config/Places_LT"
CNN_TAUS, VIT_TAUS = (0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5), (1.3, 1.4, 1.5, 1.6, 1.7, 1.8)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def flags(text="", script=MAIN):
    return create_parser(script).parse_args(text.split())


@pytest.mark.parametrize(
    ("name", "cfg", "taus"),
    [
        ("main_CNN", f"{INAT}/resnet50_stage1.yaml", None),
        ("main_CNN_DDP", f"{INAT}/resnet50_stage1.yaml", None),
        ("main_ViT", f"{PLACES}/ViT_B_16_224_stage1.yaml", None),
        ("main_Vit_DDP", f"{PLACES}/ViT_B_16_224_stage1.yaml", None),
        ("main_CNN_Places365", f"{PLACES}/resnet152_stage1_places365.yaml", None),
        ("main_CNN_PC", f"{INAT}/resnet50_stage2.yaml", CNN_TAUS),
        ("main_ViT_PC", f"{PLACES}/ViT_B_16_384_stage2.yaml", VIT_TAUS),
        ("main_Vit_PC", f"{PLACES}/ViT_B_16_384_stage2.yaml", VIT_TAUS),
        ("main_CNN_Places365_PC", f"{PLACES}/resnet152_stage2.yaml", CNN_TAUS[:-1]),
    ],
)
def test_what_the_scripts_do_by_default(name, cfg, taus):
    script = SCRIPTS[name]
    args = flags(script=script)
    assert args.cfg == cfg
    assert getattr(args, "taus", None) == taus
    assert script.trains == (taus is None)
    shared = {name for name in vars(args) if hasattr(RuntimeOptions, name)}
    assert set(vars(args)) - shared == EVERYWHERE | OURS | (TRAINING if script.trains else {"taus"})
    paper = {
        "batch_size": None,
        "model_dir": None,
        "test": False,
        "test_open": False,
        "output_logits": False,
        "save_feat": "",
        "knn": False,
        "feat_type": "cl2n",
        "dist_type": "l2",
        "val_as_train": False,
        "local_rank": -1,
    }
    assert {flag: getattr(args, flag) for flag in paper} == paper
    assert notices(script, args) == []
    check(args)


def test_every_script_has_a_file():
    found = {path.stem: path.read_text("utf-8") for path in FOLDER.glob("main_*.py")}
    assert set(found) == set(SCRIPTS)
    for name, text in found.items():
        module = "training" if SCRIPTS[name].trains else "stage_two"
        assert f"from longtail_cadel.{module} import console\n" in text
        assert f'console(SCRIPTS["{name}"])\n' in text
        assert f"`python {name}.py --help`" in text


@pytest.mark.parametrize("flag", sorted(name for name in EVERYWHERE | OURS | TRAINING if "_" in name))
def test_both_spellings(flag):
    parser = create_parser(MAIN)
    (action,) = (each for each in parser._actions if each.dest == flag)
    assert {f"--{flag}", f"--{flag.replace('_', '-')}"} <= set(action.option_strings)


def test_the_rank_comes_from_the_launcher(monkeypatch):
    assert flags("--local_rank=3").local_rank == flags("--local-rank=3").local_rank == 3
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert flags().local_rank == 2
    assert flags("--local-rank 1").local_rank == 1
    assert notices(MAIN, flags()) == ["the local rank has no effect: no launcher has started this process"]
    monkeypatch.setenv("RANK", "2")
    assert notices(MAIN, flags()) == []


def test_abbreviations_mean_the_papers_flags():
    assert flags("--val").val_as_train
    assert flags("--batch 4 --feat l2n --model x").model_dir == "x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--test_open", "--test_open has no effect: nothing reads it"),
        ("--output_logits True", "--output_logits has no effect: nothing reads it"),
        ("--save_feat train", "--save_feat has no effect: nothing reads it"),
        ("--feat_type un", "--feat_type has no effect: it belongs to --knn"),
        ("--dist_type cos", "--dist_type has no effect: it belongs to --knn"),
        ("--knn", "--knn has no effect without --test"),
    ],
)
def test_flags_without_effect_say_so(text, said):
    assert notices(MAIN, flags(text)) == [said]
    check(flags(text))


def test_testing_what_never_trains():
    assert notices(MAIN, flags("--test")) == []
    assert notices(CORRECTION, flags("--test", CORRECTION)) == ["--test has no effect: stage two trains nothing anyway"]


def test_the_classifier_that_was_never_published():
    with pytest.raises(UserError, match=r"--knn cannot be done: .* was never published; --test alone"):
        check(flags("--test --knn"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--batch_size 0", "must be at least 1, got 0"),
        ("--batch_size many", "invalid integer value: 'many'"),
        ("--eval_heads 1,4", "must be last, all, or some of 1,2,3, each once, got 1,4"),
        ("--eval_heads 2,2", "must be last, all, or some of 1,2,3, each once"),
        ("--gpu 0,0", "names a GPU twice"),
        ("--num_epoch", "expected one argument"),
        ("--colour red", "unrecognized arguments: --colour red"),
    ],
)
def test_mistakes(text, said, capsys):
    with pytest.raises(SystemExit) as stop:
        flags(text)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_strengths_of_the_correction(capsys):
    assert flags("--taus 0,1.5,2", CORRECTION).taus == (0.0, 1.5, 2.0)
    for wrong in ("one", "1,,2", "-1"):
        with pytest.raises(SystemExit):
            flags(f"--taus={wrong}", CORRECTION)
        assert re.search(r"--taus: must be", capsys.readouterr().err)


def test_the_command_line_goes_before_the_file():
    text = (
        "--batch_size 4 --model_dir there --num_epochs 3 --num_workers 0 --eval_heads 3,1 --per_sample_weight --image_size 64"
    )
    config = configured(MAIN, flags(text))
    options = config.training_opt
    assert (options.batch_size, options.num_epochs, options.num_workers, options.image_size) == (4, 3, 0, 64)
    assert (config.model_dir, config.eval_heads, options.per_sample_weight) == ("there", "1,3", True)
    plain = configured(MAIN, flags())
    assert (plain.training_opt.batch_size, plain.training_opt.num_epochs, plain.model_dir) == (64, 200, None)
    assert configured(CORRECTION, flags("", CORRECTION)).model_dir == "./logs/iNaturalist18/models/resnet50"


def test_a_file_that_only_evaluates_is_not_trained_with():
    only_evaluates = "--cfg ./config/ImageNet_LT/resnet50_stage2.yaml"
    assert configured(MAIN, flags(f"{only_evaluates} --test")).trunk == "resnet50"
    with pytest.raises(UserError, match=r"missing: training_opt\.bins, training_opt\.gamma, training_opt\.base_weight"):
        configured(MAIN, flags(only_evaluates))


def test_where_images_lie():
    assert [data_root(name) for name in ("ImageNet_LT", "Places_LT", "iNaturalist18")] == list(DATA_ROOTS.values())
    assert data_root("ImageNet") == "./data/ImageNet_LT/"
    assert data_root("Mine", "/there") == "/there"
    with pytest.raises(UserError, match="where are the images of Mine"):
        data_root("Mine")


def test_where_networks_lie():
    assert model_dirs("./logs/iNaturalist18/stage1/resnet50") == (
        "./logs/iNaturalist18/stage1/resnet50",
        "./logs/iNaturalist18/models/resnet50",
    )
    assert model_dirs("./logs/Places_LT/stage1/resnet152")[-1] == "./logs/Places_LT/models/resnet152_caffe"
    assert model_dirs("logs/iNaturalist18/stage1/ViTB_16_ensemble_762")[-1] == "logs/iNaturalist18/models/ViTB_16_224"
    assert model_dirs("./logs/ImageNet_LT/models/resnet50")[1:] == ("./logs/ImageNet_LT/stage1/resnet50",)
    assert model_dirs("there/best.pth") == ("there/best.pth",)


def test_the_pretrained_file_with_a_space():
    assert pretrained_files("./pretrain/iNat18_ Res_128.pth") == (
        "./pretrain/iNat18_ Res_128.pth",
        "./pretrain/iNat18_Res_128.pth",
    )
    assert pretrained_files("a.pth") == ("a.pth",)


def test_a_configuration_is_read_without_torch_and_numpy():
    code = (
        "import sys\n"
        "from longtail_cadel.experiments import SCRIPTS\n"
        "from longtail_cadel.flags import configured, create_parser\n"
        "script = SCRIPTS['main_ViT']\n"
        "configured(script, create_parser(script).parse_args([]))\n"
        "print(sorted({'torch', 'numpy', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("script", ["main_ViT", "main_CNN_PC"])
def test_help_needs_neither_torch_nor_numpy(script):
    told = quick_help(FOLDER, f"{script}.py")
    assert "--cfg" in told
    assert "--max-steps" in told


def test_the_method_tells_of_itself_without_torch():
    assert "--eval-heads" in quick_help(FOLDER, "longtail", "train", "cadel")
