"""The paper's flags, with its spellings and defaults."""

from __future__ import annotations

import argparse

from longtail.training.launch import gpu_ids
from longtail.training.options import at_least, between, truth
from longtail.training.runtime import PaperParser, add_runtime_options

DATASETS = {"cifar10": 10, "cifar100": 100}
"""The data sets of the CIFAR scripts with their numbers of classes."""
ROOTS = {"cifar10": "data/CIFAR10", "cifar100": "data/CIFAR100"}


def create_cifar_parser() -> argparse.ArgumentParser:
    """The parser of `cifar_train.py`."""
    parser = PaperParser(description="Train on CIFAR with DPA-EI (Zhao et al., Knowledge-Based Systems 2025).")
    paper = parser.add_argument_group("DPA-EI", "the paper's flags")
    _add_data(paper)
    _add_training(paper)
    _add_method(paper)
    _add_rest(paper)
    group = add_runtime_options(parser)
    _add_ours(group)
    group.add_argument(
        "--switch-epochs",
        type=at_least(0),
        nargs=2,
        default=(160, 180),
        metavar=("FIRST", "SECOND"),
        help="0-based epochs at which the learning rate falls; the implicit stage begins with the first (default: 160 180)",
    )
    group.add_argument(
        "--fit-schedule", action="store_true", help="stretch the switch epochs, written for 200 epochs, to --epochs"
    )
    return parser


def create_test_parser() -> argparse.ArgumentParser:
    """The parser of `cifar_test.py`."""
    parser = PaperParser(description="Evaluate a checkpoint on the test set of CIFAR (DPA-EI, Zhao et al., 2025).")
    paper = parser.add_argument_group("DPA-EI", "the paper's flags")
    paper.add_argument("--checkpoint_path", default="", metavar="PATH", help="checkpoint to evaluate")
    _add_dataset(paper)
    _add_imb_factor(paper, default=0.1, help_text="smallest class / largest class that it was trained with")
    group = add_runtime_options(parser)
    _add_ours(group)
    group.add_argument(
        "--num_meta",
        type=at_least(1),
        help="meta images of each class that it was trained with, for the shot groups (default: 10, CIFAR-100: 100)",
    )
    group.add_argument("--seed", type=at_least(0), default=42, help="seed that it was trained with (default: %(default)s)")
    return parser


def _add_ours(group: argparse._ArgumentGroup) -> None:
    roots = " or ".join(ROOTS.values())
    group.add_argument("--root", metavar="DIR", help=f"folder of the data set (default: {roots})")
    group.add_argument("--arch", default="resnet32", metavar="NAME", help="network (default: %(default)s)")


def _add_dataset(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--dataset", default="cifar100", choices=tuple(DATASETS), help="data set (default: %(default)s)")


def _add_imb_factor(group: argparse._ArgumentGroup, *, default: float, help_text: str) -> None:
    group.add_argument(
        "--imb_factor",
        type=between(0, 1, least_excluded=True),
        default=default,
        help=f"{help_text} (default: %(default)s)",
    )


def _add_data(group: argparse._ArgumentGroup) -> None:
    _add_dataset(group)
    group.add_argument("--num_classes", type=int, help="number of classes (default: the data set's)")
    group.add_argument(
        "--num_meta",
        type=at_least(1),
        default=100,
        help="images of each class that leave the training set for the meta set (default: %(default)s)",
    )
    _add_imb_factor(group, default=0.01, help_text="smallest class / largest class")


def _add_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--batch-size",
        "--batch_size",
        type=at_least(1),
        default=100,
        help="batch size of training and meta set, over all GPUs (default: %(default)s)",
    )
    group.add_argument(
        "--test-batch-size", "--test_batch_size", type=at_least(1), default=100, help="of evaluation (default: %(default)s)"
    )
    group.add_argument("--epochs", type=at_least(1), default=200, help="epochs (default: %(default)s)")
    group.add_argument(
        "--lr",
        "--learning-rate",
        dest="lr",
        type=between(0, least_excluded=True),
        default=0.1,
        help="base learning rate (default: %(default)s)",
    )
    group.add_argument("--momentum", type=between(0, 1), default=0.9, help="SGD momentum (default: %(default)s)")
    group.add_argument(
        "--nesterov", type=truth, default=True, metavar="BOOL", help="Nesterov's momentum (default: %(default)s)"
    )
    group.add_argument(
        "--weight-decay",
        "--wd",
        dest="weight_decay",
        type=between(0),
        default=5e-4,
        help="weight decay (default: %(default)s)",
    )


def _add_method(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--lam",
        type=between(0),
        default=0.5,
        help="strength of the implicit augmentation at the end; it grows with the epoch (default: %(default)s)",
    )
    group.add_argument("--meta_lr", type=between(0), default=0.1, help="step size of the covariances (default: %(default)s)")


def _add_rest(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--no-cuda", type=truth, nargs="?", const=True, default=False, metavar="BOOL", help="compute on the CPU")
    group.add_argument("--split", type=int, default=1000, help="has no effect")
    group.add_argument(
        "--seed", type=at_least(0), default=42, help="of meta set, long tail and training alike (default: %(default)s)"
    )
    group.add_argument(
        "--print-freq", "--print_freq", "-p", type=at_least(1), default=100, help="batches between lines (default: %(default)s)"
    )
    group.add_argument(
        "--gpu", type=gpu_ids, default="0", metavar="N[,N...]", help="GPUs to use, one process each (default: %(default)s)"
    )
    group.add_argument("--save_name", default="name", help="has no effect")
    group.add_argument("--idx", default="0", help="folder of the checkpoints below checkpoint/ours (default: %(default)s)")
