"""The paper's flags, with its spellings and defaults."""

from __future__ import annotations

import argparse
import os

from longtail.names import PROFILES
from longtail.training.launch import gpu_ids
from longtail.training.options import at_least, between
from longtail.training.runtime import PaperParser, add_runtime_options
from longtail_lcsl.experiments import EXPERIMENTS, Experiment

MOST_WORKERS = 16
"""Processes that the paper's script reads large images with."""

PAPER = (
    "image_size",
    "dataset",
    "batch_size",
    "optimizer",
    "imb_type",
    "imb_factor",
    "alpha",
    "beta",
    "tau",
    "lr",
    "weight_decay",
    "warmup_epochs",
    "data_aug",
    "epochs",
    "gpu",
    "fc_norm",
    "start_epoch",
    "lambda_init",
)
"""The paper's flags in its order, which is that of `args.txt`."""


def create_parser() -> argparse.ArgumentParser:
    """The parser of `train_LCSL.py`."""
    parser = PaperParser(description="Train with LCSL (Vu et al., IEEE TCSVT 2024), then evaluate the best epoch's network.")
    paper = parser.add_argument_group("LCSL", "the paper's flags")
    _add_data(paper)
    _add_method(paper)
    _add_training(paper)
    _add_ours(add_runtime_options(parser))
    return parser


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--image_size", type=int, default=32, help="has no effect: 32 on CIFAR and 224 elsewhere")
    group.add_argument(
        "--dataset", default="cifar100", choices=tuple(EXPERIMENTS), help="data set below --root (default: %(default)s)"
    )
    group.add_argument(
        "--imb_type", default="exp", choices=PROFILES, help="how class sizes fall; CIFAR alone (default: %(default)s)"
    )
    group.add_argument(
        "--imb_factor",
        type=between(0, 1, least_excluded=True),
        default=0.01,
        help="smallest class / largest class; CIFAR alone (default: %(default)s)",
    )
    group.add_argument(
        "--data_aug",
        default="none",
        help="none: crop and flip, and colour jitter outside CIFAR; sim_aug: colour distortions outside CIFAR; anything else: "
        "AutoAugment with Cutout on CIFAR, RandAugment elsewhere (default: %(default)s)",
    )


def _add_method(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--alpha", type=between(0), default=1.0, help="weight of the mixup loss (default: %(default)s)")
    group.add_argument(
        "--beta",
        type=between(0),
        default=1.0,
        help="weight of the self-labelling loss; 0 leaves plain mixup (default: %(default)s)",
    )
    group.add_argument(
        "--lambda_init",
        type=between(0),
        default=0.5,
        help="the paper's conf: least confidence of a label that the teacher gives (default: %(default)s)",
    )
    group.add_argument(
        "--tau",
        type=between(0, least_excluded=True),
        default=1.0,
        help="temperature of the teacher's confidence (default: %(default)s)",
    )
    group.add_argument(
        "--fc_norm",
        type=float,
        default=1.9,
        help="above 0, the rows of the teacher's classifier get length 1; how far above has no effect (default: %(default)s)",
    )


def _add_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--batch_size", type=at_least(1), default=64, help="batch size over all GPUs, also of evaluation (default: %(default)s)"
    )
    group.add_argument("--optimizer", default="sgd", help="has no effect: the optimiser is always SGD")
    group.add_argument(
        "--lr", type=between(0, least_excluded=True), default=0.01, help="base learning rate (default: %(default)s)"
    )
    group.add_argument("--weight_decay", type=between(0), default=5e-3, help="weight decay (default: %(default)s)")
    group.add_argument("--warmup_epochs", type=at_least(0), default=10, help="epochs of linear warm-up (default: %(default)s)")
    group.add_argument("--epochs", type=at_least(1), default=300, help="epochs (default: %(default)s)")
    group.add_argument(
        "--start_epoch",
        type=at_least(1),
        default=1,
        help="1-based epoch to go on with, from the files of the epoch before it; one more than --epochs only evaluates "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--gpu",
        type=gpu_ids,
        default="1",
        metavar="N[,N...]",
        help="GPUs to use, one process each; those that there are not are left out (default: %(default)s)",
    )


def _add_ours(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--root", default="datasets", metavar="DIR", help="folder of the data sets (default: %(default)s)")
    group.add_argument(
        "--arch", metavar="NAME", help="network, such as resnet32 on CIFAR (default: the one that the paper's script trains)"
    )
    group.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="training seed (default: %(default)s)")
    group.add_argument(
        "--workers",
        type=at_least(0),
        default=min(MOST_WORKERS, os.cpu_count() or 1),
        metavar="N",
        help=f"processes that read images from files (default: one for each core, at most {MOST_WORKERS})",
    )


def run_name(args: argparse.Namespace, experiment: Experiment) -> str:
    """The paper's name of a run, and what options that the paper does not have add to it.

    It holds none of alpha, beta, the learning rate and the epochs.
    """
    parts = ["LCSL", args.dataset]
    if experiment.is_cifar:
        parts += ["IF", str(int(1 / args.imb_factor))]
    parts += ["data_aug", args.data_aug, "network", experiment.network]
    if args.arch not in (None, experiment.arch):
        parts += ["arch", args.arch]
    if args.seed:
        parts += ["seed", str(args.seed)]
    return "_".join(parts)


def as_given(args: argparse.Namespace) -> dict[str, object]:
    """The paper's flags with their values, in the paper's order; GPUs as text."""
    return {name: ",".join(map(str, args.gpu)) if name == "gpu" else getattr(args, name) for name in PAPER}
