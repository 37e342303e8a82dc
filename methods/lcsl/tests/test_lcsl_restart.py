"""Interrupted runs go on: with `--resume-auto`, and with the paper's `--start_epoch`, from files of ours or of its script."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from longtail.backbones import create_backbone
from longtail.testing import Killed, flattened, killed_at, link_scripts, run_here
from longtail.training.run_folder import CheckpointNames, Run
from longtail.training.stage import create_sgd
from longtail_lcsl.classifier import tau_normalised
from longtail_lcsl.recipe import LCSL, SelfLabelling
from longtail_lcsl.restart import Restart

NAME = "LCSL_cifar10_IF_10_data_aug_none_network_ResNet32_arch_resnet20"
COMMAND = (
    "python train_LCSL.py --dataset=cifar10 --imb_factor=0.1 --epochs=4 --warmup_epochs=1 --batch_size=16 --lr=0.05 "
    "--lambda_init=0.2 --gpu=0"
)
HOW = "--arch resnet20 --device cpu"
STATE = "checkpoints/training_state.pth"


@pytest.fixture(scope="module", autouse=True)
def no_figures():
    """They take as long as these small runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
        yield


@pytest.fixture(scope="module")
def whole(fake_data, tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    place = link_scripts(Path(__file__).parents[1], tmp_path_factory.mktemp("whole"))
    (place / "datasets").symlink_to(fake_data("cifar10", largest_class=20, test_per_class=3))
    assert run_here(place, lambda: ("", ""), COMMAND, HOW).returncode == 0
    return place / NAME


@pytest.fixture
def folder(small_cifar):
    """The folder of this test's run, not made yet."""
    return small_cifar / NAME


@pytest.fixture
def killed(run):
    """Runs the command until a batch of an epoch, both from 0, when nothing of it is left."""

    def at(epoch, step, appended):
        with killed_at(LCSL, epoch, step), pytest.raises(Killed):
            run(COMMAND, appended)

    return at


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in each.items() if key != "train_seconds"} for each in lines]


def weights(path):
    return torch.load(path, weights_only=True)


def assert_same(folder, whole):
    """Two folders hold the same to the bit, but for what tells of time or of how the run was started."""
    for name in ("checkpoints/log.json", f"{NAME}_train.log", f"{NAME}_note_bestModel.log", "per_class.csv"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert metrics(folder) == metrics(whole)
    # lines of metrics are as long as their wall times are
    states = [[pair for pair in flattened(weights(each / STATE)) if "metrics.jsonl" not in pair[0]] for each in (folder, whole)]
    assert states[0] == states[1]
    for name in (f"{NAME}_best.pth", "checkpoints/epoch_004_model.pth"):
        assert flattened(weights(folder / name)) == flattened(weights(whole / name)), name
    runs = [json.loads((each / "run.json").read_text()) for each in (folder, whole)]
    assert runs[0]["results"] == runs[1]["results"]
    assert runs[0]["identity"] == runs[1]["identity"]
    assert {each.name for each in folder.iterdir()} == {each.name for each in whole.iterdir()}
    assert {each.name for each in (folder / "checkpoints").iterdir()} == {
        each.name for each in (whole / "checkpoints").iterdir()
    }


def test_the_run_is_one_in_which_the_teacher_matters(whole):
    assert max(each["train_self_labelled"] for each in metrics(whole)) > 0
    assert metrics(whole)[0]["train_self_labelled"] == 0


@pytest.mark.parametrize(("place", "every"), [((2, 3), 2), ((1, 4), 3), ((2, 1), None)])
def test_killed_and_resumed_equals_uninterrupted(place, every, whole, folder, killed, run):
    killed(*place, HOW if every is None else f"{HOW} --checkpoint-every {every}")
    assert not json.loads((folder / "run.json").read_text())["finished"]
    done = run(COMMAND, f"{HOW} --resume-auto")
    assert done.returncode == 0, done.stderr
    assert_same(folder, whole)
    assert (folder / "args.txt").read_bytes() == (whole / "args.txt").read_bytes()


@pytest.mark.parametrize("epoch", [2, 4])
def test_started_at_the_next_epoch_equals_uninterrupted(epoch, whole, folder, run):
    first = run(COMMAND, f"{HOW} --max-epochs {epoch - 1}")
    assert first.returncode == 0, first.stderr
    done = run(f"{COMMAND} --start_epoch {epoch}", HOW)
    assert done.returncode == 0, done.stderr
    assert f"Epoch {epoch}/4\n" in done.stdout
    assert f"Epoch {epoch - 1}/4\n" not in done.stdout
    assert_same(folder, whole)
    assert json.loads((folder / "args.txt").read_text())["start_epoch"] == epoch
    assert not folder.with_name(f"{NAME}~1").exists()


def test_one_more_than_the_epochs_only_evaluates(whole, folder, run):
    shutil.copytree(whole, folder)
    done = run(f"{COMMAND} --start_epoch 5", HOW)
    assert done.returncode == 0, done.stderr
    assert "Epoch" not in done.stdout
    assert "The results on test dataset:\nacc avgClass:  " in done.stdout
    assert_same(folder, whole)


def test_evaluating_early_leaves_the_run_what_it_was(whole, folder, run):
    assert run(COMMAND, f"{HOW} --max-epochs 2").returncode == 0
    done = run(COMMAND, f"{HOW} --start_epoch 3 --epochs 2")
    assert done.returncode == 0, done.stderr
    assert "Epoch" not in done.stdout
    assert run(COMMAND, f"{HOW} --resume-auto").returncode == 0
    assert_same(folder, whole)


def test_a_torn_line_is_cut_off(whole, folder, killed, run):
    killed(2, 3, f"{HOW} --checkpoint-every 1")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "learn')
    done = run(f"{COMMAND} --start_epoch 3", HOW)
    assert done.returncode == 0, done.stderr
    assert "Epoch 3/4\n" in done.stdout
    assert [each["epoch"] for each in metrics(folder)] == [0, 1, 2, 3]
    # without momentum epochs come out otherwise, but not those before
    assert metrics(folder)[:2] == metrics(whole)[:2]


# --- folders as the paper's script leaves them

ACCURACIES = [0.9, 0.2, 0.3]
LOG = "".join(
    f"\nEpoch {epoch}/4\n----------\n\ttraining: loss:2.500000, acc-all:0.10000, acc-avg-cls:0.10000\n"
    f"\ttesting: loss:2.250000, acc-all:{accuracy:.5f}, acc-avg-cls:{accuracy:.5f}\n"
    for epoch, accuracy in enumerate(ACCURACIES, start=1)
)
NOTE = "The best model is achieved at epoch-{}: loss2.25000, acc-all:0.90000, acc-avg-cls:0.90000.\n"


def as_the_papers(seed, arch="resnet20"):
    """Weights as the paper's script saves them on several GPUs."""
    network = create_backbone(arch, num_classes=10, seed=seed)
    return {f"module.{key}": value for key, value in network.state_dict().items()}


@pytest.fixture
def theirs(folder):
    """Makes the folder that the paper's script leaves after epochs 1 to 3, with the weights of one of them."""

    def make(epoch):
        checkpoints = folder / "checkpoints"
        checkpoints.mkdir(parents=True)
        flags = {"image_size": 32, "dataset": "cifar10", "gpu": "0,1", "nClasses": 10, "network": "ResNet32"}
        (folder / "args.txt").write_text(json.dumps(flags, indent=2))
        records = {"loss_train": [2.5] * 3, "loss_test": [2.25] * 3, "acc_train": [0.1] * 3, "acc_test": ACCURACIES}
        (checkpoints / "log.json").write_text(json.dumps({**records, "lr": [0.05, 0.04, 0.03]}))
        (folder / f"{NAME}_train.log").write_text(LOG)
        (folder / f"{NAME}_note_bestModel.log").write_text(NOTE.format(1) + NOTE.format(3))
        torch.save(as_the_papers(seed=1), folder / f"{NAME}_best.pth")
        torch.save(as_the_papers(seed=2), checkpoints / f"epoch_{epoch:03d}_model.pth")
        return folder

    return make


@pytest.mark.parametrize("kept", [2, 3])
def test_a_folder_of_the_papers_script(kept, theirs, run):
    folder = theirs(kept)
    best = (folder / f"{NAME}_best.pth").read_bytes()
    done = run(f"{COMMAND} --start_epoch 3", f"{HOW} --max-epochs 3")
    assert done.returncode == 0, done.stderr
    assert "Epoch 3/4\n" in done.stdout
    assert "Epoch 2/4\n" not in done.stdout
    # no epoch beats the first one's 90 %, so its weights stay, and the line about epoch 3 was of the one that was done again
    assert "\tCurrent best accuracy:0.90000\n\tCurrent count_epoch:  2\n" in done.stdout
    assert (folder / f"{NAME}_best.pth").read_bytes() == best
    assert (folder / f"{NAME}_note_bestModel.log").read_text() == NOTE.format(1)
    log = (folder / f"{NAME}_train.log").read_text()
    head = LOG[: LOG.index("\nEpoch 3/4")]
    assert log.startswith(f"{head}\nEpoch 3/4\n")
    assert log.count("Epoch 3/4\n") == 1
    records = json.loads((folder / "checkpoints" / "log.json").read_text())
    assert [len(values) for values in records.values()] == [3] * 5
    assert records["acc_test"][:2] == ACCURACIES[:2]
    assert records["lr"][:2] == [0.05, 0.04]
    assert records["lr"][2] != 0.03
    assert [each["epoch"] for each in metrics(folder)] == [2]
    results = json.loads((folder / "run.json").read_text())["results"]
    assert {each["epoch"] for each in results["final"].values()} == {0}
    assert not folder.with_name(f"{NAME}~1").exists()
    # and from here on it is a run like any other
    done = run(f"{COMMAND} --start_epoch 4", HOW)
    assert done.returncode == 0, done.stderr
    assert [each["epoch"] for each in metrics(folder)] == [2, 3]


def test_a_folder_of_the_papers_script_is_evaluated(theirs, run):
    folder = theirs(3)
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "args.txt"}
    done = run(f"{COMMAND} --start_epoch 4 --epochs 3", HOW)
    assert done.returncode == 0, done.stderr
    assert "Epoch" not in done.stdout
    assert "Apply L2 at the FC layer\nacc avgClass:  " in done.stdout
    assert {path: path.read_bytes() for path in kept} == kept
    assert not (folder / STATE).exists()
    assert json.loads((folder / "run.json").read_text())["results"]["best"]["epoch"] == 0


def opened(folder):
    names = CheckpointNames(
        last=STATE,
        best=f"{NAME}_best.pth",
        numbered="checkpoints/epoch_{epoch:03d}_model.pth",
        every=1,
        only_latest=True,
        content=lambda checkpoint: checkpoint["state_dict"],
    )
    return Run(folder, folder, identity={}, names=names)


def fresh():
    student, teacher = (create_backbone("resnet20", num_classes=10, seed=seed) for seed in (7, 8))
    recipe = LCSL(student, teacher, np.arange(10, 0, -1), SelfLabelling())
    return recipe, create_sgd(recipe, lr=0.1, momentum=0.9, weight_decay=0)


@pytest.mark.parametrize("kept", [2, 3])
def test_student_and_teacher_of_the_papers_script(kept, theirs):
    recipe, optimiser = fresh()
    progress = Restart(opened(theirs(kept)), NAME, 2, "cifar10", 10)(recipe, optimiser)
    assert (progress.epoch, progress.step, progress.best, progress.best_epoch) == (2, 0, 0.9, 0)
    student, teacher = ({key[7:]: value for key, value in as_the_papers(seed).items()} for seed in (2, 1))
    teacher["linear.weight"] = tau_normalised(teacher["linear.weight"], 1)
    assert flattened(dict(recipe.backbone.state_dict())) == flattened(student)
    assert flattened(dict(recipe.teacher.state_dict())) == flattened(teacher)
    assert bool(recipe.can_teach)
    assert not optimiser.state


def test_a_network_that_was_never_right_does_not_teach(theirs):
    folder = theirs(2)
    records = folder / "checkpoints" / "log.json"
    records.write_text(json.dumps({**json.loads(records.read_text()), "acc_test": [0, 0, 0.5]}))
    recipe, optimiser = fresh()
    assert Restart(opened(folder), NAME, 2, "cifar10", 10)(recipe, optimiser).best == 0
    assert not recipe.can_teach


def test_the_epoch_before_comes_first(theirs):
    folder = theirs(3)
    torch.save(as_the_papers(seed=5), folder / "checkpoints" / "epoch_002_model.pth")
    recipe, optimiser = fresh()
    Restart(opened(folder), NAME, 2, "cifar10", 10)(recipe, optimiser)
    expected = {key[7:]: value for key, value in as_the_papers(seed=5).items()}
    assert flattened(dict(recipe.backbone.state_dict())) == flattened(expected)


def test_a_log_that_begins_with_what_follows(theirs):
    folder = theirs(2)
    (folder / f"{NAME}_train.log").write_text("Epoch 3/4\n")
    progress = Restart(opened(folder), NAME, 2, "cifar10", 10)(*fresh())
    assert progress.log_sizes[f"{NAME}_train.log"] == 0


def spoil(folder, change):
    """Do to a folder of the paper's script what the name says; returns the epoch to start with."""
    best, log, flags = folder / f"{NAME}_best.pth", folder / "checkpoints" / "log.json", folder / "args.txt"
    if change == "no folder":
        shutil.rmtree(folder)
    elif change == "no log.json":
        log.unlink()
    elif change == "no best":
        best.unlink()
    elif change == "another data set":
        flags.write_text(flags.read_text().replace("cifar10", "cifar100"))
    elif change == "other classes":
        flags.write_text(flags.read_text().replace('"nClasses": 10', '"nClasses": 100'))
    elif change == "another network":
        torch.save(as_the_papers(seed=1, arch="resnet32"), best)
    elif change == "damaged":
        best.write_bytes(best.read_bytes()[:1000])
    elif change == "damaged log.json":
        log.write_text(log.read_text()[:20])
    elif change == "an epoch that is gone":
        (folder / "checkpoints" / "epoch_003_model.pth").rename(folder / "checkpoints" / "epoch_001_model.pth")
    return 5 if change == "too far" else 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no folder", "--start_epoch 3: there is no {}/checkpoints/log.json, which tells how the epochs before it went"),
        ("no log.json", "--start_epoch 3: there is no {}/checkpoints/log.json, which tells how the epochs before it went"),
        ("too far", "--start_epoch 5: {}/checkpoints/log.json knows 3 epochs; the next one is 4"),
        (
            "an epoch that is gone",
            "--start_epoch 3: there is neither {0}/checkpoints/epoch_002_model.pth nor {0}/checkpoints/epoch_003_model.pth; "
            "only the latest epoch is kept",
        ),
        ("no best", "no checkpoint found at '{0}/{0}_best.pth'"),
        ("another data set", "{}/args.txt tells of a run on other data (dataset cifar100, not cifar10); start a new one"),
        ("other classes", "{}/args.txt tells of a run on other data (nClasses 100, not 10); start a new one"),
        ("another network", "{0}/{0}_best.pth: "),
        ("damaged", "{0}/{0}_best.pth is not a readable checkpoint"),
        ("damaged log.json", "{}/checkpoints/log.json is not valid JSON"),
    ],
)
def test_what_cannot_be_gone_on_with(change, message, theirs, run):
    folder = theirs(3)
    epoch = spoil(folder, change)
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = run(f"{COMMAND} --start_epoch {epoch}", HOW)
    assert done.returncode == 2
    assert f"error: {message.format(NAME)}" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == kept
    assert len(list(folder.parent.glob("LCSL_*"))) == (change != "no folder")


def test_a_run_with_other_options_is_not_gone_on_with(whole, folder, run):
    shutil.copytree(whole, folder)
    done = run(f"{COMMAND} --start_epoch 5 --alpha 2", HOW)
    assert done.returncode == 2
    assert f"error: {NAME} holds a run with other options (alpha was 1.0 and is 2.0)" in done.stderr
    assert_same(folder, whole)
