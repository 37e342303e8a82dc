"""The study's commands, rehearsed on fake data as a person would run them; and what a mistake is answered."""

import argparse
import json
import pickle
import re
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from longtail.backbones import create_backbone
from longtail.loading.augment import Draws
from longtail.loading.framing import CentreCrop
from longtail.testing import Killed, flattened, killed_at, link_scripts, quick_help, run_here
from longtail.training.execute import prepare
from longtail.training.runtime import RuntimeOptions
from longtail_rsg_study import training
from longtail_rsg_study.flags import create_test_parser, create_train_parser, dataset_name, run_name, switch
from longtail_rsg_study.method import RSGStudyOptions
from longtail_rsg_study.recipe import RSGStudy

METHOD = Path(__file__).parents[1]
DEFAULT_NAME = "ImageNet_LT_mini-ImageNet_resnext50_32x4d_normout_rsg_ldam_supcon"
SMALL = "python imagenet_lt_train.py --data_dir data/mini-ImageNet --cls_num 5 --arch resnet20 --batch-size 8 --rsg_width 8"
HOW = "--device cpu --workers 0"
NAME = "ImageNet_LT_mini-ImageNet_resnet20_normout_rsg_ldam_supcon"
TEST = f"python imagenet_lt_test.py --model_dir {NAME}"

NUMBER, PERCENT = r"\d+\.\d{4}", r"\d+\.\d{3}"
METERS = (
    rf"Time {PERCENT} \({PERCENT}\)\tData {PERCENT} \({PERCENT}\)\tLoss {NUMBER} \({NUMBER}\)\t"
    rf"Prec@1 {PERCENT} \({PERCENT}\)\tPrec@5 {PERCENT} \({PERCENT}\)\n"
)
RESULTS = (
    rf"val Results: Prec@1 {PERCENT} Prec@5 {PERCENT} Loss \d+\.\d{{5}}\n"
    rf"val Class Accuracy: \[(?:[01]\.\d{{3}},){{4}}[01]\.\d{{3}}\]\nBest Prec@1: {PERCENT}\n"
)


def flags(text=""):
    return create_train_parser().parse_args(text.split())


def refusal(parser, text, capsys):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(text.split())
    assert stop.value.code == 2
    return capsys.readouterr().err


# the command line


def test_defaults_are_those_of_the_readme():
    assert {name: value for name, value in vars(flags()).items() if name in PAPER} == PAPER
    assert flags().select == "val"
    test = create_test_parser().parse_args([])
    assert (test.batch_size, test.gpu, test.data_dir, test.checkpoint_dir, test.log_dir, test.model_dir) == (
        256,
        None,
        "data/mini-ImageNet",
        "./checkpoint",
        "./log",
        "ImageNet_LT_CIFAR10_resnext50_32x4d_normout_rsg_ldam_supcon",
    )


PAPER = {
    "arch": "resnext50_32x4d",
    "rand_number": 0,
    "workers": 4,
    "epochs": 20,
    "start_epoch": 0,
    "batch_size": 32,
    "lr": 1e-3,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "epoch_thresh": 160,
    "print_freq": 10,
    "seed": None,
    "gpu": None,
    "root_log": "log",
    "root_model": "checkpoint",
    "data_dir": "data/mini-ImageNet",
    "cls_num": 100,
    "head_tail_ratio": 0.2,
    "cbl_beta": 0.999,
    "norm_out": True,
    "add_rsg": True,
    "add_cross_entropy_loss": False,
    "add_ldam_loss": True,
    "ldam_weight_type": "icf",
    "ldam_loss_weight": 0.1,
    "add_focal_loss": False,
    "add_supcon_loss": True,
    "supcon_loss_weight": 0.9,
    "add_arc_margin_loss": False,
    "add_add_margin_loss": False,
    "add_sphere_loss": False,
}
SWITCHES = [name for name, value in PAPER.items() if isinstance(value, bool)]
SHORT = {"-a": "arch", "-j": "workers", "-b": "batch_size", "-p": "print_freq"}
OTHER_NAMES = {"--wd": "weight_decay", "--learning-rate": "lr", "--learning_rate": "lr"}


def test_every_flag_in_every_spelling():
    values = {"arch": "resnet50", "root_log": "a", "root_model": "b", "data_dir": "c/d", "ldam_weight_type": "cbl", "gpu": "3"}
    spellings = {f"--{name}": name for name in PAPER} | {f"--{name.replace('_', '-')}": name for name in PAPER}
    for spelling, name in {**spellings, **SHORT, **OTHER_NAMES}.items():
        if name in SWITCHES:
            continue
        text = values.get(name, "0.5" if isinstance(PAPER[name], float) else "7")
        expected = {"gpu": (3,)}.get(name, type(PAPER[name])(text) if PAPER[name] is not None else 7)
        assert getattr(flags(f"{spelling} {text}"), name) == expected, spelling


@pytest.mark.parametrize("name", SWITCHES)
def test_switches_mean_what_they_say(name):
    for spelling in (name, name.replace("_", "-")):
        for word in ("True", "true", "TRUE", "1", "yes", "Y", "t"):
            assert getattr(flags(f"--{spelling} {word}"), name) is True
        for word in ("False", "false", "0", "no", "N", "f"):
            assert getattr(flags(f"--{spelling}={word}"), name) is False
        assert getattr(create_train_parser().parse_args([f"--{spelling}", ""]), name) is False
        assert getattr(flags(f"--{spelling}="), name) is False
        assert getattr(flags(f"--{spelling}"), name) is True
        assert getattr(flags(f"--no-{spelling}"), name) is False
        assert getattr(flags(f"--no_{spelling}"), name) is False


def test_a_word_that_is_no_truth(capsys):
    said = refusal(create_train_parser(), "--add_rsg maybe", capsys)
    assert "argument --add_rsg/--add-rsg: must be True or False, got 'maybe'" in said
    with pytest.raises(argparse.ArgumentTypeError, match="must be True or False"):
        switch("2")


def test_options_of_the_method_have_their_flags():
    args = flags()
    args.input_size = 224
    options = training.method_options(args)
    assert options == RSGStudyOptions()
    given = {each.name for each in fields(options)} - {"augmentation", "jitter"}
    assert given <= set(vars(args))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("", DEFAULT_NAME),
        ("--data_dir data/mini-ImageNet/", DEFAULT_NAME),
        ("--data_dir data/CIFAR10 --cls_num 10", DEFAULT_NAME.replace("mini-ImageNet", "CIFAR10")),
        ("--data_dir CIFAR100", DEFAULT_NAME.replace("mini-ImageNet", "CIFAR100")),
        (
            "--norm_out False --add_rsg False --add_cross_entropy_loss True --add_ldam_loss False --add_supcon_loss False",
            "ImageNet_LT_mini-ImageNet_resnext50_32x4d_ce",
        ),
        ("--ldam_weight_type cbl --cbl_beta 0 --seed 3 --epochs 5", DEFAULT_NAME),
        (
            "--data_dir /a/b/CIFAR100 --arch resnet50 --no-norm_out --no-add_rsg --no-add_ldam_loss --no-add_supcon_loss "
            "--add_cross_entropy_loss --add_focal_loss --add_arc_margin_loss --add_add_margin_loss --add_sphere_loss",
            "ImageNet_LT_CIFAR100_resnet50_ce_focal_arcmar_addmar_sphere",
        ),
        ("--run_suffix seed3", f"{DEFAULT_NAME}_seed3"),
    ],
)
def test_run_names(command, name):
    assert run_name(flags(command)) == name


def test_names_of_data_sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [dataset_name(text) for text in ("a/b", "a/b//", "b", "a/./b/", "a/c/../b")] == ["b"] * 5
    assert dataset_name(".") == tmp_path.name


def test_help_imports_nothing_heavy():
    for script, flag in (("imagenet_lt_train.py", "--add_rsg"), ("imagenet_lt_test.py", "--model_dir")):
        told = quick_help(METHOD, script)
        assert flag in told
        assert "--max-steps" in told


def test_the_method_tells_of_itself_without_torch():
    assert "--add-rsg" in quick_help(METHOD, "longtail", "train", "rsg_study")


# what is trained, and what is shown


def made_by(text):
    """What a command trains, with its data."""
    args = flags(f"{text} {HOW}")
    training.settle(args)
    runtime = RuntimeOptions.from_arguments(args)
    data = training.load(args, runtime, speaking=True)
    return training.build(args, data, training.method_options(args), prepare(runtime), training.initial_weights(args)), data


def test_learning_rates(mini):
    stage, _ = made_by(f"--data_dir {mini}/data/mini-ImageNet --cls_num 5 --batch-size 8 --arch resnet20")
    base = stage.optimiser.param_groups[0]["lr"]
    rates = [base * stage.rate_factor(epoch, 0) for epoch in range(20)]
    published = (
        "1e-3 9e-4 8.1e-4 7.29e-4 6.561e-4 5.9049e-4 5.31441e-4 4.782969e-4 4.3046721e-4 3.8742049e-4 3.4867844e-4 3.138106e-4 "
        "2.8242954e-4 2.5418658e-4 2.2876792e-4 2.0589113e-4 1.8530202e-4 1.6677182e-4 1.5009464e-4 1.3508517e-4"
    )
    assert rates == pytest.approx([float(rate) for rate in published.split()], rel=1e-7)
    assert stage.epochs == 20
    assert stage.train.steps == 31 // 8


@pytest.fixture
def wide(tmp_path):
    """A picture that is no square, and a folder where every image of three classes is this picture."""
    picture = np.random.default_rng(0).integers(0, 256, (90, 150, 3), dtype=np.uint8)
    for part in ("train", "val", "test"):
        for label in "abc":
            folder = tmp_path / "wide" / part / label
            folder.mkdir(parents=True)
            Image.fromarray(picture).save(folder / "1.png")
    return torch.from_numpy(picture), tmp_path / "wide"


@pytest.mark.parametrize(
    ("command", "size", "mean", "val", "test"),
    [
        ("--arch resnet18", 224, 0.485, (256, False), (256, True)),
        ("--arch resnet18 --input_size 64", 64, 0.485, (73, False), (73, True)),
        ("--arch resnet32", 32, 0.4914, (32, True), (32, True)),
    ],
)
def test_framing(command, size, mean, val, test, wide):
    picture, root = wide
    stage, data = made_by(f"--data_dir {root} --cls_num 3 {command}")
    assert (data.image_size, data.mean[0]) == (size, mean)
    for part, (resize, keep_aspect) in ((data.val, val), (data.test, test)):
        image = next(iter(stage.shown(part).epoch(0))).images[0]
        pixels = 255 * (image.permute(1, 2, 0) * torch.tensor(data.std) + torch.tensor(data.mean))
        expected = CentreCrop(size, resize, keep_aspect=keep_aspect).frame(picture, Draws())
        torch.testing.assert_close(pixels, expected.float(), atol=1e-3, rtol=0)


def test_given_weights_are_the_network_s_but_for_the_classifier(mini, tmp_path, capsys):
    theirs = create_backbone("resnet20", num_classes=9, head="linear", seed=7)
    state = {f"module.{name}": value for name, value in theirs.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "theirs.pth.tar")
    command = f"--data_dir {mini}/data/mini-ImageNet --cls_num 5 --batch-size 8 --arch resnet20"
    fresh = made_by(command)[0].recipe.backbone.state_dict()
    begun = made_by(f"{command} --weights {tmp_path}/theirs.pth.tar")[0].recipe.backbone.state_dict()
    classifier = [name for name in begun if begun[name].shape == (64, 5) or begun[name].shape == (5, 64)]
    assert len(classifier) == 1
    for name, value in begun.items():
        assert torch.equal(value, fresh[name] if name in classifier else state[f"module.{name}"]), name
    assert "notice" not in capsys.readouterr().err


# runs


def read(path):
    return flattened(torch.load(path, weights_only=True))


def records(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "train_seconds"} for line in lines]


def untimed(path):
    return re.sub(r"(Time|Data) [^\t]*", "", path.read_text())


def test_readme_command(mini, in_terminal):
    done = in_terminal(
        "python imagenet_lt_train.py", f"--max-epochs 1 --max-steps 2 --cls_num 5 --arch resnet18 --input_size 64 -b 8 {HOW}"
    )
    assert done.returncode == 0, done.stderr
    rehearsed = DEFAULT_NAME.replace("resnext50_32x4d", "resnet18")
    log, kept = mini / "log" / rehearsed, mini / "checkpoint" / rehearsed
    line = rf"Epoch: \[0\]\[0/2\], lr: 0\.00100\t{METERS}Test: \[0/1\]\t{METERS}{RESULTS}\n"
    head = r"GPUs: \d+\n=> creating model 'resnet18'\ncls num list:\n\[8, 16, 2, 4, 1\]\n"
    ends = rf"Test: \[0/1\]\t{METERS}best epoch 0: test Prec@1 {PERCENT}\nlast epoch 0: test Prec@1 {PERCENT}\n"
    assert re.fullmatch(head + line.replace(r"\n\n", r"\n") + ends, done.stdout.replace("\n\n", "\n")), done.stdout
    notices = [each for each in done.stderr.splitlines() if each.startswith("notice: ")]
    assert len(notices) == 1
    assert "--epoch_thresh 15" in notices[0]

    files = {each.name for each in log.iterdir() if not each.name.startswith("events.")}
    assert files == {"args.json", "args.pkl", "log_train.csv", "log_test.csv", "run.json", "metrics.jsonl", "per_class.csv"}
    assert len(list(log.glob("events.*"))) == 1
    assert re.fullmatch(rf"Epoch: \[0\]\[0/2\], lr: 0\.00100\t{METERS}", (log / "log_train.csv").read_text())
    assert re.fullmatch(RESULTS, (log / "log_test.csv").read_text())
    arguments = json.loads((log / "args.json").read_text())
    assert (arguments["store_name"], arguments["cls_num_list"]) == (rehearsed, [8, 16, 2, 4, 1])
    assert (arguments["arch"], arguments["norm_out"], arguments["input_size"]) == ("resnet18", True, 64)
    assert vars(pickle.loads((log / "args.pkl").read_bytes())) == arguments

    assert {each.name for each in kept.iterdir()} == {"ckpt.pth.tar", "ckpt.best.pth.tar"}
    content = torch.load(kept / "ckpt.best.pth.tar", weights_only=True)
    assert {"epoch", "state_dict", "best_acc1", "optimizer"} < set(content)
    assert isinstance(content["best_acc1"], float)
    assert not [name for name in content["state_dict"] if "RSG" in name or name.startswith("module.")]
    record = json.loads((log / "run.json").read_text())
    assert record["identity"]["select"] == "val"
    assert record["results"]["best"]["samples"] == 10


@pytest.fixture(scope="module")
def finished(tmp_path_factory, fake_data):
    """A working folder with a run of one short epoch, to be copied."""
    folder = link_scripts(METHOD, tmp_path_factory.mktemp("finished"))
    (folder / "data").symlink_to(fake_data("mini-imagenet", num_classes=5, largest_class=16, test_per_class=2))
    done = run_here(folder, lambda: ("", ""), SMALL, f"{HOW} --max-epochs 1 --max-steps 2")
    assert done.returncode == 0
    return folder


@pytest.fixture
def trained(mini, finished):
    """A working folder with that run."""
    for kind in ("log", "checkpoint"):
        shutil.copytree(finished / kind, mini / kind)
    return mini


def test_test_command(trained, run):
    done = run(TEST, HOW)
    assert done.returncode == 0, done.stderr
    folder = trained / "log" / NAME
    line = (folder / "test.log").read_text()
    share = r"(?:\d+\.\d\d|absent)"
    assert re.fullmatch(
        rf"The overall accuracy: \d+\.\d\d\. The many shot accuracy: absent\. The median shot accuracy: absent\. "
        rf"The low shot accuracy: {share}\.",
        line,
    )
    assert done.stdout.startswith(f"{line}\ntest images        10\n")
    trained_to = json.loads((folder / "run.json").read_text())["results"]["best"]
    tested = json.loads((folder / "test" / "run.json").read_text())["results"]["test"]
    assert tested["per_class_accuracy"] == trained_to["per_class_accuracy"]
    assert (folder / "test" / "per_class.csv").is_file()
    again = run(TEST, HOW)
    assert (folder / "test.log").read_text() == line
    assert "an earlier evaluation was moved to" in again.stdout


def test_a_run_of_the_study_s_own_script(trained, run):
    """It left a pickle, and the margin heads in the checkpoint; folders of any name hold it."""
    theirs = trained / "elsewhere" / "theirs"
    theirs.mkdir(parents=True)
    arguments = argparse.Namespace(arch="resnet20", cls_num=5, norm_out=True, input_size=32)
    (theirs / "args.pkl").write_bytes(pickle.dumps(arguments))
    content = torch.load(trained / "checkpoint" / NAME / "ckpt.best.pth.tar", weights_only=True)
    state = {**content["state_dict"], "arc_margin.weight": torch.zeros(5, 64)}
    torch.save({"epoch": 1, "arch": "resnet20", "state_dict": state, "best_acc1": 1.0}, theirs / "ckpt.best.pth.tar")
    assert run(TEST, HOW).returncode == 0
    done = run("python imagenet_lt_test.py --model-dir theirs --log-dir elsewhere --checkpoint-dir elsewhere", HOW)
    assert done.returncode == 0, done.stderr
    assert "notice: not used of elsewhere/theirs/ckpt.best.pth.tar: arc_margin.weight" in done.stderr
    assert (theirs / "test.log").read_text() == (trained / "log" / NAME / "test.log").read_text()


def test_another_data_set_than_the_run_s(trained, run):
    (trained / "other").symlink_to("data/mini-ImageNet")
    done = run(f"{TEST} --data_dir other", HOW)
    assert done.returncode == 0, done.stderr
    assert "notice: the run learned on mini-ImageNet, and is tested on other\n" in done.stderr
    assert "notice: the classes of other do not fall in size" in done.stderr
    # 8 16 2 4 1: from 8 on many, up to 1 low
    line = (trained / "log" / NAME / "test.log").read_text()
    accuracies = json.loads((trained / "log" / NAME / "test" / "run.json").read_text())["results"]["test"]["per_class_accuracy"]
    assert f"The many shot accuracy: {50 * (accuracies[0] + accuracies[1]):.2f}. " in line
    assert f"The median shot accuracy: {50 * (accuracies[2] + accuracies[3]):.2f}. " in line
    assert line.endswith(f"The low shot accuracy: {100 * accuracies[4]:.2f}.")


ALL = (
    f"{SMALL} --no-norm_out --add_cross_entropy_loss --add_focal_loss --add_arc_margin_loss --add_add_margin_loss "
    "--add_sphere_loss --epochs 2 --epoch_thresh 0 --resample_epoch 1 --head_tail_ratio 0.4 --print-freq 1"
)
ALL_NAME = "ImageNet_LT_mini-ImageNet_resnet20_rsg_ce_ldam_focal_supcon_arcmar_addmar_sphere"


def test_killed_and_resumed_equals_uninterrupted(mini, run, capfd):
    assert run(ALL, HOW).returncode == 0
    whole = [mini / kind / ALL_NAME for kind in ("log", "checkpoint")]
    for folder in whole:
        folder.rename(folder.with_name("whole"))
    with killed_at(RSGStudy, 1, 2), pytest.raises(Killed):
        run(ALL, f"{HOW} --checkpoint-every 1")
    log, kept = (mini / kind / ALL_NAME for kind in ("log", "checkpoint"))
    assert not json.loads((log / "run.json").read_text())["finished"]
    capfd.readouterr()
    done = run(ALL, f"{HOW} --resume-auto")
    assert done.returncode == 0, done.stderr
    assert "Epoch: [0]" not in done.stdout
    assert records(log) == records(mini / "log" / "whole")
    assert any(each["train_generated"] > 0 for each in records(log))
    for name in ("ckpt.pth.tar", "ckpt.best.pth.tar"):
        mine, theirs = (dict(read(folder / name)) for folder in (kept, mini / "checkpoint" / "whole"))
        sizes = [place for place in mine if "log_sizes" in place]
        assert {place: mine[place] for place in mine if place not in sizes} == {
            place: theirs[place] for place in theirs if place not in sizes
        }
    for name in ("log_train.csv", "log_test.csv"):
        assert untimed(log / name) == untimed(mini / "log" / "whole" / name)
    assert (log / "per_class.csv").read_bytes() == (mini / "log" / "whole" / "per_class.csv").read_bytes()


def test_a_second_run_moves_the_first_aside(trained, run):
    done = run(f"{SMALL} --seed 1", f"{HOW} --max-epochs 1 --max-steps 1")
    assert done.returncode == 0, done.stderr
    assert f"notice: an earlier run was moved to log/{NAME}~1\n" in done.stdout
    assert (trained / "checkpoint" / f"{NAME}~1" / "ckpt.best.pth.tar").is_file()


@pytest.mark.parametrize(
    ("select", "part", "notice"),
    [("val", "val", False), ("last", "val", False), ("test", "test", True)],
)
def test_what_chooses_the_epoch(select, part, notice, mini, run):
    done = run(SMALL, f"{HOW} --max-epochs 1 --max-steps 1 --select {select}")
    assert done.returncode == 0, done.stderr
    assert ("the best epoch is chosen on the test set" in done.stderr) == notice
    (record,) = records(mini / "log" / NAME)
    assert {name for name in ("val", "test") if record[name] is not None} == {part}


def test_class_folders_without_validation_images(fake_data, workplace, run):
    theirs = fake_data("mini-imagenet", num_classes=5, largest_class=16, test_per_class=2) / "mini-ImageNet"
    root = workplace / "data" / "mine"
    root.mkdir(parents=True)
    for part in ("train", "test"):
        (root / part).symlink_to(theirs / part)
    done = run(SMALL.replace("mini-ImageNet", "mine"), f"{HOW} --max-epochs 1 --max-steps 1")
    assert done.returncode == 0, done.stderr
    assert re.search(r"notice: data/mine has no validation images; \d training images are held out", done.stderr)
    (record,) = records(workplace / "log" / NAME.replace("mini-ImageNet", "mine"))
    assert record["test"] is None
    assert record["val"]["samples"] > 0


@pytest.fixture
def own_lists(fake_data, workplace):
    """The folder of the same data set, whose lists can be replaced."""
    theirs = fake_data("mini-imagenet", num_classes=5, largest_class=16, test_per_class=2) / "mini-ImageNet"
    root = workplace / "data" / "mini-ImageNet"
    root.mkdir(parents=True)
    for each in theirs.iterdir():
        (root / each.name).symlink_to(each)
    return root


def test_validation_on_test_images_is_said(own_lists, run):
    (own_lists / "val.csv").unlink()
    (own_lists / "val.csv").symlink_to("test.csv")
    done = run(SMALL, f"{HOW} --max-epochs 1 --max-steps 1")
    assert done.returncode == 0, done.stderr
    assert "notice: validation and test of data/mini-ImageNet share images" in done.stderr


def test_another_list_of_training_images(own_lists, run):
    root = own_lists
    lines = (root / "train.csv").read_text()
    (root / "alltrain.csv").write_text(lines + lines.splitlines()[-1] + "\n")
    done = run(f"{SMALL} --train_list alltrain.csv", f"{HOW} --max-epochs 1 --max-steps 1")
    assert done.returncode == 0, done.stderr
    assert "cls num list:\n[8, 16, 2, 4, 2]\n" in done.stdout


def test_two_ranks_on_the_processor(mini, in_terminal):
    done = in_terminal(f"{SMALL} --gpu 0,1 --epoch_thresh -1", f"{HOW} --max-epochs 1 --max-steps 2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("cls num list:") == 1
    assert json.loads((mini / "log" / NAME / "run.json").read_text())["finished"]


# mistakes


def assert_refused(done, workplace, message, lines=2):
    """A mistake is answered on standard error, in so many lines, and nothing is written."""
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if not line.startswith(("notice:", "warning:"))]
    said = [line for line in said if "generated fake data" not in line]
    assert re.search(message, "\n".join(said)), done.stderr
    assert len(said) <= lines, done.stderr
    assert "Traceback" not in done.stderr
    assert not (workplace / "checkpoint").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("--cls_num 100", "--cls_num 100 contradicts the data: data/mini-ImageNet has 5 classes; give --cls_num 5"),
        ("--add_ldam_loss False --add_supcon_loss False", "no loss is on; switch on one of --add_cross_entropy_loss"),
        ("--no-add_ldam_loss --add_arc_margin_loss", "--add_arc_margin_loss: a margin head gives logits"),
        ("--start-epoch 20", "--start-epoch 20 leaves nothing to do: --epochs 20 ends before it"),
        ("--pretrained --weights x", "--pretrained and --weights both say what to begin with"),
        ("--pretrained", "torchvision has no first ImageNet weights of resnet20; give a checkpoint with --weights FILE"),
        ("--pretrained --arch resnet18", "cannot fetch https://[^ ]*: no network.\n.*--weights FILE"),
        ("--weights nothing.pth", "no checkpoint found at 'nothing.pth'"),
        ("--run_suffix a/b", "--run_suffix 'a/b' becomes part of a folder's name"),
        ("--input_size 224", "--arch resnet20 is a network for images of 32 pixels; for --input_size 224 take resnext50_32x4d"),
        ("--arch resnet50 --input_size 32", "--arch resnet50 is a network for images of 224 pixels.* take resnet32"),
        ("--arch resnet5000", "no backbone is called 'resnet5000'"),
        ("--ldam_weight_type cb", "argument --ldam_weight_type/--ldam-weight-type: invalid choice: 'cb'"),
        ("--cbl_beta 1", "argument --cbl_beta/--cbl-beta: must be at least 0 and at most 1, got 1"),
        ("--add_rsg perhaps", "argument --add_rsg/--add-rsg: must be True or False, got 'perhaps'"),
        ("--gpu x", "argument --gpu: must be the numbers of GPUs"),
        ("--train_list other.csv", "there is no data set in data/mini-ImageNet(.|\n)*data/mini-ImageNet/other.csv, val.csv"),
        ("--data_dir nowhere", "(?s)no data set in nowhere.*nowhere/train.csv, val.csv.*nowhere/train/CLASS/.*data fake "),
    ],
)
def test_mistakes(command, message, mini, run, monkeypatch):
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(mini / "cache"))
    lines = 5 if "_list" in command or "nowhere" in command else 3
    assert_refused(run(f"{SMALL} {command}", f"{HOW} --max-steps 1"), mini, message, lines)


def unreachable(*_arguments, **_options):
    raise OSError("no network")


def test_a_split_for_few_shot_learning(fake_data, workplace, run):
    theirs = fake_data("mini-imagenet", num_classes=5, largest_class=16, test_per_class=2) / "mini-ImageNet"
    for number, each in enumerate(sorted((theirs / "train").iterdir())):
        part = workplace / "data" / "mini-ImageNet" / ("train", "train", "train", "val", "test")[number]
        part.mkdir(parents=True, exist_ok=True)
        (part / each.name).symlink_to(each)
    done = run(SMALL, f"{HOW} --max-steps 1")
    assert_refused(done, workplace, "(?s)have no class in common.*longtail data make mini-imagenet-lt")


def test_an_option_without_effect(mini, run):
    done = run(f"{SMALL} --rand_number 3", f"{HOW} --max-epochs 1 --max-steps 1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("notice: --rand_number has no effect") == 1
    assert (mini / "log" / NAME).is_dir()


def test_a_run_that_is_not_there(trained, run):
    done = run("python imagenet_lt_test.py", HOW)
    assert done.returncode == 2
    assert "no run --model_dir ImageNet_LT_CIFAR10_resnext50_32x4d_normout_rsg_ldam_supcon" in done.stderr
    assert f"there are:\n  {NAME}\n" in done.stderr
    assert "there is none yet" in run("python imagenet_lt_test.py --log_dir empty", HOW).stderr
    (trained / "checkpoint" / NAME / "ckpt.best.pth.tar").unlink()
    assert f"there is no checkpoint/{NAME}/ckpt.best.pth.tar" in run(TEST, HOW).stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cls_num": 10}, "--data_dir data/mini-ImageNet has 5 classes, and the run --model_dir ImageNet.* tells 10 apart"),
        ({"arch": "resnet32"}, "is a checkpoint of another network than the run's arguments say"),
        ({"norm_out": False}, "is a checkpoint of another network than the run's arguments say"),
        ({"arch": None}, "no backbone is called 'None'"),
        ({"cls_num": "many"}, "the arguments of the run in log/.* are incomplete or damaged"),
    ],
)
def test_arguments_that_do_not_fit(change, message, trained, run):
    path = trained / "log" / NAME / "args.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    done = run(TEST, HOW)
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
