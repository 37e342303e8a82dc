"""What was published about RSG in the study's setting, and the study's commands."""

from __future__ import annotations

from longtail.training.published import Command, Published
from longtail_rsg_study.flags import create_train_parser
from longtail_rsg_study.training import console

_SOURCE = "command: the defaults that the study's README tells; figure: none found"
_TITLE = "RSG, cosine classifier, 0.1 LDAM + 0.9 SupCon, ResNeXt-50, 20 epochs"
_RSG = "RSG generates nothing in so few epochs; the initial weights of the study are unknown"


def _trains(flags: str = "") -> tuple[Command]:
    where = frozenset({"workers", "print_freq", "root_log", "root_model", "run_suffix", "rand_number"})
    return (Command(f"python imagenet_lt_train.py {flags}".strip(), console, create_train_parser, where),)


PUBLISHED = (
    Published("mini-imagenet-lt", _TITLE, "mini-ImageNet-LT", _SOURCE, commands=_trains(), remark=_RSG),
    Published(
        "cifar10",
        _TITLE,
        "CIFAR-10-LT, images enlarged to 224 pixels",
        _SOURCE,
        commands=_trains("--data_dir data/CIFAR10 --cls_num 10"),
        remark=_RSG,
    ),
    Published(
        "cifar100",
        _TITLE,
        "CIFAR-100-LT, images enlarged to 224 pixels",
        _SOURCE,
        commands=_trains("--data_dir data/CIFAR100"),
        remark=_RSG,
    ),
    Published(
        "mini-imagenet-lt-rsg",
        "RSG",
        "mini-ImageNet-LT",
        "README of the data set mini-ImageNet-LT",
        {"accuracy": 72.62, "many": 75.91, "medium": 62.45, "few": 50.83},
        obstacle="its network, initial weights and command are unknown",
    ),
)
