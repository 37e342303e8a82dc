"""What was published about DPA-EI: commands. Its figures are in the paper alone, and not known here."""

from __future__ import annotations

from longtail.training.published import Command, Published
from longtail_dpa_ei import cifar, large
from longtail_dpa_ei.flags import create_cifar_parser, create_large_parser

_SOURCE = "command: README of the original repository; figure: none found, neither README nor code tells one"
_STAGE1 = "begins with a ResNet-50 that somebody has trained before, see the package's README"


def _cifar(dataset: str, classes: int) -> tuple[Command]:
    line = (
        f"python cifar_train.py --dataset {dataset} --num_classes {classes} --num_meta {classes} --batch-size 100 "
        "--imb_factor 0.01 --test-batch-size 100 --epochs 200 --lr 0.1 --momentum 0.9 --weight-decay 5e-4 --gpu 0 --idx '0'"
    )
    where = frozenset({"root", "print_freq", "idx", "save_name", "no_cuda", "split", "test_batch_size"})
    return (Command(line, cifar.console, create_cifar_parser, where),)


def _large(flags: str) -> tuple[Command]:
    line = f"python train.py {flags} --lr 0.0003 --momentum 0.9 --weight-decay 5e-4 --gpu 0 --idx '0'"
    where = frozenset(
        {
            "data_root",
            "workers",
            "print_freq",
            "idx",
            "save_name",
            "no_cuda",
            "split",
            "test_batch_size",
        }
    )
    return (Command(line, large.console, create_large_parser, where),)


PUBLISHED = (
    Published(
        "cifar10",
        "DPA-EI, ResNet-32, 200 epochs",
        "CIFAR-10-LT, imbalance factor 0.01, 10 meta images a class",
        _SOURCE,
        commands=_cifar("cifar10", 10),
    ),
    Published(
        "cifar100",
        "DPA-EI, ResNet-32, 200 epochs",
        "CIFAR-100-LT, imbalance factor 0.01, 100 meta images a class",
        _SOURCE,
        commands=_cifar("cifar100", 100),
    ),
    Published(
        "imagenet-lt",
        "DPA-EI, classifier of a ResNet-50, 90 epochs",
        "ImageNet-LT",
        _SOURCE,
        commands=_large(
            "--dataset ImageNet_LT --data_root /ImageNet2012 --num_classes 1000 --num_meta 5 --batch-size 64 --epochs 90"
        ),
        remark=_STAGE1,
    ),
    Published(
        "inat18",
        "DPA-EI, classifier of a ResNet-50, 180 epochs",
        "iNaturalist 2018",
        _SOURCE,
        commands=_large(
            "--dataset iNaturalist18 --data_root /iNaturalist18 --num_classes 8142 --num_meta 2 --batch-size 64 --epochs 180"
        ),
        remark=_STAGE1,
    ),
)
