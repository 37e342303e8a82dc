"""The paper's commands for CIFAR, byte for byte, on fake data as a person would run them; and what a mistake is answered."""

import json
import os
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from longtail.backbones import create_backbone
from longtail.testing import Killed, flattened, killed_at, link_scripts, quick_help, run_here
from longtail_dpa_ei import cifar, evaluation
from longtail_dpa_ei.cifar import method_options, notices
from longtail_dpa_ei.flags import create_cifar_parser, create_cifar_test_parser
from longtail_dpa_ei.recipe import DPAEI

SCRIPTS = Path(__file__).parents[1]

CIFAR10 = (
    "python cifar_train.py --dataset cifar10 --num_classes 10 --num_meta 10 --batch-size 100 --imb_factor 0.01 "
    "--test-batch-size 100 --epochs 200 --lr 0.1 --momentum 0.9 --weight-decay 5e-4 --gpu 0 --idx '0'"
)
CIFAR100 = (
    "python cifar_train.py --dataset cifar100 --num_classes 100 --num_meta 100 --batch-size 100 --imb_factor 0.01 "
    "--test-batch-size 100 --epochs 200 --lr 0.1 --momentum 0.9 --weight-decay 5e-4 --gpu 0 --idx '0'"
)
IN_SHELL_SCRIPT = (
    r"--dataset cifar10 --num_classes 10 --num_meta 10 --batch-size 100 --imb_factor 0.01 --test-batch-size 100 --epochs 200 "
    r"--lr 0.1 --momentum 0.9 --nesterov True --weight-decay 5e-4 --no-cuda False --split 1000 --seed 42 --print-freq 100 "
    r"--lam 0.5 --gpu 0 --meta_lr 0.1 --save_name 'name' --idx '0'"
)
SMALL = "python cifar_train.py --dataset cifar10 --num_meta 2 --imb_factor 0.1 --batch-size 16 --epochs 5 --lr 0.02 --gpu 0"
HOW = "--arch resnet20 --device cpu --switch-epochs 3 4"
QUICK = "--arch resnet20 --device cpu --switch-epochs 1 2 --epochs 2 --max-steps 1"
TIME = "20261121120000"

RULE = "-" * 30
NUMBER, PERCENT = r"\d+\.\d{4}", r"\d+\.\d{3}"


def flags(text):
    return create_cifar_parser().parse_args(shlex.split(text))


def said_of_flags(dataset, classes, **changed):
    """The lines about the paper's flags of the README's commands, to the character."""
    expected = {
        **{"dataset": dataset, "num_classes": classes, "num_meta": classes, "imb_factor": 0.01, "batch_size": 100},
        **{"test_batch_size": 100, "epochs": 200, "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0005},
        **{"no_cuda": False, "split": 1000, "seed": 42, "print_freq": 100, "lam": 0.5, "gpu": 0, "meta_lr": 0.1},
        **{"save_name": "name", "idx": 0, **changed},
    }
    return "".join(f"{name}={value}\n" for name, value in expected.items())


def said_of_data(counts, num_meta, per_class, seed=42):
    """The lines about the data, to the character."""
    classes, kept = len(counts), sum(counts)
    pool = classes * (per_class - num_meta)
    return (
        f"args.seed:{seed}\n{[num_meta] * classes}\nlength of meta dataset:{classes * num_meta}\n"
        f"length of train dataset: {pool}\n{counts}\n{kept}\n{pool - kept}\n{kept}\n"
    )


def said_in_epochs(steps, tests, results, implicit_from):
    """A pattern of the lines of whole epochs, of which the first batch is told."""
    found, best = [], 0.0
    for epoch, result in enumerate(results):
        accuracy = 100 * result["test"]["accuracy"]
        best = max(best, accuracy)
        title = "IDASAug Train" if epoch >= implicit_from else "Train"
        found.append(
            rf"{RULE}{title}{RULE}\n"
            rf"Epoch: \[{epoch}\]\tBatch: \[0/{steps}\]\tBatch Loss {NUMBER} \({NUMBER}\)\tPrec@1 {PERCENT} \({PERCENT}\)\n"
            rf"Test: \[0/{tests}\]\tTime {PERCENT} \({PERCENT}\)\tLoss {NUMBER} \({NUMBER}\)\tPrec@1 {PERCENT} \({PERCENT}\)\n"
            rf" \* Prec@1 {accuracy:.3f}\t   Error:{100 - accuracy:.3f}\ncur best acc:{best:.3f}\n"
        )
    return "".join(found) + rf"Best accuracy:  {best:.3f}\ntime: \d+\.\d\d minutes\n"


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in each.items() if key != "train_seconds"} for each in lines]


def only_run(workplace, idx="0"):
    """The folder of the only run there is."""
    (folder,) = (workplace / "checkpoint" / "ours" / idx).iterdir()
    assert re.fullmatch(r"\d{14}", folder.name)
    return folder


def check_files(folder):
    """The paper's files and the core's; each best epoch has a checkpoint of its number, and no other has."""
    records = metrics(folder)
    best = [each["epoch"] for each in records if each["is_best"]]
    ours = {"ckpt.pth.tar", "ckpt.best.pth.tar", "train.log", "run.json", "metrics.jsonl", "per_class.csv"}
    assert {each.name for each in folder.iterdir()} == ours | {f"{epoch}_ckpt.pth.tar" for epoch in best}
    score = 0.0
    for epoch in best:
        content = torch.load(folder / f"{epoch}_ckpt.pth.tar", weights_only=True)
        assert {"epoch", "state_dict", "best_acc1", "optimizer"} <= set(content)
        assert content["epoch"] == epoch + 1
        assert content["best_acc1"] == pytest.approx(100 * records[epoch]["test"]["accuracy"])
        assert content["best_acc1"] > score or not epoch
        score = content["best_acc1"]
    assert (folder / f"{best[-1]}_ckpt.pth.tar").read_bytes() == (folder / "ckpt.best.pth.tar").read_bytes()
    record = json.loads((folder / "run.json").read_text())
    assert record["finished"]
    assert record["results"]["best"]["epoch"] == best[-1]
    return record


# --- the published commands


def test_cifar100_in_a_shell(data, in_terminal):
    workplace = data("cifar100")
    done = in_terminal(CIFAR100, "--max-epochs 2 --max-steps 1 --switch-epochs 1 2 --device cpu")
    assert done.returncode == 0, done.stderr
    folder = only_run(workplace)
    record = check_files(folder)
    counts = record["class_counts"]
    assert (counts[0], counts[1], counts[50], counts[99], sum(counts)) == (400, 381, 39, 4, 8668)
    assert done.stdout.startswith(said_of_flags("cifar100", 100))
    rest = done.stdout.split("fit_schedule=False\n")[1]
    head = said_of_data(counts, 100, 500)
    assert rest.startswith(head)
    results = metrics(folder)
    assert re.fullmatch(said_in_epochs(1, 1, results, implicit_from=1), rest[len(head) :])
    assert [each["train_correction"] > 0 for each in results] == [False, True]
    weights = torch.load(folder / "ckpt.pth.tar", weights_only=True)["state_dict"]
    assert weights["linear.weight"].shape == (100, 64)
    assert record["parameters"] == 470_004
    told = [line for line in (folder / "train.log").read_text().splitlines() if not line.startswith("Test:")]
    assert told == [line for line in rest[len(head) :].splitlines() if not line.startswith("Test:")]


def test_cifar10_here(data, run):
    workplace = data("cifar10", largest_class=120, test_per_class=2)
    done = run(CIFAR10, "--max-epochs 3 --max-steps 2 --switch-epochs 2 3 --device cpu --batch-size 20")
    assert done.returncode == 0, done.stderr
    record = check_files(only_run(workplace))
    assert record["class_counts"] == [110, 65, 39, 23, 14, 8, 5, 3, 1, 1]
    assert record["parameters"] == 464_154
    head = said_of_data(record["class_counts"], 10, 120)
    assert done.stdout.startswith(said_of_flags("cifar10", 10, batch_size=20))
    rest = done.stdout.split("fit_schedule=False\n")[1]
    assert rest.startswith(head)
    assert re.fullmatch(said_in_epochs(2, 1, metrics(only_run(workplace)), implicit_from=2), rest[len(head) :])


def test_flags_of_the_shell_scripts_are_those_of_the_readme():
    assert flags(IN_SHELL_SCRIPT) == flags(CIFAR10.split("cifar_train.py")[1])


def test_two_ranks_on_the_processor(small_cifar, in_terminal):
    done = in_terminal(SMALL.replace("--gpu 0", "--gpu 0,1"), QUICK)
    assert done.returncode == 0, done.stderr
    record = check_files(only_run(small_cifar))
    assert "gpu=0,1\n" in done.stdout
    assert done.stdout.count("args.seed:42\n") == 1
    rest = done.stdout.split("fit_schedule=False\n")[1][len(said_of_data(record["class_counts"], 2, 20)) :]
    assert re.fullmatch(said_in_epochs(1, 1, metrics(only_run(small_cifar)), implicit_from=1), rest)


# --- flags


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("--no-cuda", "no_cuda", True),
        ("--no-cuda False", "no_cuda", False),
        ("--no-cuda True", "no_cuda", True),
        ("--nesterov False", "nesterov", False),
        ("--nesterov True", "nesterov", True),
        ("--batch_size 7", "batch_size", 7),
        ("--batch-size 7", "batch_size", 7),
        ("--test_batch_size 7", "test_batch_size", 7),
        ("--test-batch-size 7", "test_batch_size", 7),
        ("--print_freq 7", "print_freq", 7),
        ("--print-freq 7", "print_freq", 7),
        ("-p 7", "print_freq", 7),
        ("--learning-rate 0.3", "lr", 0.3),
        ("--wd 0.3", "weight_decay", 0.3),
        ("--gpu 2,0", "gpu", (2, 0)),
        ("--switch-epochs 3 5", "switch_epochs", [3, 5]),
    ],
)
def test_values_of_flags(text, name, value):
    changed = flags(text)
    assert getattr(changed, name) == value
    assert {**vars(changed), name: 0} == {**vars(flags("")), name: 0}


def test_defaults_are_the_papers():
    args = flags("")
    assert (args.dataset, args.num_meta, args.batch_size, args.imb_factor, args.epochs) == ("cifar100", 100, 100, 0.01, 200)
    assert (args.lr, args.momentum, args.weight_decay, args.lam, args.meta_lr, args.gpu) == (0.1, 0.9, 5e-4, 0.5, 0.1, (0,))
    args = create_cifar_test_parser().parse_args([])
    assert (args.checkpoint_path, args.dataset, args.imb_factor) == ("", "cifar100", 0.1)


def test_options_reach_the_method():
    options = method_options(flags("--epochs 100 --lam 0.75 --meta_lr 0.2 --num_meta 3 --nesterov False"))
    assert (options.timing.switch, options.timing.decay, options.augmentation, options.margins) == (160, 180, "reflect", True)
    assert (options.epochs, options.lam, options.meta_lr, options.num_meta, options.nesterov) == (100, 0.75, 0.2, 3, False)
    timing = method_options(flags("--epochs 100 --fit-schedule")).timing
    assert (timing.switch, timing.decay) == (80, 90)
    timing = method_options(flags("--switch-epochs 3 5")).timing
    assert (timing.switch, timing.decay) == (3, 5)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("--epochs 160", "the implicit stage begins with epoch 160 (counted from 0) and never will in 160 epochs"),
        (
            "--epochs 5 --switch-epochs 7 8",
            "the implicit stage begins with epoch 7 (counted from 0) and never will in 5 epochs",
        ),
        ("--epochs 161", "the stages change at epochs 160 and 180 whatever --epochs says"),
        ("--momentum 0", "--momentum 0 leaves nothing for --nesterov to do"),
    ],
)
def test_notices(text, start):
    (notice,) = notices(flags(text))
    assert notice.startswith(start)


@pytest.mark.parametrize(
    "text", ["", "--epochs 100 --fit-schedule", "--epochs 9 --switch-epochs 7 8", "--momentum 0 --nesterov False"]
)
def test_nothing_to_notice(text):
    assert not notices(flags(text))


def test_a_notice_is_said_once_and_training_is_on_the_processor(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(cifar, "relaunch", lambda gpu, device: seen.append((gpu, device)))
    monkeypatch.setattr(cifar, "train", lambda args, runtime: seen.append((args.num_classes, runtime.device)))
    assert cifar.main(["--dataset", "cifar10", "--no-cuda", "--epochs", "3"]) is None
    assert seen == [((0,), "cpu"), (10, "cpu")]
    assert capsys.readouterr().err.count("notice: the implicit stage begins with epoch 160") == 1


@pytest.mark.parametrize("script", ["cifar_train.py", "cifar_test.py"])
def test_help_imports_nothing_heavy(script):
    told = quick_help(SCRIPTS, script)
    assert "--imb_factor" in told
    assert "--max-steps" in told


def test_the_method_tells_of_itself_without_torch():
    assert "--num-meta" in quick_help(SCRIPTS, "longtail", "train", "dpa_ei")


# --- runs


@pytest.fixture
def at(monkeypatch):
    """Stops the clock that names folders."""

    def stop(name):
        monkeypatch.setattr(cifar, "time", SimpleNamespace(strftime=lambda _form: name))

    return stop


def contents(folder):
    return {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_runs_of_the_same_second_have_their_own_folders(small_cifar, run, at):
    at(TIME)
    parent = small_cifar / "checkpoint" / "ours" / "0"
    for number, kept in enumerate((TIME, f"{TIME}-2", f"{TIME}-3")):
        before = contents(parent)
        done = run(SMALL, f"{QUICK} --max-epochs 1 --select {'last' if number else 'test'}")
        assert done.returncode == 0, done.stderr
        assert "moved" not in done.stdout
        assert {each.name for each in parent.iterdir()} == {Path(each).relative_to(parent).parts[0] for each in before} | {kept}
        assert {path: parent.joinpath(path).read_bytes() for path in before} == before


def test_idx_names_the_folder(small_cifar, run):
    done = run(f"{SMALL} --idx first.try", f"{QUICK} --max-epochs 1")
    assert done.returncode == 0, done.stderr
    check_files(only_run(small_cifar, "first.try"))


def test_the_stages_fit_the_epochs(small_cifar, run):
    done = run(SMALL, "--arch resnet20 --device cpu --epochs 10 --fit-schedule --max-steps 1 --seed 7")
    assert done.returncode == 0, done.stderr
    titles = re.findall(rf"{RULE}(.*?){RULE}", done.stdout)
    assert titles == ["Train"] * 8 + ["IDASAug Train"] * 2
    assert "args.seed:7\n" in done.stdout
    rates = [each["learning_rate"] for each in metrics(only_run(small_cifar))]
    assert rates == pytest.approx([0.02] * 7 + [0.0002, 2e-6, 2e-6])


def test_the_best_epoch_may_be_chosen_on_held_out_images(small_cifar, run):
    done = run(SMALL, f"{QUICK} --max-steps 2 --select val --val-fraction 0.3")
    assert done.returncode == 0, done.stderr
    assert "notice: the best" not in done.stderr
    folder = only_run(small_cifar)
    record = check_files_of_val(folder)
    whole, trained = [18, 13, 10, 8, 6, 5, 3, 3, 2, 1], record["class_counts"]
    assert all(0 < ours <= theirs for ours, theirs in zip(trained, whole, strict=True))
    head = said_of_data(whole, 2, 20).removesuffix(f"{sum(whole)}\n") + f"{sum(trained)}\n"
    assert head in done.stdout
    assert sum(trained) < sum(whole)


def check_files_of_val(folder):
    scores = [each["val"]["accuracy"] for each in metrics(folder)]
    record = json.loads((folder / "run.json").read_text())
    assert record["results"]["best"]["epoch"] == scores.index(max(scores))
    return record


def test_half_precision_accumulation_and_clipping(small_cifar, run):
    done = run(SMALL, f"{QUICK} --max-steps 3 --precision bf16 --accumulate 2 --clip-norm 1")
    assert done.returncode == 0, done.stderr
    check_files(only_run(small_cifar))


# --- interrupted runs


@pytest.fixture(scope="module")
def whole(fake_data, tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    place = link_scripts(SCRIPTS, tmp_path_factory.mktemp("whole"))
    (place / "data").symlink_to(fake_data("cifar10", largest_class=20, test_per_class=3))
    assert run_here(place, lambda: ("", ""), SMALL, HOW).returncode == 0
    return only_run(place)


@pytest.fixture
def killed(run):
    """Runs the command until a batch of an epoch, both from 0, when nothing of it is left."""

    def until(epoch, step, appended=HOW):
        with killed_at(DPAEI, epoch, step), pytest.raises(Killed):
            run(SMALL, appended)

    return until


def state(path):
    """All of a checkpoint but how many bytes of which log belong to it; times have several lengths."""
    content = torch.load(path, weights_only=True)
    del content["longtail"]["progress"]["log_sizes"]
    return flattened(content)


def assert_same(folder, whole):
    assert metrics(folder) == metrics(whole)
    assert {each.name for each in folder.iterdir()} == {each.name for each in whole.iterdir()}
    for path in whole.glob("*.tar"):
        assert state(folder / path.name) == state(path), path.name
    assert (folder / "per_class.csv").read_bytes() == (whole / "per_class.csv").read_bytes()
    told = [[line for line in (each / "train.log").read_text().splitlines() if "time:" not in line] for each in (folder, whole)]
    assert told[0] == told[1]
    runs = [json.loads((each / "run.json").read_text()) for each in (folder, whole)]
    assert runs[0]["results"] == runs[1]["results"]


def test_the_whole_run_has_epochs_of_all_kinds(whole):
    check_files(whole)
    records = metrics(whole)
    assert {each["is_best"] for each in records} == {True, False}
    assert [each["train_correction"] > 0 for each in records] == [False, False, False, True, True]
    assert [each["train_meta_loss"] > 0 for each in records] == [False, False, False, True, True]


@pytest.mark.parametrize(("place", "how"), [((1, 2), HOW), ((4, 3), f"{HOW} --checkpoint-every 2")])
def test_killed_and_resumed_equals_uninterrupted(place, how, whole, small_cifar, killed, run, at):
    parent = small_cifar / "checkpoint" / "ours" / "0"
    # an older run of the same command, and a newer one of another
    at("20260101000000")
    killed(1, 0, HOW)
    at("20260101000001")
    killed(*place, how)
    at("20260101000002")
    killed(1, 0, f"{HOW} --max-steps 1")
    mine = parent / "20260101000001"
    others = {path: content for path, content in contents(parent).items() if mine not in path.parents}
    at(TIME)
    done = run(SMALL, f"{HOW} --resume-auto")
    assert done.returncode == 0, done.stderr
    assert len(list(parent.iterdir())) == 3
    assert {path: path.read_bytes() for path in others} == others
    assert_same(mine, whole)


def test_killed_between_a_checkpoint_and_its_name(whole, small_cifar, run, monkeypatch):
    def die(*_arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("longtail_dpa_ei.logs.link", die)
        with pytest.raises(Killed):
            run(SMALL, HOW)
    done = run(SMALL, f"{HOW} --resume-auto")
    assert done.returncode == 0, done.stderr
    assert_same(only_run(small_cifar), whole)


def test_without_an_earlier_run_a_new_one_begins(small_cifar, run):
    done = run(SMALL, f"{QUICK} --max-epochs 1 --resume-auto")
    assert done.returncode == 0, done.stderr
    check_files(only_run(small_cifar))


# --- evaluation


@pytest.fixture
def theirs(small_cifar):
    """Makes a file such as the paper's script leaves: no batch counters, nothing of ours."""

    def make(arch="resnet20", num_classes=10):
        network = create_backbone(arch, num_classes=num_classes, seed=1)
        weights = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
        torch.save({"epoch": 200, "state_dict": weights, "best_acc1": 12.5, "optimizer": {}}, small_cifar / "200_ckpt.pth.tar")
        return "200_ckpt.pth.tar"

    return make


def test_a_checkpoint_is_evaluated(whole, small_cifar, run):
    best = max((each for each in metrics(whole) if each["is_best"]), key=lambda each: each["epoch"])
    name = f"{best['epoch']}_ckpt"
    (small_cifar / f"{name}.pth.tar").write_bytes((whole / f"{name}.pth.tar").read_bytes())
    command = f"python cifar_test.py --checkpoint_path {name}.pth.tar --dataset cifar10 --imb_factor 0.1"
    done = run(command, "--arch resnet20 --device cpu --num_meta 2")
    assert done.returncode == 0, done.stderr
    accuracy = 100 * best["test"]["accuracy"]
    assert done.stdout.startswith(f"checkpoint_path={name}.pth.tar\ndataset=cifar10\nimb_factor=0.1\n")
    block = re.escape(
        f" * Prec@1 {accuracy:.3f}\nTest result:\n"
        f"Dataset: cifar10\tImb_factor: 10\tAccuracy: {accuracy:.2f} \tError: {100 - accuracy:.2f} \n"
    )
    assert re.search(
        rf"\ncheckpoint_path: {name}\.pth\.tar\nloading test data\n30 test images\n"
        rf"Test: \[0/1\]\tTime {PERCENT} \({PERCENT}\)\tLoss {NUMBER} \({NUMBER}\)\tPrec@1 {accuracy:.3f} \(.*\)\n{block}",
        done.stdout,
    )
    record = json.loads((small_cifar / f"{name}_test" / "run.json").read_text())
    assert record["results"]["test"] == {key: value for key, value in best["test"].items() if key != "epoch"}
    assert record["checkpoint_epoch"] == best["epoch"] + 1
    assert (small_cifar / f"{name}_test" / "per_class.csv").is_file()
    # a second evaluation loses nothing
    assert run(command, "--arch resnet20 --device cpu --num_meta 2").returncode == 0
    assert (small_cifar / f"{name}_test~1" / "run.json").is_file()


def test_evaluations_of_files_side_by_side_have_folders_of_their_own(whole, small_cifar, run):
    for name in ("ckpt.pth.tar", "ckpt.best.pth.tar"):
        (small_cifar / name).write_bytes((whole / name).read_bytes())
        done = run(
            f"python cifar_test.py --checkpoint_path {name} --dataset cifar10", f"{HOW.split(' --switch')[0]} --num_meta 2"
        )
        assert done.returncode == 0, done.stderr
    assert {each.name for each in small_cifar.glob("*_test*")} == {"ckpt_test", "ckpt.best_test", "cifar_test.py"}


def test_a_checkpoint_of_the_papers_script_is_evaluated(theirs, run):
    done = run(
        f"python cifar_test.py --checkpoint_path {theirs()} --dataset cifar10", "--arch resnet20 --device cpu --num_meta 2"
    )
    assert done.returncode == 0, done.stderr
    assert "Test result:\nDataset: cifar10\tImb_factor: 10\tAccuracy: " in done.stdout


def test_meta_images_of_the_papers_commands_are_the_default(monkeypatch, workplace):
    seen = []
    monkeypatch.setattr(evaluation, "evaluate", lambda args, runtime: seen.append((args.num_meta, args.seed, runtime.device)))
    (workplace / "x").touch()
    for dataset in ("cifar10", "cifar100"):
        evaluation.main(["--checkpoint_path", os.fspath(workplace / "x"), "--dataset", dataset])
    assert seen == [(10, 42, "auto"), (100, 42, "auto")]


# --- mistakes


def unreachable(*_arguments, **_options):
    raise OSError("no network")


def assert_refused(done, workplace, message, lines=2):
    """A mistake is answered on standard error, in so many lines, and nothing is written."""
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if not line.startswith(("notice:", "warning:"))]
    said = [line for line in said if "generated fake data" not in line]
    assert message in "\n".join(said), done.stderr
    assert len(said) <= lines, done.stderr
    assert "Traceback" not in done.stderr
    assert not (workplace / "checkpoint").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--dataset svhn", "argument --dataset: invalid choice: 'svhn'"),
        ("--num_classes 100", "--num_classes 100 contradicts --dataset cifar10, which has 10 classes"),
        ("--num_meta 20", "num_meta 20 leaves nothing to train on of class 0, which has 20 images; it can be 19 at most"),
        ("--num_meta 0", "argument --num_meta: must be at least 1, got 0"),
        ("--switch-epochs 4 3", "--switch-epochs 4 3: the second one comes after the first"),
        ("--idx a/b", "--idx 'a/b' becomes a folder's name"),
        ("--idx ..", "--idx '..' becomes a folder's name"),
        ("--idx ''", "--idx '' becomes a folder's name"),
        ("--arch resnet50", "--arch resnet50 is a network for images of 224 pixels; for CIFAR take resnet32"),
        ("--arch resnet5000", "no backbone is called 'resnet5000'"),
        ("--imb_factor 0", "argument --imb_factor: must be greater than 0 and at most 1, got 0"),
        ("--imb_factor 0.001", "would get no image"),
        ("--lr 0", "argument --lr/--learning-rate: must be greater than 0, got 0"),
        ("--lam -1", "argument --lam: must be at least 0, got -1"),
        ("--nesterov maybe", "argument --nesterov: "),
        ("--gpu x", "argument --gpu: must be the numbers of GPUs, such as 0 or 0,1, got 'x'"),
        ("--root elsewhere", "elsewhere"),
        ("--no-such-flag", "unrecognized arguments: --no-such-flag"),
    ],
)
def test_mistakes(text, message, small_cifar, run, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    done = run(f"{SMALL} {text}", "--device cpu --max-steps 1")
    assert_refused(done, small_cifar, message, lines=12 if "--root" in text else 3)


def test_mistakes_in_evaluation(theirs, small_cifar, run):
    name = theirs(num_classes=100)
    Path(small_cifar, "damaged.pth.tar").write_bytes((small_cifar / name).read_bytes()[:1000])
    where = "--dataset cifar10 --num_meta 2 --device cpu --arch"
    for text, message in (
        ("", "which checkpoint is to be evaluated? give it with --checkpoint_path PATH"),
        ("--checkpoint_path gone.pth.tar", "no checkpoint found at 'gone.pth.tar'"),
        (f"--checkpoint_path {name} {where} resnet20", f"{name}: a checkpoint of another model: its linear.weight has shape"),
        (f"--checkpoint_path {name} {where} resnet32", f"{name}: a checkpoint of another model: "),
        (f"--checkpoint_path {name} {where} resnet50", "--arch resnet50 is a network for images of 224 pixels"),
        (f"--checkpoint_path damaged.pth.tar {where} resnet20", "damaged.pth.tar is not a readable checkpoint"),
    ):
        assert_refused(run(f"python cifar_test.py {text}"), small_cifar, message)
    assert not list(small_cifar.glob("*_test"))
