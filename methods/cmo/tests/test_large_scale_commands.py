"""The paper's ImageNet-LT and iNaturalist commands and `test.py`, byte for byte, rehearsed on fake data."""

import csv
import json
import re
import shutil

import pytest
import torch

from longtail.backbones import create_backbone

IMAGENET = """python imagenet_train.py -a resnet50 --root data/ILSVRC/ --dataset Imagenet-LT --loss_type BS \\
--data_aug CMO --epochs 100 --num_classes 1000 --workers 12 --print_freq 100
"""
IMAGENET_STRONG = """python imagenet_train.py -a resnet50 --root data/ILSVRC/ --dataset Imagenet-LT --loss_type BS \\
--data_aug CMO --epochs 400 --num_classes 1000 --workers 12 --print_freq 100  --wd 5e-4 --lr 0.02 \\
--cos --use_randaug
"""
INAT = (
    "python inat_train.py -a resnet50 --root data/iNat2018/ --dataset iNat18 --loss_type BS --data_aug CMO \\\n"
    "--epochs 100 --num_classes 8142 --workers 12 --print_freq 100 -b 256 \n"
)
INAT_STRONG = """python inat_train.py -a resnet50 --root data/iNat2018/ --dataset iNat18 --loss_type BS --data_aug CMO \\
--epochs 400 --num_classes 8142 --workers 12 --print_freq 100 --wd 1e-4 --lr 0.02 --cos --use_randaug
"""
TEST = (
    "python test.py -a resnet50 --root data/iNat2018/ --dataset iNat18 --loss_type CE --train_rule DRW  \\\n"
    "--resume ckpt.best.pth.tar \n"
)
TRAINING = {
    "ImageNet-LT": ("imagenet-lt", IMAGENET, "Imagenet-LT_resnet50_BS_None_CMO_0.01_0_0.5_0"),
    "ImageNet-LT, 400 epochs": ("imagenet-lt", IMAGENET_STRONG, "Imagenet-LT_resnet50_BS_None_CMO_0.01_0_0.5_0"),
    "iNaturalist": ("inat18", INAT, "iNat18_resnet50_BS_None_CMO_0.01_0_0.5_0"),
    "iNaturalist, 400 epochs": ("inat18", INAT_STRONG, "iNat18_resnet50_BS_None_CMO_0.01_0_0.5_0"),
}
# the commands' own batches take a minute and many gigabytes on a processor: small ones here
REHEARSAL = "--max-epochs 1 --max-steps 2 --device cpu -b 2 --workers 1"
SMALL = "-a resnet18 --start_data_aug -1 --mixup_prob 1"


@pytest.fixture
def data(fake_data, workplace):
    """Puts a fake data set into the working folder."""

    def put(layout):
        (workplace / "data").symlink_to(fake_data(layout))
        return workplace

    return put


@pytest.mark.parametrize("name", TRAINING)
def test_published_command(name, data, in_terminal):
    layout, command, run_name = TRAINING[name]
    workplace = data(layout)
    done = in_terminal(command, REHEARSAL)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "=> creating model 'resnet50'"
    assert ("use randaug!!" in lines) == ("use cosine LR" in lines) == ("400" in name)
    assert lines[lines.index("cls num list:") + 1].startswith("[")
    rate = 0.002 if "400" in name else 0.02
    assert sum(line.startswith(f"Epoch: [0][0/2], lr: {rate:.5f}\t") for line in lines) == 1
    assert sum(line.startswith("val Results: Prec@1 ") for line in lines) == 1
    assert sum(line.startswith("many avg, med avg, few avg ") for line in lines) == 1
    assert re.fullmatch(r"It took 0:0\d:\d\d\.\d\d to execute the program", lines[-1])
    content = torch.load(workplace / "checkpoint" / run_name / "ckpt.pth.tar", weights_only=True)
    classes = 8142 if layout == "inat18" else 1000
    assert content["state_dict"]["fc.weight"].shape == (classes, 2048)
    record = json.loads((workplace / "log" / run_name / "run.json").read_text())
    assert len(record["class_counts"]) == classes
    assert record["identity"]["data"] == layout


def test_a_run_is_continued_and_evaluated(data, run):
    workplace = data("imagenet-lt")
    flags = "--max-steps 2 -b 4 --workers 0"
    assert run(f"{IMAGENET} {SMALL}", f"{flags} --max-epochs 1").returncode == 0
    again = run(f"{IMAGENET} {SMALL}", f"{flags} --max-epochs 2 --resume-auto")
    assert again.returncode == 0, again.stderr
    assert "Epoch: [1][0/2]" in again.stdout
    assert "Epoch: [0][0/2]" not in again.stdout
    checkpoint = next((workplace / "checkpoint").glob("*/ckpt.pth.tar"))
    result = [line for line in again.stdout.splitlines() if line.startswith(("val Results", "many avg"))]
    test = f"python test.py --root data/ILSVRC --dataset Imagenet-LT -a resnet18 --loss_type BS --resume {checkpoint}"
    done = run(test, flags)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith(("val Results", "many avg"))] == result
    assert re.search(r"^=> loaded checkpoint '.*' \(best_acc1 \d+\.\d{3}\)$", done.stdout, re.MULTILINE)
    assert re.search(r"^macro-F1 +\d+\.\d\d %$", done.stdout, re.MULTILINE)
    folder = workplace / "log" / "Imagenet-LT_resnet18_BS_None_CMO_0.01_0_0.5_0_test"
    with (folder / "per_class.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1000
    assert sum(int(row["test_images"]) for row in rows) == 2000
    assert json.loads((folder / "run.json").read_text())["results"]["test"]["samples"] == 8
    assert run(test, flags).returncode == 0
    assert (folder.parent / f"{folder.name}~1" / "per_class.csv").is_file()


def as_published(num_classes, arch="resnet50", head="linear"):
    """A checkpoint as the authors' scripts write it: a wrapper's prefix, a zero-dimensional tensor for the accuracy."""
    network = create_backbone(arch, num_classes=num_classes, head=head, seed=1)
    weights = {f"module.{name}": value for name, value in network.state_dict().items()}
    return {"epoch": 200, "state_dict": weights, "best_acc1": torch.tensor(70.9)}


def test_published_test_command(data, in_terminal):
    workplace = data("inat18")
    torch.save(as_published(8142), workplace / "ckpt.best.pth.tar")
    done = in_terminal(TEST, "--max-steps 2 -b 2 --workers 1 --device cpu")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["=> creating model 'resnet50'", "=> loaded checkpoint 'ckpt.best.pth.tar' (best_acc1 70.900)"]
    assert lines[2].startswith("Test: [0/2]\t")
    assert (workplace / "log" / "iNat18_resnet50_CE_DRW_CMO_0.01_0_0.5_0_test" / "per_class.csv").is_file()


def test_training_goes_on_from_a_published_checkpoint(data, run):
    workplace = data("imagenet-lt")
    torch.save({**as_published(1000, "resnet18"), "epoch": 79}, workplace / "theirs.pth.tar")
    command = f"{IMAGENET} -a resnet18 --resume theirs.pth.tar"
    done = run(command, "--max-epochs 80 --max-steps 1 -b 2 --workers 0 --device cpu")
    assert done.returncode == 0, done.stderr
    # 70.9 is still the best
    assert "Epoch: [79][0/1], lr: 0.01000" in done.stdout
    assert "Best Prec@1: 70.900" in done.stdout


@pytest.mark.parametrize("loss", ["CE", "LDAM", "BS"])
def test_every_loss_has_its_network(loss, data, run):
    workplace = data("imagenet-lt")
    head = "cosine" if loss == "LDAM" else "linear"
    torch.save(as_published(1000, "resnet18", head), workplace / "theirs.pth.tar")
    done = run(
        f"python test.py -a resnet18 --root data/ILSVRC --dataset Imagenet-LT --loss_type {loss} --resume theirs.pth.tar",
        "--max-steps 1 -b 2 --workers 0",
    )
    assert done.returncode == 0, done.stderr


def test_the_cifar_test_set_is_evaluated_too(fake_data, workplace, run):
    (workplace / "data").symlink_to(fake_data("cifar100"))
    torch.save(as_published(100, "resnet32"), workplace / "theirs.pth.tar")
    done = run("python test.py --dataset cifar100 --loss_type BS --resume theirs.pth.tar", "--max-steps 1")
    assert done.returncode == 0, done.stderr
    assert "test images" in done.stdout


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        (IMAGENET, "--dataset cifar100", "cifar_train.py"),
        (IMAGENET, "--num_classes 100", "--num_classes 100 contradicts the data"),
        (IMAGENET, "-a resnet32", "resnet32 is a network for images of 32 pixels"),
        (IMAGENET, "-a resnet5000", "resnet5000"),
        (IMAGENET, "--root elsewhere", "longtail data fake --layout imagenet-lt"),
        (IMAGENET, "--gpu x", "--gpu"),
        (INAT, "--root data", "longtail data fake --layout inat18"),
        (TEST, "", "no checkpoint found at 'ckpt.best.pth.tar'"),
        ("python test.py", "", "--resume"),
    ],
)
def test_mistakes(command, flags, message, data, run):
    workplace = data("imagenet-lt")
    done = run(f"{command.strip()} {flags}", "--max-epochs 1 --max-steps 1 --device cpu")
    assert done.returncode == 2
    said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith(("notice:", "warning:")))
    assert message in said
    assert "Traceback" not in said
    assert not (workplace / "checkpoint").exists()


def test_training_images_need_not_be_there_for_a_test(fake_data, workplace, run):
    root = workplace / "data" / "ILSVRC"
    root.mkdir(parents=True)
    for entry in (fake_data("imagenet-lt") / "ILSVRC").iterdir():
        if entry.name != "train":
            (root / entry.name).symlink_to(entry)
    torch.save(as_published(1000, "resnet18"), workplace / "theirs.pth.tar")
    flags = "-a resnet18 --root data/ILSVRC --dataset Imagenet-LT"
    assert run(f"python test.py {flags} --resume theirs.pth.tar", "--max-steps 1 -b 2 --workers 0").returncode == 0
    done = run(f"python imagenet_train.py {flags}", "--max-epochs 1")
    assert done.returncode == 2
    assert "ImageNet_LT_train.txt" in done.stderr


@pytest.fixture
def damaged(fake_data, workplace):
    """ImageNet-LT whose first training image and first test image are cut off; their paths in the lists."""
    root = workplace / "data" / "ILSVRC"
    shutil.copytree(fake_data("imagenet-lt") / "ILSVRC", root)
    paths = [(root / f"ImageNet_LT_{part}.txt").read_text().split(maxsplit=1)[0] for part in ("train", "test")]
    for path in paths:
        (root / path).write_bytes((root / path).read_bytes()[:200])
    return paths


def test_an_unreadable_image_stops_the_command(damaged, workplace, run):
    torch.save(as_published(1000, "resnet18"), workplace / "theirs.pth.tar")
    done = run(
        "python test.py -a resnet18 --root data/ILSVRC --dataset Imagenet-LT --resume theirs.pth.tar",
        "--max-steps 1 -b 2 --workers 0 --device cpu",
    )
    assert done.returncode == 2
    assert damaged[1] in done.stderr
    assert "n10000000" in done.stderr
    assert "--on-bad-image skip" in done.stderr
    assert "Traceback" not in done.stderr


def test_unreadable_images_are_left_out_and_not_counted(damaged, workplace, run, caplog):
    done = run(f"{IMAGENET} {SMALL}", "--max-epochs 1 --max-steps 1 -b 2 --workers 0 --device cpu --on-bad-image skip")
    assert done.returncode == 0, done.stderr
    assert damaged[0] in caplog.text
    record = json.loads(next((workplace / "log").glob("*/run.json")).read_text())
    assert record["left_out"] == damaged
    lines = (workplace / "data/ILSVRC/ImageNet_LT_train.txt").read_text().splitlines()
    good = [line for line in lines if line.endswith(" 0") and not line.startswith(damaged[0])]
    assert record["class_counts"][0] == len(good)


def test_the_other_name_of_the_inat_script(data, run):
    data("inat18")
    done = run(INAT.replace("inat_train.py", "inat18_train.py") + " -a resnet18", REHEARSAL + " --workers 0")
    assert done.returncode == 0, done.stderr
