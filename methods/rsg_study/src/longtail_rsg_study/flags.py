"""The study's flags, with its spellings and the defaults of its README."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from longtail.training.launch import gpu_ids
from longtail.training.options import at_least, between, truth
from longtail.training.runtime import PaperParser, add_runtime_options
from longtail_rsg_study.method import CE_WEIGHTS, LDAM_WEIGHTS

DATA_DIR = "data/mini-ImageNet"
ARCH = "resnext50_32x4d"

SUFFIXES = {
    "norm_out": "normout",
    "add_rsg": "rsg",
    "add_cross_entropy_loss": "ce",
    "add_ldam_loss": "ldam",
    "add_focal_loss": "focal",
    "add_supcon_loss": "supcon",
    "add_arc_margin_loss": "arcmar",
    "add_add_margin_loss": "addmar",
    "add_sphere_loss": "sphere",
}
"""What each switch adds to the name of a run, in this order."""

_FURTHER_WORDS = {"t": "true", "y": "yes", "f": "false", "n": "no", "": "false"}


def switch(text: str) -> bool:
    """The type of a switch's value; also its initial, and nothing at all for false, the one value that the study's took so."""
    return truth(_FURTHER_WORDS.get(text.lower(), text))


switch.__name__ = "truth"


def create_train_parser() -> argparse.ArgumentParser:
    """The parser of `imagenet_lt_train.py`."""
    parser = PaperParser(
        description="Train with any combination of RSG, a cosine classifier and seven losses, on mini-ImageNet-LT, "
        "CIFAR-10-LT, CIFAR-100-LT, or whatever --data_dir holds."
    )
    paper = parser.add_argument_group("RSG study", "the study's flags")
    _add_training(paper)
    _add_data(paper)
    _add_method(paper)
    group = add_runtime_options(parser)
    parser.set_defaults(select="val")
    _add_ours(group)
    _add_constants(group)
    return parser


def create_test_parser() -> argparse.ArgumentParser:
    """The parser of `imagenet_lt_test.py`."""
    parser = PaperParser(description="Evaluate the best epoch of a run of imagenet_lt_train.py on the test set.")
    paper = parser.add_argument_group("RSG study", "the study's flags")
    _add(paper, "-b", "batch-size", type=at_least(1), default=256, help="test batch (default: %(default)s)")
    _add_gpu(paper)
    _add(paper, "data_dir", default=DATA_DIR, metavar="DIR", help="folder of the data set (default: %(default)s)")
    _add(
        paper,
        "checkpoint_dir",
        default="./checkpoint",
        metavar="DIR",
        help="folder of the runs' checkpoints (default: %(default)s)",
    )
    _add(paper, "log_dir", default="./log", metavar="DIR", help="folder of the runs' logs (default: %(default)s)")
    _add(
        paper,
        "model_dir",
        default=f"ImageNet_LT_CIFAR10_{ARCH}_normout_rsg_ldam_supcon",
        metavar="NAME",
        help="name of the run, no path (default: %(default)s)",
    )
    _add_workers(add_runtime_options(parser))
    return parser


def dataset_name(data_dir: str) -> str:
    """What the study calls the data set in a folder: the last part of the path, whether or not a slash ends it."""
    path = Path(os.path.normpath(Path(data_dir).expanduser()))
    return path.name or path.resolve().name


def run_name(args: argparse.Namespace) -> str:
    """The study's name of a run; it holds neither weights nor seed nor epochs, for which there is `--run_suffix`."""
    parts = ["ImageNet_LT", dataset_name(args.data_dir), args.arch]
    parts += [suffix for flag, suffix in SUFFIXES.items() if getattr(args, flag)]
    return "_".join([*parts, args.run_suffix] if args.run_suffix else parts)


def _spellings(name: str) -> list[str]:
    """The flag as the study spells it, then with hyphens or underscores throughout."""
    if name.startswith("-"):
        return [name]
    return list(dict.fromkeys(f"--{each}" for each in (name, name.replace("_", "-"), name.replace("-", "_"))))


def _add(group: argparse._ArgumentGroup, *names: str, **argument: Any) -> None:
    """Add a flag under each of its names, short ones with their hyphen, in every spelling."""
    group.add_argument(*(spelling for name in names for spelling in _spellings(name)), **argument)


def _add_switch(group: argparse._ArgumentGroup, name: str, *, default: bool, help: str) -> None:
    """Add `--NAME`, `--NAME VALUE` and `--no-NAME`."""
    _add(
        group,
        name,
        type=switch,
        nargs="?",
        const=True,
        default=default,
        metavar="BOOL",
        help=f"{help} (default: {default}; --no-{name} is False)",
    )
    negative = list(dict.fromkeys(f"--no{joint}{each[2:]}" for each in _spellings(name) for joint in "-_"))
    group.add_argument(*negative, dest=name.replace("-", "_"), action="store_false", help=argparse.SUPPRESS)


def _add_training(group: argparse._ArgumentGroup) -> None:
    _add(group, "-a", "arch", default=ARCH, metavar="NAME", help="network (default: %(default)s)")
    _add(group, "rand_number", type=int, default=0, help="has no effect")
    _add_workers(group)
    _add(group, "epochs", type=at_least(1), default=20, help="epochs (default: %(default)s)")
    _add(
        group,
        "start-epoch",
        type=at_least(0),
        default=0,
        help="first epoch, 0-based; it restores nothing, for that there is --resume-auto (default: %(default)s)",
    )
    _add(
        group,
        "-b",
        "batch-size",
        type=at_least(1),
        default=32,
        help="batch size over all GPUs; an incomplete last batch is left out (default: %(default)s)",
    )
    _add(
        group,
        "lr",
        "learning-rate",
        dest="lr",
        type=between(0, least_excluded=True),
        default=1e-3,
        help="base learning rate (default: %(default)s)",
    )
    _add(group, "momentum", type=between(0, 1), default=0.9, help="SGD momentum (default: %(default)s)")
    _add(
        group,
        "wd",
        "weight-decay",
        dest="weight_decay",
        type=between(0),
        default=5e-4,
        help="weight decay, of every parameter (default: %(default)s)",
    )
    _add(group, "-p", "print-freq", type=at_least(1), default=10, help="batches between log lines (default: %(default)s)")
    _add(group, "seed", type=at_least(0), default=None, help="training seed (default: 0)")
    _add_gpu(group)
    _add(group, "root_log", default="log", metavar="DIR", help="folder of the runs' logs (default: %(default)s)")
    _add(group, "root_model", default="checkpoint", metavar="DIR", help="folder of their checkpoints (default: %(default)s)")


def _add_workers(group: argparse._ArgumentGroup) -> None:
    _add(group, "-j", "workers", type=at_least(0), default=4, help="processes of each loader (default: %(default)s)")


def _add_gpu(group: argparse._ArgumentGroup) -> None:
    _add(
        group,
        "gpu",
        type=gpu_ids,
        default=None,
        metavar="N[,N...]",
        help="GPU to use; several get a process each (default: 0, or the CPU where there is none)",
    )


def _add_data(group: argparse._ArgumentGroup) -> None:
    _add(
        group,
        "data_dir",
        default=DATA_DIR,
        metavar="DIR",
        help="folder of the data set: train.csv, val.csv and test.csv, or else the class folders train/CLASS, val/CLASS and "
        "test/CLASS; its name becomes part of the run's (default: %(default)s)",
    )
    _add(
        group,
        "cls_num",
        type=at_least(1),
        default=100,
        help="number of classes, which must be that of the data: 10 for CIFAR-10 (default: %(default)s)",
    )


def _add_method(group: argparse._ArgumentGroup) -> None:
    _add_switch(group, "norm_out", default=True, help="cosine classifier; False is a linear one")
    _add_switch(group, "add_rsg", default=True, help="RSG")
    _add(
        group,
        "epoch_thresh",
        type=at_least(-1),
        default=160,
        help="RSG generates after this 0-based epoch, so in 20 epochs never unless it is lower (default: %(default)s)",
    )
    _add(
        group,
        "head_tail_ratio",
        type=between(0, 1),
        default=0.2,
        help="share of the classes, the largest ones, that RSG takes for head (default: %(default)s)",
    )
    _add_switch(group, "add_cross_entropy_loss", default=False, help="cross entropy")
    _add_switch(group, "add_ldam_loss", default=True, help="LDAM")
    _add(
        group,
        "ldam_weight_type",
        default="icf",
        choices=LDAM_WEIGHTS,
        help="class weights of LDAM: inverse class frequency, or class-balanced (default: %(default)s)",
    )
    _add(group, "ldam_loss_weight", type=between(0), default=0.1, help="weight of LDAM in the sum (default: %(default)s)")
    _add(
        group,
        "cbl_beta",
        type=between(0, 0.9999999),
        default=0.999,
        help="beta of class-balanced weights; 0 weights all classes alike (default: %(default)s)",
    )
    _add_switch(group, "add_focal_loss", default=False, help="focal loss, see --focal_gamma")
    _add_switch(group, "add_supcon_loss", default=True, help="supervised contrastive loss on the features")
    _add(
        group,
        "supcon_loss_weight",
        type=between(0),
        default=0.9,
        help="weight of the contrastive loss in the sum (default: %(default)s)",
    )
    heads = {"add_arc_margin_loss": "ArcFace", "add_add_margin_loss": "AM-softmax", "add_sphere_loss": "SphereFace"}
    for name, title in heads.items():
        _add_switch(group, name, default=False, help=f"a further head, {title}, for every loss of logits; training alone")


def _add_ours(group: argparse._ArgumentGroup) -> None:
    _add(
        group,
        "run_suffix",
        default="",
        metavar="TEXT",
        help="end of the run's name, for what the study's name of a run does not tell (default: none)",
    )
    _add(
        group,
        "train_list",
        default="train.csv",
        metavar="FILE",
        help="list of the training images in --data_dir, such as one with generated images (default: %(default)s)",
    )
    _add(
        group,
        "input_size",
        type=at_least(32),
        metavar="PIXELS",
        help="side of the images that the network sees; 32 trains as is usual on CIFAR, on crops of the padded image, with "
        "CIFAR's statistics (default: 224, and 32 for CIFAR's own networks such as resnet32)",
    )
    _add_switch(group, "pretrained", default=False, help="begin with torchvision's ImageNet weights, downloaded if need be")
    _add(
        group,
        "weights",
        metavar="FILE",
        help="begin with the weights of this checkpoint, its classifier left out (default: none, random weights)",
    )


def _add_constants(group: argparse._ArgumentGroup) -> None:
    """Add what the study fixes, or does not tell, with the values of the papers that it cites."""
    positive, share = between(0, least_excluded=True), between(0)
    _add(
        group,
        "resample_epoch",
        type=at_least(0),
        default=160,
        help="0-based epoch from which on rare classes are drawn as often as others (default: %(default)s)",
    )
    _add(group, "lr_decay", type=positive, default=0.9, help="factor of the rate after each epoch (default: %(default)s)")
    _add(group, "focal_gamma", type=share, default=0.0, help="0, the study's, is cross entropy (default: %(default)s)")
    _add(
        group,
        "ce_weight_type",
        default="none",
        choices=CE_WEIGHTS,
        help="class weights of cross entropy, which has none in the study (default: %(default)s)",
    )
    _add(group, "ldam_max_margin", type=share, default=0.3, help="LDAM's margin of the rarest class (default: %(default)s)")
    _add(group, "ldam_scale", type=positive, default=30.0, help="LDAM's scale (default: %(default)s)")
    cited = "as in the cited paper, the study's is unknown (default: %(default)s)"
    _add(group, "supcon_temperature", type=positive, default=0.07, help=f"of the contrastive loss; {cited}")
    _add(group, "arc_scale", type=positive, default=30.0, help=f"ArcFace's scale; {cited}")
    _add(group, "arc_margin", type=share, default=0.5, help=f"ArcFace's margin in radians; {cited}")
    _add_switch(group, "arc_easy_margin", default=False, help="ArcFace's easy margin")
    _add(group, "add_scale", type=positive, default=30.0, help=f"AM-softmax's scale; {cited}")
    _add(group, "add_margin", type=share, default=0.4, help=f"AM-softmax's margin; {cited}")
    _add(group, "sphere_margin", type=at_least(1), default=4, help=f"SphereFace's multiple of the angle; {cited}")
    _add(group, "rsg_centres", type=at_least(1), default=15, help=f"RSG's centres of each class; {cited}")
    _add(group, "rsg_width", type=at_least(1), default=256, help=f"channels of RSG's contrastive network; {cited}")
    _add(group, "rsg_strength", type=positive, default=1.0, help=f"how much RSG generates; {cited}")
    _add(group, "cesc_weight", type=share, default=0.1, help="weight of RSG's centre and pair loss (default: %(default)s)")
    _add(group, "mv_weight", type=share, default=0.01, help="weight of RSG's loss of displacements (default: %(default)s)")
