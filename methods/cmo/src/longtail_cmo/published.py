"""What was published about CMO, and the commands for it."""

from __future__ import annotations

from functools import partial

from longtail.training.published import TEST, Command, Published, Reruns
from longtail_cmo import evaluation
from longtail_cmo.experiments import CIFAR, IMAGENET, INAT, Experiment
from longtail_cmo.flags import create_parser
from longtail_cmo.training import console

_WHERE = frozenset({"root", "root_log", "root_model", "workers", "print_freq", "exp_str"})
_CIFAR = "CIFAR-100-LT, imbalance factor 0.01"
_TABLE = "the paper's table 2, quoted in issues of the original repository"
_BOTH = f"{_TABLE}; command: its README"
_README = "README of the original repository"
_COMMAND_ALONE = "command: README of the original repository; figure: none found"
_NO_COMMAND = "the paper's page gives no command for it"
_ONE_NAME = "its run has the name of the 200-epoch run of BS + CMO, which is moved aside if it lies there"


def _trains(experiment: Experiment, flags: str) -> tuple[Command]:
    line = f"python {experiment.script} {flags}"
    return (Command(line, partial(console, experiment), partial(create_parser, "", experiment), _WHERE),)


_TEST = Command(
    "python test.py -a resnet50 --root data/iNat2018/ --dataset iNat18 --loss_type CE --train_rule DRW "
    "--resume ckpt.best.pth.tar",
    evaluation.console,
    partial(create_parser, evaluation.DESCRIPTION, None),
    _WHERE,
)

PUBLISHED = (
    Published(
        "cifar100-ce-drw-cmo",
        "CE-DRW + CMO, ResNet-32, 200 epochs",
        _CIFAR,
        _COMMAND_ALONE,
        commands=_trains(CIFAR, "--dataset cifar100 --loss_type CE --train_rule DRW --epochs 200 --data_aug CMO"),
    ),
    Published(
        "cifar100-bs-cmo",
        "BS + CMO, ResNet-32, 200 epochs",
        _CIFAR,
        _BOTH,
        {"accuracy": 46.6},
        TEST,
        _trains(CIFAR, "--dataset cifar100 --loss_type BS --epochs 200 --data_aug CMO"),
        (Reruns("the authors", (46.18, 46.34)), Reruns("a user", (46.53, 46.03, 45.64))),
    ),
    Published(
        "cifar100-bs-cmo-400",
        "BS + CMO, ResNet-32, 400 epochs, AutoAugment",
        _CIFAR,
        "second-hand, a table of another project or of an aggregator; command: README of the original repository",
        {"accuracy": 51.7},
        commands=_trains(CIFAR, "--dataset cifar100 --loss_type BS --epochs 400 --data_aug CMO --use_randaug"),
        remark=_ONE_NAME,
    ),
    Published(
        "cifar100-ce",
        "CE, ResNet-32, 200 epochs",
        _CIFAR,
        _TABLE,
        {"accuracy": 38.6},
        TEST,
        reruns=(Reruns("a user", (38.81, 38.46, 38.22)),),
        obstacle=_NO_COMMAND,
    ),
    Published(
        "cifar100-ce-cmo",
        "CE + CMO, ResNet-32, 200 epochs",
        _CIFAR,
        _TABLE,
        {"accuracy": 43.9},
        TEST,
        reruns=(Reruns("the authors", (43.13, 42.63)), Reruns("a user", (42.21, 41.72, 42.40))),
        obstacle=_NO_COMMAND,
    ),
    Published(
        "cifar100-ldam-drw-cmo",
        "LDAM-DRW + CMO, ResNet-32, 200 epochs",
        _CIFAR,
        _TABLE,
        {"accuracy": 47.2},
        TEST,
        reruns=(Reruns("a user", (46.06, 46.45, 46.49)),),
        obstacle=_NO_COMMAND,
    ),
    Published(
        "imagenet-lt-bs-cmo",
        "BS + CMO, ResNet-50, 100 epochs",
        "ImageNet-LT",
        _README,
        {"accuracy": 52.3},
        TEST,
        _trains(
            IMAGENET,
            "-a resnet50 --root data/ILSVRC/ --dataset Imagenet-LT --loss_type BS --data_aug CMO --epochs 100 "
            "--num_classes 1000 --workers 12 --print_freq 100",
        ),
    ),
    Published(
        "imagenet-lt-bs-cmo-400",
        "BS + CMO, ResNet-50, 400 epochs, RandAugment",
        "ImageNet-LT",
        _README,
        {"accuracy": 58.0},
        TEST,
        _trains(
            IMAGENET,
            "-a resnet50 --root data/ILSVRC/ --dataset Imagenet-LT --loss_type BS --data_aug CMO --epochs 400 "
            "--num_classes 1000 --workers 12 --print_freq 100 --wd 5e-4 --lr 0.02 --cos --use_randaug",
        ),
    ),
    Published(
        "inat18-bs-cmo",
        "BS + CMO, ResNet-50, 100 epochs",
        "iNaturalist 2018",
        _COMMAND_ALONE,
        commands=_trains(
            INAT,
            "-a resnet50 --root data/iNat2018/ --dataset iNat18 --loss_type BS --data_aug CMO --epochs 100 --num_classes 8142 "
            "--workers 12 --print_freq 100 -b 256",
        ),
    ),
    Published(
        "inat18-bs-cmo-400",
        "BS + CMO, ResNet-50, 400 epochs, RandAugment",
        "iNaturalist 2018",
        _README,
        {"accuracy": 74.0},
        TEST,
        _trains(
            INAT,
            "-a resnet50 --root data/iNat2018/ --dataset iNat18 --loss_type BS --data_aug CMO --epochs 400 --num_classes 8142 "
            "--workers 12 --print_freq 100 --wd 1e-4 --lr 0.02 --cos --use_randaug",
        ),
    ),
    Published(
        "inat18-ce-drw-cmo",
        "CE-DRW + CMO, ResNet-50",
        "iNaturalist 2018",
        _README,
        {"accuracy": 70.9},
        TEST,
        (_TEST,),
        remark="evaluates the authors' checkpoint, which their README links to; for its training it gives no command",
    ),
)
