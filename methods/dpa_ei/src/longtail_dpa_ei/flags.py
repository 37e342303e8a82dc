"""The paper's flags, with the spellings and defaults of each of its four scripts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from longtail.training.launch import gpu_ids
from longtail.training.options import at_least, between, truth
from longtail.training.runtime import PaperParser, add_runtime_options
from longtail_dpa_ei.experiments import CIFAR, LARGE, Experiment

SWITCH_EPOCHS = (160, 180)


@dataclass(frozen=True)
class Defaults:
    """What the flags of one script are unless the command line says otherwise.

    Args:
        experiments: what `--dataset` can be.
        dataset, num_meta, batch_size, epochs, lr, lam, print_freq, workers: defaults of these flags.
        gpu: the same; None is all of them.
    """

    experiments: Mapping[str, Experiment]
    dataset: str
    num_meta: int
    batch_size: int
    epochs: int
    lr: float
    lam: float = 0.5
    print_freq: int = 1000
    gpu: str | None = None
    workers: int = 0


CIFAR_TRAIN = Defaults(CIFAR, "cifar100", num_meta=100, batch_size=100, epochs=200, lr=0.1, print_freq=100, gpu="0")
TRAIN = Defaults(LARGE, "iNaturalist18", num_meta=2, batch_size=100, epochs=20, lr=0.0003)
TEST = Defaults(LARGE, "ImageNet_LT", num_meta=10, batch_size=64, epochs=20, lr=0.1, lam=0.75, workers=16)


def flag_lines(args: argparse.Namespace) -> Iterator[str]:
    """What the paper's scripts begin with: each flag and its value."""
    for name, value in vars(args).items():
        yield f"{name}={','.join(map(str, value)) if isinstance(value, (list, tuple)) else value}"


def create_cifar_parser() -> argparse.ArgumentParser:
    """The parser of `cifar_train.py`."""
    parser = PaperParser(description="Train on CIFAR with DPA-EI (Zhao et al., Knowledge-Based Systems 2025).")
    _add_paper(parser, CIFAR_TRAIN)
    group = add_runtime_options(parser)
    _add_cifar(group)
    group.add_argument(
        "--switch-epochs",
        type=at_least(0),
        nargs=2,
        default=SWITCH_EPOCHS,
        metavar=("FIRST", "SECOND"),
        help="0-based epochs at which the learning rate falls; the implicit stage begins with the first (default: 160 180)",
    )
    group.add_argument(
        "--fit-schedule", action="store_true", help="stretch the switch epochs, written for 200 epochs, to --epochs"
    )
    return parser


def create_cifar_test_parser() -> argparse.ArgumentParser:
    """The parser of `cifar_test.py`."""
    parser = PaperParser(description="Evaluate a checkpoint on the test set of CIFAR (DPA-EI, Zhao et al., 2025).")
    paper = parser.add_argument_group("DPA-EI", "the paper's flags")
    paper.add_argument("--checkpoint_path", default="", metavar="PATH", help="checkpoint to evaluate")
    _add_dataset(paper, CIFAR_TRAIN)
    _add_imb_factor(paper, default=0.1)
    group = add_runtime_options(parser)
    _add_cifar(group)
    group.add_argument(
        "--num_meta",
        type=at_least(1),
        help="meta images of each class that it was trained with, for the shot groups (default: those of the paper's commands, "
        "10 on CIFAR-10 and 100 on CIFAR-100)",
    )
    group.add_argument("--seed", type=at_least(0), default=42, help="seed that it was trained with (default: %(default)s)")
    return parser


def create_large_parser() -> argparse.ArgumentParser:
    """The parser of `train.py`."""
    parser = PaperParser(
        description="Train a classifier on a trained ResNet-50 with DPA-EI (Zhao et al., 2025): ImageNet-LT and "
        "iNaturalist 2018."
    )
    _add_large(_add_paper(parser, TRAIN), TRAIN)
    group = add_runtime_options(parser)
    _add_network(group)
    group.add_argument(
        "--cache-features",
        action="store_true",
        help="train without augmentation, and compute the features of each image once",
    )
    return parser


def create_large_test_parser() -> argparse.ArgumentParser:
    """The parser of `test.py`."""
    parser = PaperParser(description="Evaluate what train.py left (DPA-EI, Zhao et al., 2025).")
    paper = _add_paper(parser, TEST)
    _add_large(paper, TEST)
    paper.add_argument("--loading_path", default="", metavar="PATH", help="checkpoint to evaluate")
    add_runtime_options(parser)
    return parser


def _add_cifar(group: argparse._ArgumentGroup) -> None:
    roots = " or ".join(each.root for each in CIFAR.values())
    group.add_argument("--root", metavar="DIR", help=f"folder of the data set (default: {roots})")
    group.add_argument("--arch", default="resnet32", metavar="NAME", help="network (default: %(default)s)")


def _add_network(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--stage1",
        metavar="PATH",
        help="checkpoint of the ResNet-50 whose features and classifier this starts from, or `random` for none (default: where "
        "the paper's scripts look)",
    )


def _add_large(group: argparse._ArgumentGroup, defaults: Defaults) -> None:
    group.add_argument(
        "--data_root", default=defaults.experiments[defaults.dataset].root, help="folder of the images (default: %(default)s)"
    )
    group.add_argument(
        "--workers",
        type=at_least(0),
        default=defaults.workers,
        help="processes of each loader (default: %(default)s)",
    )
    group.add_argument("--local_rank", type=int, default=0, help="has no effect")


def _add_paper(parser: argparse.ArgumentParser, defaults: Defaults) -> argparse._ArgumentGroup:
    """The flags that the three longer scripts share; every spelling that one of them has, all have."""
    group = parser.add_argument_group("DPA-EI", "the paper's flags")
    _add_dataset(group, defaults)
    group.add_argument("--num_classes", type=int, help="number of classes (default: the data set's)")
    group.add_argument(
        "--num_meta",
        type=at_least(1),
        default=defaults.num_meta,
        help="images of each class in the meta set (default: %(default)s)",
    )
    _add_imb_factor(group, default=0.01)
    _add_training(group, defaults)
    _add_rest(group, defaults)
    return group


def _add_dataset(group: argparse._ArgumentGroup, defaults: Defaults) -> None:
    group.add_argument(
        "--dataset", default=defaults.dataset, choices=tuple(defaults.experiments), help="data set (default: %(default)s)"
    )


def _add_imb_factor(group: argparse._ArgumentGroup, *, default: float) -> None:
    group.add_argument(
        "--imb_factor",
        type=between(0, 1, least_excluded=True),
        default=default,
        help="smallest class / largest class; CIFAR alone (default: %(default)s)",
    )


def _add_training(group: argparse._ArgumentGroup, defaults: Defaults) -> None:
    group.add_argument(
        "--batch-size",
        "--batch_size",
        type=at_least(1),
        default=defaults.batch_size,
        help="batch size of training and meta set, over all GPUs (default: %(default)s)",
    )
    group.add_argument(
        "--test-batch-size", "--test_batch_size", type=at_least(1), default=100, help="of evaluation (default: %(default)s)"
    )
    group.add_argument("--epochs", type=at_least(1), default=defaults.epochs, help="epochs (default: %(default)s)")
    group.add_argument(
        "--lr",
        "--learning-rate",
        dest="lr",
        type=between(0, least_excluded=True),
        default=defaults.lr,
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


def _add_rest(group: argparse._ArgumentGroup, defaults: Defaults) -> None:
    group.add_argument("--no-cuda", type=truth, nargs="?", const=True, default=False, metavar="BOOL", help="compute on the CPU")
    group.add_argument("--split", type=int, default=1000, help="has no effect")
    group.add_argument(
        "--seed", type=at_least(0), default=42, help="of meta set, long tail and training alike (default: %(default)s)"
    )
    group.add_argument(
        "--print-freq",
        "--print_freq",
        "-p",
        type=at_least(1),
        default=defaults.print_freq,
        help="batches between lines (default: %(default)s)",
    )
    group.add_argument(
        "--lam",
        type=between(0),
        default=defaults.lam,
        help="strength of the implicit augmentation at the end; it grows with the epoch (default: %(default)s)",
    )
    group.add_argument(
        "--gpu",
        type=gpu_ids,
        default=defaults.gpu,
        metavar="N[,N...]",
        help=f"GPUs to use, one process each (default: {'all of them' if defaults.gpu is None else defaults.gpu})",
    )
    group.add_argument("--meta_lr", type=between(0), default=0.1, help="step size of the covariances (default: %(default)s)")
    group.add_argument("--save_name", default="name", help="has no effect")
    group.add_argument("--idx", default="0", help="on CIFAR, folder of the run in checkpoint/ours (default: %(default)s)")
