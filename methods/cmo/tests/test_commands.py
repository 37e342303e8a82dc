"""The paper's commands, byte for byte, rehearsed on fake data as a person would run them; and what a mistake is answered."""

import json
import re
from pathlib import Path

import pytest
import torch

from longtail.testing import quick_help

COMMANDS = {
    "CE-DRW + CMO": "python cifar_train.py --dataset cifar100 --loss_type CE --train_rule DRW --epochs 200 --data_aug CMO",
    "BS + CMO": "python cifar_train.py --dataset cifar100 --loss_type BS --epochs 200 --data_aug CMO",
    "BS + CMO, AutoAug": "python cifar_train.py --dataset cifar100 --loss_type BS --epochs 400 --data_aug CMO --use_randaug",
}
REHEARSAL = "--max-epochs 2 --max-steps 2 --device cpu"
SCRIPTS = Path(__file__).parents[1]


@pytest.fixture
def data(fake_data):
    """Fake CIFAR-100."""
    return fake_data("cifar100")


@pytest.fixture
def workplace(workplace, data):
    """The working folder with CIFAR-100 in it."""
    (workplace / "data").symlink_to(data)
    return workplace


@pytest.mark.parametrize("name", COMMANDS)
def test_published_command(name, workplace, in_terminal):
    done = in_terminal(COMMANDS[name], REHEARSAL)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "=> creating model 'resnet32'" in lines
    assert lines[lines.index("cls num list:") + 1].startswith("[")
    assert ("use randaug!!" in lines) == ("--use_randaug" in COMMANDS[name])
    number = r"-?\d+\.\d{%d}"
    pair = f"{number} \\({number}\\)"
    train = [line for line in lines if line.startswith("Epoch: ")]
    expected = "\t".join(
        [
            r"Epoch: \[0\]\[0/2\], lr: 0\.0\d{4}",
            "Time " + pair % (3, 3),
            "Data " + pair % (3, 3),
            "Loss " + pair % (4, 4),
            "Prec@1 " + pair % (3, 3),
            "Prec@5 " + pair % (3, 3),
        ]
    )
    assert re.fullmatch(expected, train[0])
    assert sum(line.startswith("val Results: Prec@1 ") for line in lines) == 2
    assert sum(line.startswith("many avg, med avg, few avg ") for line in lines) == 2
    assert re.fullmatch(r"It took 0:0\d:\d\d\.\d\d to execute the program", lines[-1])

    rule = "DRW" if "DRW" in COMMANDS[name] else "None"
    run_name = f"cifar100_resnet32_{'CE' if rule == 'DRW' else 'BS'}_{rule}_CMO_0.01_0_0.5_0"
    log, checkpoint = workplace / "log" / run_name, workplace / "checkpoint" / run_name
    assert (log / "log_train.csv").read_text().splitlines() == train
    assert (log / "log_test.csv").read_text().count("val Class Accuracy: [") == 2
    assert "Namespace(" in (log / "args.txt").read_text()
    assert list(log.glob("events.out.tfevents.*"))
    assert {each.name for each in checkpoint.iterdir()} == {"ckpt.pth.tar", "ckpt.best.pth.tar"}
    content = torch.load(checkpoint / "ckpt.pth.tar", weights_only=True)
    assert content["epoch"] == 2
    assert len(content["state_dict"]) == 188
    record = json.loads((log / "run.json").read_text())
    assert record["appended_options"] == REHEARSAL
    assert record["results"]["select"] == "test"
    assert {"many", "medium", "few", "balanced_accuracy"} <= record["results"]["last"].keys()


def test_tensorboard_tags(workplace, run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert run(COMMANDS["BS + CMO"], REHEARSAL).returncode == 0
    events = EventAccumulator(str(next((workplace / "log").iterdir())))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    papers = {"loss/train", "acc/train_top1", "acc/train_top5", "lr", "loss/test_val", "acc/test_val_top1", "acc/test_val_top5"}
    assert papers | {"acc/test_top1_best", "acc/test_val_cls_acc/0"} <= tags
    assert [each.step for each in events.Scalars("lr")] == [0, 1]


def test_resumed_from_a_named_checkpoint(workplace, run):
    command = COMMANDS["BS + CMO"]
    assert run(command, REHEARSAL + " --seed 3").returncode == 0
    kept = next((workplace / "checkpoint").glob("*/ckpt.pth.tar"))
    saved = workplace / "mine.pth.tar"
    saved.write_bytes(kept.read_bytes())
    done = run(command, f"--max-epochs 3 --max-steps 2 --seed 3 --resume {saved}")
    assert done.returncode == 0, done.stderr
    assert torch.load(kept, weights_only=True)["epoch"] == 3
    # the earlier run was not written over
    assert next((workplace / "checkpoint").glob("*~1/ckpt.pth.tar")).read_bytes() == saved.read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--imb_factor 0", "argument --imb_factor: must be greater than 0 and at most 1, got 0"),
        ("--imb_factor 1.5", "argument --imb_factor: must be greater than 0 and at most 1, got 1.5"),
        ("--num_classes 10", "--num_classes 10 contradicts the data"),
        ("--dataset iNat18", "inat_train.py"),
        ("--root elsewhere", "elsewhere"),
        ("--resume nothing.pth.tar", "no checkpoint found at 'nothing.pth.tar'"),
        ("--arch resnet50", "resnet32"),
        ("--root_log data/cifar-100-python/train", "cannot"),
        ("--device tpu", "--device tpu"),
        ("--epochs 0", "--epochs: must be at least 1, got 0"),
        ("--imb_factor 0.0001", "class"),
        ("--beta 0", "--beta: must be greater than 0, got 0"),
        ("--seed -1", "--seed: must be at least 0, got -1"),
        ("--start-epoch -1", "--start-epoch: must be at least 0"),
        ("--wd nan", "--weight-decay: must be at least 0, got nan"),
        ("--loss_type Focal", "argument --loss_type: invalid choice: 'Focal'"),
        ("--no-such-flag", "unrecognized arguments: --no-such-flag"),
    ],
)
def test_mistakes(flags, message, workplace, run):
    done = run(f"{COMMANDS['BS + CMO']} {flags}", "--max-epochs 1 --max-steps 1")
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if not line.startswith(("notice:", "warning:"))]
    assert re.search(message, "\n".join(said))
    assert len(said) <= 4, done.stderr  # the error's line or two, with the layout of the folder where data is missing
    assert "Traceback" not in done.stderr
    assert not (workplace / "checkpoint").exists()


def test_a_damaged_archive_is_named(workplace, data, run):
    (workplace / "data").unlink()
    broken = workplace / "data" / "cifar-100-python"
    broken.mkdir(parents=True)
    for file in (data / "cifar-100-python").iterdir():
        content = file.read_bytes()
        (broken / file.name).write_bytes(content[: len(content) // 2] if file.name == "train" else content)
    done = run(COMMANDS["BS + CMO"], REHEARSAL)
    assert done.returncode == 2
    assert str(Path("cifar-100-python") / "train") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_checkpoint_of_another_model(workplace, run):
    assert run(COMMANDS["BS + CMO"] + " --arch resnet20", REHEARSAL).returncode == 0
    theirs = next((workplace / "checkpoint").glob("*resnet20*/ckpt.pth.tar"))
    done = run(f"{COMMANDS['BS + CMO']} --resume {theirs}", REHEARSAL)
    assert done.returncode == 2
    assert "another model" in done.stderr


def test_gpu_flag_on_a_machine_without_one(run):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    done = run(COMMANDS["BS + CMO"] + " --gpu 0", "--max-epochs 1 --max-steps 1")
    assert done.returncode == 0
    assert "warning: --gpu 0 was given but there is no CUDA device" in done.stderr


@pytest.mark.parametrize("script", sorted(each.name for each in SCRIPTS.glob("*.py") if each.name != "hatch_build.py"))
def test_help_imports_nothing_heavy(script):
    told = quick_help(SCRIPTS, script)
    assert "--mixup_prob" in told
    assert "--max-steps" in told


def test_the_method_tells_of_itself_without_torch():
    assert "--mixup-prob" in quick_help(SCRIPTS, "longtail", "train", "cmo")
