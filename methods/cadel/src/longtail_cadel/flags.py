"""The paper's flags, the same for all of its scripts, and what they change in a configuration."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from longtail.errors import UserError
from longtail.training.launch import gpu_ids
from longtail.training.options import at_least, between
from longtail.training.runtime import PaperParser, add_runtime_options
from longtail_cadel.eval_heads import heads
from longtail_cadel.experiments import DATA_ROOTS, Script

if TYPE_CHECKING:
    from longtail_cadel.config import Config

_IDLE = {
    "test_open": (False, "nothing reads it"),
    "output_logits": (False, "nothing reads it"),
    "save_feat": ("", "nothing reads it"),
    "feat_type": ("cl2n", "it belongs to --knn"),
    "dist_type": ("l2", "it belongs to --knn"),
}
"""Flags that do nothing, in the paper's scripts as here: their defaults, and why."""


def create_parser(script: Script) -> argparse.ArgumentParser:
    """The parser of one of the paper's scripts."""
    what = "Train with CADEL" if script.trains else "Correct the prior of what CADEL has trained"
    parser = PaperParser(description=f"{what} (Chen et al., 2023), as a yaml file says.")
    _add_paper(parser.add_argument_group("CADEL", "the paper's flags"), script)
    _add_ours(add_runtime_options(parser), script)
    return parser


def _spelt(name: str) -> list[str]:
    return list(dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")))


def _add_paper(group: argparse._ArgumentGroup, script: Script) -> None:
    group.add_argument(
        *_spelt("cfg"),
        default=script.cfg,
        metavar="FILE",
        help="configuration, looked for here and then among the paper's (default: %(default)s)",
    )
    group.add_argument(
        *_spelt("batch_size"),
        type=at_least(1),
        metavar="N",
        help="instead of the configuration's: over all GPUs, but for each process under torch.distributed.launch or torchrun",
    )
    group.add_argument(
        *_spelt("model_dir"),
        metavar="PATH",
        help="instead of the configuration's: trained networks to start from, a folder or a .pth file",
    )
    group.add_argument(
        *_spelt("test"), action="store_true", help="evaluate what model_dir holds, or else log_dir, and do not train"
    )
    group.add_argument(*_spelt("test_open"), action="store_true", help="has no effect")
    group.add_argument(*_spelt("output_logits"), default=False, metavar="ANY", help="has no effect")
    group.add_argument(*_spelt("save_feat"), default="", metavar="ANY", help="has no effect")
    group.add_argument(
        *_spelt("knn"), action="store_true", help="with --test: refused, for the authors published no such classifier"
    )
    group.add_argument(*_spelt("feat_type"), default="cl2n", metavar="ANY", help="has no effect")
    group.add_argument(*_spelt("dist_type"), default="l2", metavar="ANY", help="has no effect")
    group.add_argument(
        *_spelt("val_as_train"), action="store_true", help="train on the images of the validation list, augmented"
    )
    group.add_argument(
        *_spelt("local_rank"),
        type=int,
        default=os.environ.get("LOCAL_RANK", "-1"),
        metavar="N",
        help="number of this process on its machine, which a launcher gives",
    )


def _add_ours(group: argparse._ArgumentGroup, script: Script) -> None:
    roots = " or ".join(DATA_ROOTS.values())
    group.add_argument(*_spelt("data_root"), metavar="DIR", help=f"folder with the images (default: {roots})")
    group.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="training seed (default: %(default)s)")
    group.add_argument("--gpu", type=gpu_ids, metavar="N[,N...]", help="GPUs to use, one process each (default: all of them)")
    group.add_argument(
        *_spelt("eval_heads"),
        type=heads,
        metavar="HEADS",
        help="heads that predict: last, all, or some of 1,2,3, the shallowest first (default: last; all in transformers)",
    )
    group.add_argument(
        *_spelt("image_size"), type=at_least(1), metavar="PX", help="width and height of images, instead of the configuration's"
    )
    group.add_argument(
        *_spelt("num_workers"), type=at_least(0), metavar="N", help="processes that read images, instead of the configuration's"
    )
    if script.trains:
        _add_training(group)
    else:
        group.add_argument(
            "--taus",
            type=_numbers,
            default=script.taus,
            metavar="TAU[,TAU...]",
            help=f"strengths of the correction to choose from (default: {','.join(map(str, script.taus))})",
        )


def _add_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument(*_spelt("num_epochs"), type=at_least(1), metavar="N", help="epochs, instead of the configuration's")
    group.add_argument(
        *_spelt("per_sample_weight"),
        action=argparse.BooleanOptionalAction,
        default=None,
        help="in convolutional networks, weight each sample's own loss; the authors' code weights the mean loss",
    )
    group.add_argument("--resume", metavar="PATH", help="checkpoint of an interrupted run to continue from")
    group.add_argument(
        *_spelt("no_pretrained"), action="store_true", help="start from random weights, whatever the configuration names"
    )
    group.add_argument(
        *_spelt("allow_missing_pretrain"),
        action="store_true",
        help="start from random weights if the pretrained ones that the configuration names are not there",
    )


def _numbers(said: str) -> tuple[float, ...]:
    try:
        return tuple(between(0)(each) for each in said.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be numbers with commas between them, such as 0.9,1.0, got {said!r}") from error


def check(args: argparse.Namespace) -> None:
    """Refuse flags with which nothing can be done.

    Raises:
        UserError: for the flags of the classifier that was never published.
    """
    if args.knn and args.test:
        raise UserError(
            "--knn cannot be done: the nearest-neighbour classifier that it needs, models/KNNClassifier.py, was never "
            "published; --test alone evaluates the networks' own heads"
        )


def notices(script: Script, args: argparse.Namespace) -> list[str]:
    """What the flags do not do, though one may think so."""
    found = [f"--{name} has no effect: {reason}" for name, (default, reason) in _IDLE.items() if getattr(args, name) != default]
    if args.knn:
        found.append("--knn has no effect without --test")
    if args.test and not script.trains:
        found.append("--test has no effect: stage two trains nothing anyway")
    if args.local_rank >= 0 and "RANK" not in os.environ:
        found.append("the local rank has no effect: no launcher has started this process")
    return found


def configured(script: Script, args: argparse.Namespace) -> Config:
    """The configuration that a command line of this script stands for.

    Raises:
        UserError: there is no such file, or something is wrong in it.
    """
    from longtail_cadel.config import override
    from longtail_cadel.config_loading import load_config

    return override(
        load_config(args.cfg, trains=script.trains and not args.test),
        batch_size=args.batch_size,
        model_dir=args.model_dir,
        num_workers=args.num_workers,
        image_size=args.image_size,
        eval_heads=args.eval_heads,
        num_epochs=getattr(args, "num_epochs", None),
        per_sample_weight=getattr(args, "per_sample_weight", None),
    )
