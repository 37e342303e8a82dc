"""What was published about LCSL, and the commands for it."""

from __future__ import annotations

from longtail.training.published import TEST, Command, Published
from longtail_lcsl.flags import create_parser
from longtail_lcsl.training import console

_README = "abstract in the README of the original repository"
_CHOSEN = f"{TEST}, as in the code"
_UNKNOWN = "whether before or after the classifier's normalisation, with or without AutoAugment"
_NETWORK = "which network, a ResNet-32 or the ResNet-34 of the code"
_SAME = "the README gives the command for CIFAR-100 and names the other data sets; their settings are in the paper"


def _trains(dataset: str) -> tuple[Command]:
    line = (
        f"python train_LCSL.py --dataset='{dataset}' --batch_size=64 --imb_factor=0.01 --alpha=1. --beta=1. --lr=0.01 "
        "--gpu=0 --weight_decay=5e-3 --epochs=300 --lambda_init=0.5"
    )
    return (Command(line, console, create_parser, frozenset({"root", "workers"})),)


PUBLISHED = (
    Published(
        "cifar100",
        "LCSL, 300 epochs",
        "CIFAR-100-LT, imbalance factor 0.01",
        _README,
        {"accuracy": 54.4},
        _CHOSEN,
        _trains("cifar100"),
        remark=f"unknown: {_NETWORK}; {_UNKNOWN}",
    ),
    Published(
        "cifar10",
        "LCSL, 300 epochs",
        "CIFAR-10-LT, imbalance factor 0.01",
        _README,
        {"accuracy": 85.8},
        _CHOSEN,
        _trains("cifar10"),
        remark=f"{_SAME}; unknown: {_NETWORK}; {_UNKNOWN}",
    ),
    Published(
        "imagenet-lt",
        "LCSL, ResNeXt-50, 300 epochs",
        "ImageNet-LT",
        _README,
        {"accuracy": 56.2},
        _CHOSEN,
        _trains("imagenet"),
        remark=f"{_SAME}; unknown: {_UNKNOWN}",
    ),
)
