"""The paper's command, byte for byte, rehearsed on fake data as a person would run it; and what a mistake is answered."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from longtail.testing import quick_help
from longtail.training import launch
from longtail_lcsl.experiments import EXPERIMENTS
from longtail_lcsl.flags import as_given, create_parser, run_name
from longtail_lcsl.logs import result_lines
from longtail_lcsl.training import augmentation, notices

SCRIPTS = Path(__file__).parents[1]

PUBLISHED = """python train_LCSL.py --dataset='cifar100' --batch_size=64 --imb_factor=0.01 --alpha=1. --beta=1. --lr=0.01 \\
--gpu=0 --weight_decay=5e-3 --epochs=300 --lambda_init=0.5
"""
FOUR_GPUS = PUBLISHED.replace("--gpu=0", "--gpu=0,1,2,3")
SMALL = "python train_LCSL.py --dataset=cifar10 --imb_factor=0.1 --epochs=2 --warmup_epochs=1 --batch_size=32 --gpu=0"
QUICK = "--arch resnet20 --device cpu --max-steps 2"
NAME = "LCSL_cifar10_IF_10_data_aug_none_network_ResNet32_arch_resnet20"

TRAIN_OR_TEST = r"\tloss: \d+\.\d{6} \| acc-all: [01]\.\d{5} \| acc-avg-cls: [01]\.\d{5} \| %s time: \d+\.\d{5}"
IN_LOG = r"\t%s: loss:\d+\.\d{6}, acc-all:[01]\.\d{5}, acc-avg-cls:[01]\.\d{5}"
VERDICT = (
    r"\t-----------> New best accuracy:0\.00000\n\n"
    r"|\t-----------> New best accuracy:(?!0\.00000)[01]\.\d{5}\n\t-----------> Load new weights for the pseudo teacher\n\n"
    r"|\tCurrent best accuracy:[01]\.\d{5}\n\tCurrent count_epoch: {2}1\n\n"
)


def flags(text):
    return create_parser().parse_args(text.split())


def said_about(epoch, epochs, rate):
    """A pattern of the console's lines about an epoch, 1-based."""
    return (
        f"Adjusting learning rate to  {re.escape(rate)}\n\nEpoch {epoch}/{epochs}\n----------\n"
        f"{TRAIN_OR_TEST % 'training'}\n{TRAIN_OR_TEST % 'testing'}\n(?:{VERDICT})"
    )


def said_at_the_end(final):
    """The lines about the final evaluation, given the results of `run.json`."""
    return (
        f"The results on test dataset:\n{result_lines(final['flip'])}\n\n"
        f"Apply L2 at the FC layer\n{result_lines(final['tau_normalised_flip'])}\n\n"
    )


def check_console(said, head, rates, epochs, final):
    """Everything that a run says on standard output."""
    pattern = re.escape(head) + "".join(said_about(1 + index, epochs, rate) for index, rate in enumerate(rates))
    assert re.fullmatch(pattern + re.escape(said_at_the_end(final)), said), said


def check_files(folder, epochs, rates):
    """The paper's files of a run of these epochs; returns what `run.json` tells."""
    name, done = folder.name, len(rates)
    papers = {"args.txt", "checkpoints", f"{name}_best.pth", f"{name}_train.log", f"{name}_note_bestModel.log"}
    figures = {each.name for each in folder.glob("*.png")}
    assert {each.name for each in folder.iterdir()} == papers | figures | {"run.json", "metrics.jsonl", "per_class.csv"}
    latest = f"epoch_{done:03d}_model.pth"
    assert {each.name for each in (folder / "checkpoints").iterdir()} == {"training_state.pth", "log.json", latest}

    records = json.loads((folder / "checkpoints" / "log.json").read_text())
    assert list(records) == ["loss_train", "loss_test", "acc_train", "acc_test", "lr"]
    assert {len(values) for values in records.values()} == {done}
    assert records["lr"] == pytest.approx(rates)
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [each["test"]["balanced_accuracy"] for each in metrics] == records["acc_test"]
    assert [each["train_balanced_accuracy"] for each in metrics] == records["acc_train"]

    lines = "".join(f"\nEpoch {1 + i}/{epochs}\n-{{10}}\n{IN_LOG % 'training'}\n{IN_LOG % 'testing'}\n" for i in range(done))
    assert re.fullmatch(lines, (folder / f"{name}_train.log").read_text())
    notes = (folder / f"{name}_note_bestModel.log").read_text()
    line = r"The best model is achieved at epoch-(\d+): loss\d+\.\d{5}, acc-all:[01]\.\d{5}, acc-avg-cls:([01]\.\d{5})\.\n"
    assert re.fullmatch(f"(?:{line})+", notes)
    best_epoch, best = re.findall(line, notes)[-1]
    assert best == f"{max(records['acc_test']):.5f}"
    assert records["acc_test"].index(max(records["acc_test"])) == int(best_epoch) - 1

    record = json.loads((folder / "run.json").read_text())
    assert record["finished"]
    assert record["results"]["best"]["epoch"] == int(best_epoch) - 1
    assert record["results"]["best"]["balanced_accuracy"] == max(records["acc_test"])
    assert list(record["results"]["final"]) == ["flip", "tau_normalised", "tau_normalised_flip"]
    weights = torch.load(folder / f"{name}_best.pth", weights_only=True)
    numbered = torch.load(folder / "checkpoints" / latest, weights_only=True)
    state = torch.load(folder / "checkpoints" / "training_state.pth", weights_only=True)
    assert list(weights) == list(numbered) == list(state["state_dict"])
    assert all(torch.equal(numbered[key], state["state_dict"][key]) for key in numbered)
    # the teacher is the best epoch's student, but for its classifier's rows; one that is never right is none
    assert bool(state["longtail"]["recipe"]["can_teach"]) == (max(records["acc_test"]) > 0)
    if not max(records["acc_test"]):
        return record
    teacher = {key[8:]: value for key, value in state["longtail"]["recipe"].items() if key.startswith("teacher.")}
    classifier = next(key for key in weights if weights[key].ndim == 2)
    assert all(torch.equal(teacher[key], weights[key]) for key in weights if key != classifier)
    torch.testing.assert_close(teacher[classifier], torch.nn.functional.normalize(weights[classifier]))
    return record


def check_figures(folder, names):
    assert {each.name for each in folder.glob("*.png")} == names
    for name in names:
        with Image.open(folder / name) as image:
            assert image.format == "PNG"
            assert image.width >= 1000
            assert image.height >= 600


def test_published_command(data, in_terminal):
    folder = data("cifar100") / "LCSL_cifar100_IF_100_data_aug_none_network_ResNet32_arch_resnet32"
    done = in_terminal(PUBLISHED, "--max-epochs 2 --max-steps 2 --arch resnet32 --device cpu")
    assert done.returncode == 0, done.stderr
    head = (
        f"Choose GPU index:  0\n{torch.__version__}\nUsing regular transform\n"
        "#Examples in train-set: 10847\n#Examples in test-set: 10000\n#train batch: 170 \t#test batch: 157\n"
        f"project_name:  {folder.name}\n"
    )
    record = check_files(folder, 300, [0.001, 0.002])
    check_console(done.stdout, head, ["0.001", "0.002"], 300, record["results"]["final"])
    check_figures(folder, {f"train_test_curve_{folder.name}.png", f"visual_{folder.name}.png", f"visual_{folder.name}_l2.png"})
    assert json.loads((folder / "args.txt").read_text()) == {
        "image_size": 32,
        "dataset": "cifar100",
        "batch_size": 64,
        "optimizer": "sgd",
        "imb_type": "exp",
        "imb_factor": 0.01,
        "alpha": 1.0,
        "beta": 1.0,
        "tau": 1.0,
        "lr": 0.01,
        "weight_decay": 0.005,
        "warmup_epochs": 10,
        "data_aug": "none",
        "epochs": 300,
        "gpu": "0",
        "fc_norm": 1.9,
        "start_epoch": 1,
        "lambda_init": 0.5,
        "nClasses": 100,
        "network": "ResNet32",
    }
    assert (folder / "args.txt").read_text().startswith('{\n  "image_size": 32,\n  "dataset": "cifar100",\n')
    assert record["class_counts"][:5] == [500, 477, 455, 434, 415]
    assert record["identity"]["data"] == "cifar100"


def test_the_default_network_is_wide(small_cifar, run):
    done = run(SMALL, "--device cpu --max-epochs 1 --max-steps 1 --batch_size 4 --beta 0")
    assert done.returncode == 0, done.stderr
    folder = small_cifar / "LCSL_cifar10_IF_10_data_aug_none_network_ResNet32"
    weights = torch.load(folder / f"{folder.name}_best.pth", weights_only=True)
    assert len(weights) == 218
    assert weights["fc.weight"].shape == (10, 512)
    assert json.loads((folder / "run.json").read_text())["parameters"] == 21_282_122


def test_two_ranks_on_the_processor(small_cifar, in_terminal):
    done = in_terminal(SMALL.replace("--gpu=0", "--gpu=0,1"), QUICK)
    assert done.returncode == 0, done.stderr
    head = (
        f"Choose GPU index:  0,1\n{torch.__version__}\nUsing regular transform\n"
        "#Examples in train-set: 78\n#Examples in test-set: 30\n#train batch: 3 \t#test batch: 1\n"
        f"Training with multi GPU\nproject_name:  {NAME}\n"
    )
    record = check_files(small_cifar / NAME, 2, [0.01, 0.005])
    check_console(done.stdout, head, ["0.01", "0.005"], 2, record["results"]["final"])
    assert sum(line.startswith("notice: the teacher") for line in done.stderr.splitlines()) == 1


@pytest.fixture
def gpus(monkeypatch):
    """Gives the machine this many GPUs, as far as is visible before any is used."""

    def have(number):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.delenv("RANK", raising=False)

    return have


@pytest.mark.parametrize(
    ("number", "command", "used", "processes"),
    [
        (1, "train_LCSL.py", (0,), None),
        (1, FOUR_GPUS, (0,), None),
        (2, FOUR_GPUS, (0, 1), 2),
        (4, FOUR_GPUS, (0, 1, 2, 3), 4),
        (2, "train_LCSL.py", (1,), None),
        (0, FOUR_GPUS, (0, 1, 2, 3), 4),
    ],
)
def test_gpus_that_are_not_there_are_left_out(number, command, used, processes, gpus, capsys):
    gpus(number)
    args = flags(command.split("train_LCSL.py")[1].replace("\\\n", "").replace("'", ""))
    assert launch.those_here(args.gpu, args.device) == used
    warned = capsys.readouterr().err
    assert bool(warned) == (number > 0 and used != args.gpu)
    if warned:
        assert warned == (
            f"warning: {launch.in_words(args.gpu)}: this machine has {number} GPU(s), numbered from 0; "
            f"using {launch.in_words(used)}\n"
        )
    plan = launch.plan_ranks(used, args.device)
    assert (plan and plan.processes) == processes


LARGE = {
    "imagenet-lt-csv": ("--dataset=imagenet", "LCSL_imagenet_data_aug_none_network_ResNeXt50"),
    "imagenet-lt": ("--dataset=imagenet --data_aug=rand", "LCSL_imagenet_data_aug_rand_network_ResNeXt50"),
    "inat18-json": ("--dataset=inaturalist --data_aug=sim_aug", "LCSL_inaturalist_data_aug_sim_aug_network_ResNet50"),
}
FEW = {"num_classes": 6, "largest_class": 12, "test_per_class": 1}


@pytest.mark.parametrize("layout", LARGE)
def test_images_in_files(layout, data, run):
    command, name = LARGE[layout]
    folder = data(layout, **FEW) / f"{name}_arch_resnet18"
    words = f"python train_LCSL.py {command} --epochs=1 --warmup_epochs=0 --batch_size=2 --workers=0"
    done = run(words, "--arch resnet18 --device cpu --max-steps 1")
    assert done.returncode == 0, done.stderr
    counts = json.loads((folder / "run.json").read_text())["class_counts"]
    assert len(counts) == 6
    chosen = re.search("--data_aug=(.*)", command)
    used = f"Using data augmentation:  {chosen[1] if chosen else 'none'}\n"
    head = (
        f"Choose GPU index:  1\n{torch.__version__}\n{used}{used}"
        f"#Examples in train-set: {sum(counts)}\n#Examples in test-set: 6\n"
        f"#train batch: {-(-sum(counts) // 2)} \t#test batch: 3\nproject_name:  {folder.name}\n"
    )
    record = check_files(folder, 1, [0.005])
    check_console(done.stdout, head, ["0.005"], 1, record["results"]["final"])
    check_figures(folder, {f"train_test_curve_{folder.name}.png"})
    assert record["identity"]["data"] == layout
    assert "imb" not in done.stderr


@pytest.mark.parametrize(
    ("dataset", "values"),
    [
        ("cifar10", {"none": "standard", "None": "standard", "": "standard", "sim_aug": "policy", "AutoAug": "policy"}),
        ("cifar100", {"none": "standard", "None": "standard", "": "standard", "sim_aug": "policy", "AutoAug": "policy"}),
        ("imagenet", {"none": "standard", "None": "policy", "": "policy", "sim_aug": "distortions", "rand": "policy"}),
        ("inaturalist", {"none": "standard", "None": "policy", "": "policy", "sim_aug": "distortions", "rand": "policy"}),
    ],
)
def test_data_aug(dataset, values):
    assert {value: augmentation(EXPERIMENTS[dataset], value) for value in values} == values


@pytest.mark.parametrize("text", ["None", "AutoAug"])
def test_the_console_names_cifars_augmentation(text, small_cifar, run):
    done = run(f"{SMALL} --data_aug={text}", f"{QUICK} --max-epochs 1 --max-steps 1")
    assert done.returncode == 0, done.stderr
    said = "Using Auto-Augmentation transform" if text == "AutoAug" else "Using regular transform"
    assert done.stdout.splitlines()[2] == said
    assert (small_cifar / NAME.replace("aug_none", f"aug_{text}")).is_dir()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("", "LCSL_cifar100_IF_100_data_aug_none_network_ResNet32"),
        ("--imb_factor .02", "LCSL_cifar100_IF_50_data_aug_none_network_ResNet32"),
        ("--imb_factor .05", "LCSL_cifar100_IF_20_data_aug_none_network_ResNet32"),
        ("--imb_factor .03", "LCSL_cifar100_IF_33_data_aug_none_network_ResNet32"),
        ("--imb_factor .005", "LCSL_cifar100_IF_200_data_aug_none_network_ResNet32"),
        ("--dataset cifar10 --imb_factor 1", "LCSL_cifar10_IF_1_data_aug_none_network_ResNet32"),
        ("--dataset imagenet", "LCSL_imagenet_data_aug_none_network_ResNeXt50"),
        ("--dataset inaturalist", "LCSL_inaturalist_data_aug_none_network_ResNet50"),
        ("--arch cifar_resnet34", "LCSL_cifar100_IF_100_data_aug_none_network_ResNet32"),
        ("--arch resnet32 --seed 4", "LCSL_cifar100_IF_100_data_aug_none_network_ResNet32_arch_resnet32_seed_4"),
    ],
)
def test_names_of_runs(command, name):
    args = flags(command)
    assert run_name(args, EXPERIMENTS[args.dataset]) == name


def test_abbreviations_mean_the_papers_flags():
    args = flags("--lambda 0.4 --batch 8 --warm 3 --a 2 --be 3 --e 7 --start 2 --optim adam --wei 0 --ima 64 --fc 0 --ta 2")
    assert as_given(args) == {
        **as_given(flags("")),
        **{"lambda_init": 0.4, "batch_size": 8, "warmup_epochs": 3, "alpha": 2, "beta": 3, "epochs": 7, "start_epoch": 2},
        **{"optimizer": "adam", "weight_decay": 0, "image_size": 64, "fc_norm": 0, "tau": 2},
    }
    assert as_given(flags("--gpu 2,0"))["gpu"] == "2,0"


@pytest.mark.parametrize(
    ("command", "start"),
    [
        ("--optimizer adam", "--optimizer adam has no effect"),
        ("--image_size 64", "--image_size 64 has no effect: images of CIFAR-100-LT have 32 pixels"),
        ("--dataset imagenet --image_size 128", "--image_size 128 has no effect: images of ImageNet-LT have 224 pixels"),
        ("--dataset imagenet --imb_factor 0.1", "--imb_type and --imb_factor have no effect: ImageNet-LT"),
        ("--dataset inaturalist --imb_type step", "--imb_type and --imb_factor have no effect: iNaturalist 2018"),
        ("--epochs 10", "--warmup_epochs 10: all 10 epochs are warm-up"),
        ("--lambda_init 1.5", "--lambda_init 1.5: no confidence reaches that"),
        ("--select test", "the teacher is the best epoch's network, so it is chosen on the test set as well"),
    ],
)
def test_notices(command, start):
    args = flags(f"--select last {command}")
    (notice,) = notices(EXPERIMENTS[args.dataset], args)
    assert notice.startswith(start)


@pytest.mark.parametrize(
    "command", ["--optimizer SGD", "--dataset imagenet --image_size 224", "--epochs 11", "--beta 0 --lambda_init 2"]
)
def test_nothing_to_notice(command):
    args = flags(f"--select last {command}")
    assert not notices(EXPERIMENTS[args.dataset], args)


def test_without_the_second_loss_there_is_no_teacher(small_cifar, run):
    done = run(f"{SMALL} --beta 0", QUICK)
    assert done.returncode == 0, done.stderr
    assert "teacher" not in done.stdout + done.stderr
    state = torch.load(small_cifar / NAME / "checkpoints" / "training_state.pth", weights_only=True)
    assert not any(key.startswith("teacher.") for key in state["longtail"]["recipe"])
    metrics = [json.loads(line) for line in (small_cifar / NAME / "metrics.jsonl").read_text().splitlines()]
    assert {each["train_self_labelled"] for each in metrics} == {0}
    assert [each["train_loss"] for each in metrics] == [each["train_mixup_loss"] for each in metrics]


def test_the_best_epoch_may_be_the_last(small_cifar, run):
    done = run(SMALL, f"{QUICK} --select last")
    assert done.returncode == 0, done.stderr
    assert "notice: the" not in done.stderr
    folder = small_cifar / NAME
    results = json.loads((folder / "run.json").read_text())["results"]
    assert results["best"]["epoch"] == results["final"]["flip"]["epoch"] == 1
    best = torch.load(folder / f"{NAME}_best.pth", weights_only=True)
    latest = torch.load(folder / "checkpoints" / "epoch_002_model.pth", weights_only=True)
    assert all(torch.equal(best[key], latest[key]) for key in latest)


def test_the_best_epoch_may_be_chosen_on_held_out_images(small_cifar, run):
    done = run(SMALL, f"{QUICK} --select val --val-fraction 0.3")
    assert done.returncode == 0, done.stderr
    assert "notice: the" not in done.stderr
    assert "#Examples in train-set: 78" not in done.stdout
    metrics = [json.loads(line) for line in (small_cifar / NAME / "metrics.jsonl").read_text().splitlines()]
    scores = [each["val"]["balanced_accuracy"] for each in metrics]
    results = json.loads((small_cifar / NAME / "run.json").read_text())["results"]
    assert results["final"]["flip"]["epoch"] == results["best"]["epoch"] == scores.index(max(scores))


def test_a_second_run_moves_the_first_aside(small_cifar, run):
    quick = f"{QUICK} --max-epochs 1"
    assert run(SMALL, quick).returncode == 0
    first = small_cifar / NAME / "args.txt"
    kept = first.read_bytes()
    done = run(f"{SMALL} --alpha 2", quick)
    assert done.returncode == 0, done.stderr
    assert f"notice: an earlier run was moved to {NAME}~1\n" in done.stdout
    assert (small_cifar / f"{NAME}~1" / "args.txt").read_bytes() == kept
    assert json.loads(first.read_text())["alpha"] == 2


def test_without_matplotlib_there_are_no_figures(small_cifar, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    done = run(SMALL, f"{QUICK} --max-epochs 1")
    assert done.returncode == 0, done.stderr
    assert "notice: no figures: plots need matplotlib: pip install 'longtail-common[report]'\n" in done.stderr
    assert not list((small_cifar / NAME).glob("*.png"))
    assert json.loads((small_cifar / NAME / "run.json").read_text())["finished"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("--dataset=cifar10", "(?s)cifar-10-batches-py.*longtail data fake --layout cifar10 "),
        ("--dataset=cifar100", "(?s)cifar-100-python.*longtail data fake --layout cifar100 "),
        ("--dataset=imagenet", "(?s)train.csv.*datasets/ImageNet-LT.*longtail data fake --layout imagenet-lt-csv "),
        ("--dataset=inaturalist", "(?s)train2018.json.*longtail data fake --layout inat18-json "),
    ],
)
def test_data_that_are_not_there(command, message, workplace, run, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    done = run(f"python train_LCSL.py {command}", "--device cpu --max-steps 1")
    assert_refused(done, workplace, message, lines=12)


def unreachable(*_arguments, **_options):
    raise OSError("no network")


def assert_refused(done, workplace, message, lines=2):
    """A mistake is answered on standard error, in so many lines, and nothing is written."""
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if not line.startswith(("notice:", "warning:"))]
    said = [line for line in said if "generated fake data" not in line]
    assert re.search(message, "\n".join(said)), done.stderr
    assert len(said) <= lines, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(workplace.glob("LCSL_*"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("--dataset svhn", "argument --dataset: invalid choice: 'svhn'"),
        ("--imb_type none", "argument --imb_type: invalid choice: 'none'"),
        ("--imb_factor 0", "argument --imb_factor: must be greater than 0 and at most 1, got 0"),
        ("--imb_factor 0.001", "class 4 would get no image"),
        ("--arch resnet5000", "no backbone is called 'resnet5000'"),
        ("--arch resnet18", "--arch resnet18 is a network for images of 224 pixels; for CIFAR-10-LT take cifar_resnet34"),
        ("--start_epoch 4", "--start_epoch 4 lies beyond --epochs 2; the last one is 3, which only evaluates"),
        ("--start_epoch 0", "argument --start_epoch: must be at least 1, got 0"),
        ("--alpha 0 --beta 0", "--alpha 0 and --beta 0 leave no loss"),
        ("--alpha nan", "argument --alpha: must be at least 0, got nan"),
        ("--tau 0", "argument --tau: must be greater than 0, got 0"),
        ("--lr 0", "argument --lr: must be greater than 0, got 0"),
        ("--epochs 0", "argument --epochs: must be at least 1, got 0"),
        ("--data_aug ../elsewhere", "--data_aug '../elsewhere' becomes part of a folder's name"),
        ("--gpu x", "argument --gpu: must be the numbers of GPUs, such as 0 or 0,1, got 'x'"),
        ("--gpu 0,0", "names a GPU twice"),
        ("--data x", "ambiguous option: --data could match"),
        ("--root elsewhere", "elsewhere"),
        ("--no-such-flag", "unrecognized arguments: --no-such-flag"),
    ],
)
def test_mistakes(command, message, small_cifar, run, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    lines = 12 if "--root" in command else 3
    assert_refused(run(f"{SMALL} {command}", "--device cpu --max-steps 1"), small_cifar, re.escape(message), lines)


def test_a_network_for_small_images(data, run):
    workplace = data("imagenet-lt-csv", **FEW)
    done = run("python train_LCSL.py --dataset imagenet --arch resnet32", "--device cpu")
    assert_refused(
        done, workplace, "--arch resnet32 is a network for images of 32 pixels; for ImageNet-LT take resnext50_32x4d"
    )


def test_a_class_without_a_training_image(fake_data, workplace, run):
    root, theirs = workplace / "datasets" / "ImageNet-LT", fake_data("imagenet-lt-csv", **FEW) / "ImageNet-LT"
    root.mkdir(parents=True)
    for entry in theirs.iterdir():
        if entry.name in ("train", "val", "val.csv"):
            (root / entry.name).symlink_to(entry)
    rows = (theirs / "train.csv").read_text().splitlines(keepends=True)
    (root / "train.csv").write_text("".join(row for row in rows if not row.startswith("train,3,")))
    done = run("python train_LCSL.py --dataset imagenet --arch resnet18 --workers 0", "--device cpu --max-steps 1")
    assert_refused(done, workplace, r"datasets/ImageNet-LT/train\.csv: class 3 has no image")


def test_an_earlier_run_survives_mistakes(small_cifar, run):
    earlier = small_cifar / NAME / "args.txt"
    earlier.parent.mkdir()
    earlier.write_text("{}")
    for mistake in ("--alpha 0 --beta 0", "--start_epoch 4", "--imb_type no", "--imb_factor 0.1 --start_epoch 2"):
        assert run(f"{SMALL} {mistake}", QUICK).returncode == 2
    assert [each.name for each in small_cifar.glob("LCSL_*")] == [NAME]
    assert [each.name for each in earlier.parent.iterdir()] == ["args.txt"]


def test_help_imports_nothing_heavy():
    told = quick_help(SCRIPTS, "train_LCSL.py")
    assert "--lambda_init" in told
    assert "--max-steps" in told


def test_the_method_tells_of_itself_without_torch():
    assert "--normalise-teacher" in quick_help(SCRIPTS, "longtail", "train", "lcsl")
