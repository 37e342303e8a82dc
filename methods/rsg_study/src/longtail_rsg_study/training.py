"""`imagenet_lt_train.py`: checks, the run, its outputs."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.launch import relaunch, speaks
from longtail.training.runtime import RuntimeOptions, own_flags
from longtail_rsg_study.flags import create_train_parser, dataset_name, run_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from longtail.backbones import Backbone
    from longtail.datasets.base import LongTailData
    from longtail.training.method import Setting
    from longtail.training.reports import Listener
    from longtail.training.run_folder import Run
    from longtail.training.stage import Stage
    from longtail_rsg_study.method import RSGStudyOptions

VAL_BATCH = 100


def console() -> None:
    """Run as a script."""
    run_command(main)


def main(argv: list[str]) -> int | None:
    """Train as the command line says; the exit code, where other processes did it."""
    args = create_train_parser().parse_args(argv)
    check(args)
    code = None if args.gpu is None else relaunch(args.gpu, args.device)
    if code is None:
        train(args, RuntimeOptions.from_arguments(args))
    return code


def check(args: argparse.Namespace) -> None:
    """Refuse flags that contradict each other, and say which one has no effect.

    Raises:
        UserError: for values with which nothing sensible can be done.
    """
    if args.start_epoch >= args.epochs:
        raise UserError(f"--start-epoch {args.start_epoch} leaves nothing to do: --epochs {args.epochs} ends before it")
    if args.pretrained and args.weights:
        raise UserError("--pretrained and --weights both say what to begin with; give one of them")
    if Path(args.run_suffix).name != args.run_suffix:
        raise UserError(f"--run_suffix {args.run_suffix!r} becomes part of a folder's name, and cannot be a path")
    if args.rand_number and speaks():
        print("notice: --rand_number has no effect, as in the study; --seed has", file=sys.stderr)


def train(args: argparse.Namespace, runtime: RuntimeOptions) -> dict[str, Any]:
    """Train and return the results; torch is imported from here on."""
    from longtail.distributed import ranks
    from longtail.training.execute import Plan, execute
    from longtail_rsg_study.data import thresholds

    settle(args)
    options = method_options(args)
    speaking = ranks().is_first
    say_notices(options, speaking)
    data = load(args, runtime, speaking)
    weights = initial_weights(args)
    if speaking:
        announce(args, data)
    plan = Plan(
        data=data,
        build=lambda setting: build(args, data, options, setting, weights),
        seed=args.seed or 0,
        batch_size=VAL_BATCH,
        runtime=runtime,
        gpu=args.gpu,
        thresholds=thresholds(dataset_name(args.data_dir), data.class_counts.tolist()),
        workers=args.workers,
        test_at_end=True,
    )
    return execute(
        plan,
        lambda identity: open_run(args, identity),
        lambda run: listeners(args, runtime, data, run),
        log_interval=args.print_freq,
        start_epoch=args.start_epoch,
    )


def settle(args: argparse.Namespace) -> None:
    """Fill in the size of images that goes with the network.

    Raises:
        UserError: the network is one for images of another size than `--input_size`.
    """
    from longtail.backbones import CIFAR_BACKBONES, check_size
    from longtail_rsg_study.data import LARGE, SMALL

    if args.input_size is None:
        args.input_size = SMALL if args.arch in CIFAR_BACKBONES else LARGE
    small = args.input_size == SMALL
    check_size(
        args.arch,
        small=small,
        title=f"--input_size {args.input_size}",
        instead="resnet32" if small else "resnext50_32x4d",
    )


def method_options(args: argparse.Namespace) -> RSGStudyOptions:
    """The method's options as the flags say.

    Raises:
        UserError: for switches with which nothing can be trained.
    """
    from longtail_rsg_study.data import SMALL
    from longtail_rsg_study.method import RSGStudyOptions, check

    shown = (
        {"augmentation": "padded", "jitter": 0.0} if args.input_size == SMALL else {"augmentation": "standard", "jitter": 0.4}
    )
    given = {**vars(args), **shown}
    options = RSGStudyOptions(**{each.name: given[each.name] for each in fields(RSGStudyOptions)})
    check(options)
    return options


def say_notices(options: RSGStudyOptions, speaking: bool) -> None:
    """Tell what the options do not do, though one may think so."""
    from longtail_rsg_study.method import notices

    for text in notices(options) if speaking else ():
        print(f"notice: {text}", file=sys.stderr)


def load(args: argparse.Namespace, runtime: RuntimeOptions, speaking: bool) -> LongTailData:
    """The data set, with validation images if epochs are to be judged on some.

    Raises:
        UserError: it is not there or not in order, or has another number of classes than `--cls_num`.
    """
    from longtail_rsg_study import data

    brings_own = data.has_validation(args.data_dir)
    judged_on_val = runtime.select == "val" or (runtime.select == "last" and brings_own)
    found = data.load(
        args.data_dir,
        input_size=args.input_size,
        holdout=runtime.val_fraction if judged_on_val else None,
        on_bad_image=runtime.on_bad_image,
        train_list=args.train_list,
    )
    if found.num_classes != args.cls_num:
        raise UserError(
            f"--cls_num {args.cls_num} contradicts the data: {args.data_dir} has {found.num_classes} classes; "
            f"give --cls_num {found.num_classes}"
        )
    if speaking:
        for text in data.notices(args.data_dir, found, runtime.select, brings_own=brings_own):
            print(f"notice: {text}", file=sys.stderr)
    return found


def announce(args: argparse.Namespace, data: LongTailData) -> None:
    """The first lines of a run."""
    import torch

    print(f"GPUs: {torch.cuda.device_count() if torch.cuda.is_available() else 0}")
    print(f"=> creating model '{args.arch}'")
    print("cls num list:")
    print(data.class_counts.tolist(), flush=True)


def initial_weights(args: argparse.Namespace) -> Mapping[str, Tensor] | None:
    """The weights to begin with, under the names of the network; None for random ones.

    Raises:
        UserError: there is no such checkpoint, or no such weights are published or can be fetched.
    """
    from longtail.training import checkpoint

    if args.weights:
        found: Mapping[str, Tensor] = checkpoint.read(Path(args.weights))["state_dict"]
        return found
    return published_weights(args.arch) if args.pretrained else None


def published_weights(arch: str) -> Mapping[str, Tensor]:
    """torchvision's first ImageNet weights of a network, from its cache or the network's address.

    Raises:
        UserError: there are none, or they cannot be fetched.
    """
    from torchvision.models import get_model_weights  # type: ignore[import-untyped]

    try:
        weights = get_model_weights(arch)["IMAGENET1K_V1"]
    except (KeyError, ValueError) as error:
        raise UserError(
            f"torchvision has no first ImageNet weights of {arch}; give a checkpoint with --weights FILE"
        ) from error
    try:
        found: Mapping[str, Tensor] = weights.get_state_dict(progress=False)
    except OSError as error:
        raise UserError(
            f"cannot fetch {weights.url}: {error}.\nFetch it some other way, and give it with --weights FILE"
        ) from error
    return found


def build(
    args: argparse.Namespace,
    data: LongTailData,
    options: RSGStudyOptions,
    setting: Setting,
    weights: Mapping[str, Tensor] | None,
) -> Stage:
    """What trains, with the study's framing of validation and test images."""
    from longtail.backbones import create_backbone
    from longtail_rsg_study.data import shown
    from longtail_rsg_study.method import METHOD

    def make(head: str) -> Backbone:
        network = create_backbone(args.arch, num_classes=data.num_classes, head=head, seed=args.seed or 0)
        if weights is not None:
            take(network, weights, setting.ranks.is_first)
        return network

    stage = METHOD.build(data, make, options, setting)
    return replace(stage, shown=shown(data, setting, batch_size=VAL_BATCH))


def take(network: Backbone, weights: Mapping[str, Tensor], speaking: bool) -> None:
    """Give the network the weights that fit it, its classifier's left out, and say what it did not get.

    Raises:
        UserError: none fits.
    """
    from longtail.backbones import begin_with

    loaded = begin_with(network, weights)
    lacking = [*loaded.missing, *loaded.misshapen]
    if speaking and lacking:
        print(f"notice: the weights to begin with lack {len(lacking)} arrays, such as {lacking[0]}", file=sys.stderr)


# flags that say where or how, and may change between an interrupted run and its continuation
_NOT_IDENTITY = {"data_dir", "workers", "print_freq", "gpu", "root_log", "root_model", "start_epoch", "seed", "rand_number"}


def open_run(args: argparse.Namespace, identity: Mapping[str, Any]) -> Run:
    """The run's folders, with the study's names."""
    from longtail.training.run_folder import Run

    name = run_name(args)
    flags = own_flags(args, but=_NOT_IDENTITY)
    return Run(Path(args.root_log) / name, Path(args.root_model) / name, identity={**identity, **flags})


def listeners(args: argparse.Namespace, runtime: RuntimeOptions, data: LongTailData, run: Run) -> Sequence[Listener]:
    """The study's lines and files, TensorBoard, and a live bar on a terminal."""
    from longtail.training.progress import create_progress
    from longtail.training.tensorboard import TensorBoardLog
    from longtail_rsg_study.logs import StudyLog

    arguments = {**vars(args), "cls_num_list": data.class_counts.tolist(), "store_name": run_name(args)}
    return [StudyLog(run, arguments), TensorBoardLog(run.log_dir), create_progress(runtime.progress)]
