"""The flags that all four of the paper's scripts share, with the paper's spellings and defaults."""

from __future__ import annotations

import argparse

from longtail.training.launch import gpu_ids
from longtail.training.options import at_least, between
from longtail.training.runtime import PaperParser, add_runtime_options
from longtail_cmo.experiments import CIFAR, EXPERIMENTS, Experiment
from longtail_cmo.method import DATA_AUGS, LOSSES, RULES


def create_parser(description: str, experiment: Experiment | None) -> argparse.ArgumentParser:
    """The parser of one of the paper's scripts.

    Args:
        description: what the script is for.
        experiment: what it trains, whose data set, network and number of classes are the defaults; None where `--dataset`
            decides.
    """
    parser = PaperParser(description=description)
    paper = parser.add_argument_group("CMO", "the paper's flags")
    _add_data(paper, experiment)
    _add_network(paper, experiment)
    _add_mixing(paper)
    _add_training(paper)
    _add_files(paper)
    add_runtime_options(parser).add_argument(
        "--fit-schedule",
        action="store_true",
        help="stretch the paper's fixed epochs (warm-up, steps, deferral, first and last epochs without CMO) to --epochs",
    )
    return parser


def _add_data(group: argparse._ArgumentGroup, experiment: Experiment | None) -> None:
    group.add_argument("--root", default="./data/", help="folder of the data set (default: %(default)s)")
    group.add_argument(
        "--dataset",
        default=(experiment or CIFAR).dataset,
        choices=tuple(EXPERIMENTS),
        help="data set (default: %(default)s)",
    )
    group.add_argument(
        "--num_classes",
        type=int,
        default=experiment and experiment.num_classes,
        help=f"number of classes (default: {_default(experiment, 'num_classes')})",
    )
    group.add_argument(
        "--imb_factor",
        type=between(0, 1, least_excluded=True),
        default=0.01,
        help="smallest class / largest class; CIFAR alone (default: %(default)s)",
    )
    group.add_argument(
        "--rand_number", type=at_least(0), default=0, help="seed of the long-tailed split; CIFAR alone (default: %(default)s)"
    )


def _default(experiment: Experiment | None, name: str) -> str:
    return "the data set's" if experiment is None else str(getattr(experiment, name))


def _add_network(group: argparse._ArgumentGroup, experiment: Experiment | None) -> None:
    group.add_argument(
        "-a", "--arch", default=experiment and experiment.arch, help=f"backbone (default: {_default(experiment, 'arch')})"
    )
    group.add_argument("--loss_type", default="CE", choices=tuple(LOSSES), help="loss (default: %(default)s)")
    group.add_argument("--train_rule", default="None", choices=tuple(RULES), help="class weights (default: %(default)s)")


def _add_mixing(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--data_aug", default="CMO", choices=DATA_AUGS, help="mixing (default: %(default)s)")
    group.add_argument(
        "--mixup_prob", type=between(0, 1), default=0.5, help="share of batches that are mixed (default: %(default)s)"
    )
    group.add_argument("--start_data_aug", type=int, default=3, help="mix only after this 0-based epoch (default: %(default)s)")
    group.add_argument("--end_data_aug", type=int, default=3, help="last epochs without mixing (default: %(default)s)")
    group.add_argument(
        "--weighted_alpha",
        type=between(0),
        default=1,
        help="r of the foreground sampler: an image of class c is drawn in proportion to n_c^-r; 1 gives every class the "
        "same share (default: %(default)s)",
    )
    group.add_argument(
        "--beta",
        type=between(0, least_excluded=True),
        default=1,
        help="mixing ratio is drawn from Beta(beta, beta) (default: %(default)s)",
    )
    group.add_argument("--use_randaug", action="store_true", help="strong augmentation, with its own learning rate schedule")


def _add_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--epochs", type=at_least(1), default=200, help="epochs (default: %(default)s)")
    group.add_argument(
        "--lr",
        "--learning-rate",
        dest="lr",
        type=between(0, least_excluded=True),
        default=0.1,
        help="base learning rate (default: %(default)s)",
    )
    group.add_argument(
        "--lr_steps",
        type=int,
        nargs="*",
        default=[120, 160],
        help="epochs that divide the rate by 10; ImageNet-LT and iNaturalist with --use_randaug alone (default: %(default)s)",
    )
    group.add_argument(
        "--cos", action="store_true", help="cosine schedule; ImageNet-LT and iNaturalist with --use_randaug alone"
    )
    group.add_argument(
        "-b", "--batch_size", type=at_least(1), default=128, help="batch size over all GPUs (default: %(default)s)"
    )
    group.add_argument("--momentum", type=between(0, 1), default=0.9, help="SGD momentum (default: %(default)s)")
    group.add_argument(
        "--wd", "--weight-decay", dest="weight_decay", type=between(0), default=2e-4, help="weight decay (default: %(default)s)"
    )
    group.add_argument(
        "--start-epoch", type=at_least(0), default=0, help="first epoch, 0-based; --resume overrides it (default: %(default)s)"
    )
    group.add_argument("--resume", default="", metavar="PATH", help="checkpoint to continue from")
    group.add_argument("--seed", type=at_least(0), default=None, help="training seed (default: 0; the split has --rand_number)")
    group.add_argument(
        "--gpu", type=gpu_ids, default=None, metavar="N[,N...]", help="GPUs to use, one process each (default: all of them)"
    )
    group.add_argument(
        "-j",
        "--workers",
        type=at_least(0),
        default=4,
        help="processes of each loader, where images are files (default: %(default)s)",
    )


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--exp_str", default="0", help="tag at the end of the run's name (default: %(default)s)")
    group.add_argument(
        "-p", "--print_freq", type=at_least(1), default=50, help="batches between log lines (default: %(default)s)"
    )
    group.add_argument("--root_log", default="log", help="folder of the logs (default: %(default)s)")
    group.add_argument("--root_model", default="checkpoint", help="folder of the checkpoints (default: %(default)s)")


def run_name(args: argparse.Namespace) -> str:
    """The paper's name of a run: it holds neither epochs nor seed nor `--use_randaug`."""
    parts = (
        args.dataset,
        args.arch,
        args.loss_type,
        args.train_rule,
        args.data_aug,
        args.imb_factor,
        args.rand_number,
        args.mixup_prob,
        args.exp_str,
    )
    return "_".join(str(part) for part in parts)
