"""`cifar_train.py`: CMO on CIFAR-100-LT."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail_cmo.flags import create_parser, run_name
from longtail_cmo.schedules import DEFERRAL, epochs_written_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from longtail.training.reports import Listener
    from longtail.training.run_folder import Run
    from longtail.training.runtime import RuntimeOptions
    from longtail_cmo.method import CMOOptions

DESCRIPTION = "Train on CIFAR-100-LT with CMO (Park et al., CVPR 2022)."


def main(argv: list[str]) -> None:
    """Train as the command line says."""
    args = create_parser(DESCRIPTION).parse_args(argv)
    _check(args)
    from longtail.training.runtime import RuntimeOptions

    train(args, RuntimeOptions.from_arguments(args))


def _check(args: argparse.Namespace) -> None:
    if args.dataset != "cifar100":
        raise UserError(
            f"--dataset {args.dataset}: this script trains on cifar100; for the others use imagenet_train.py or inat_train.py"
        )
    if args.num_classes != 100:
        raise UserError(f"--num_classes {args.num_classes} contradicts the data: CIFAR-100 has 100 classes")
    if args.cos or args.lr_steps != [120, 160]:
        _notice("--cos and --lr_steps have no effect on CIFAR: the schedule is fixed, as in the paper's script")
    written_for = epochs_written_for(args.use_randaug)
    if args.epochs != written_for and not args.fit_schedule:
        _notice(
            f"the schedule's steps are those of a {written_for}-epoch run whatever --epochs says; --fit-schedule stretches them"
        )
    if args.train_rule == "DRW" and args.epochs <= DEFERRAL and not args.fit_schedule:
        _notice(f"DRW starts at epoch {DEFERRAL} and never will in {args.epochs} epochs; --fit-schedule moves it")


def _notice(text: str) -> None:
    print(f"notice: {text}", file=sys.stderr)


def train(args: argparse.Namespace, runtime: RuntimeOptions) -> dict[str, Any]:
    """Train on CIFAR-100-LT and return the results; torch is imported from here on."""
    from longtail.backbones import create_backbone
    from longtail.datasets.factory import create_data
    from longtail.distributed import ranks
    from longtail.training.execute import Plan, execute
    from longtail_cmo.method import METHOD

    seed = args.seed or 0
    say = print if ranks().is_first else lambda *_: None
    say(f"=> creating model '{args.arch}'")
    if args.gpu is not None:
        say(f"Use GPU: {args.gpu} for training")
    say(args)
    if args.use_randaug:
        say("use randaug!!")
    data = create_data(
        "cifar100",
        root=args.root,
        imbalance_factor=args.imb_factor,
        split_seed=args.rand_number,
        holdout=runtime.val_fraction if runtime.select == "val" else None,
    )
    say("cls num list:")
    say(data.class_counts.tolist())
    plan = Plan(
        data=data,
        build=lambda setting: METHOD.build(
            data,
            lambda head: create_backbone(args.arch, num_classes=data.num_classes, head=head, seed=seed),
            _method_options(args),
            setting,
        ),
        seed=seed,
        batch_size=args.batch_size,
        runtime=runtime,
        gpu=args.gpu,
    )
    return execute(
        plan,
        lambda identity: open_run(args, identity),
        lambda run: listeners(args, runtime, run),
        log_interval=args.print_freq,
        resume=Path(args.resume) if args.resume else None,
        start_epoch=args.start_epoch,
    )


def _method_options(args: argparse.Namespace) -> CMOOptions:
    from dataclasses import fields

    from longtail_cmo.method import CMOOptions

    return CMOOptions(**{each.name: getattr(args, each.name) for each in fields(CMOOptions)})


# flags that say where or how, and may change between an interrupted run and its continuation
_NOT_IDENTITY = {"root", "workers", "print_freq", "resume", "gpu", "root_log", "root_model", "start_epoch", "seed"}


def open_run(args: argparse.Namespace, identity: Mapping[str, Any]) -> Run:
    """The run's folders, named as the paper's script names them."""
    from dataclasses import fields

    from longtail.training.run_folder import CheckpointNames, Run
    from longtail.training.runtime import RuntimeOptions

    shared = {each.name for each in fields(RuntimeOptions)}
    flags = {name: value for name, value in vars(args).items() if name not in shared | _NOT_IDENTITY}
    name = run_name(args)
    return Run(
        Path(args.root_log) / name,
        Path(args.root_model) / name,
        identity={**identity, **flags},
        names=CheckpointNames(numbered="{epoch}_ckpt.pth.tar", every=20),
    )


def listeners(args: argparse.Namespace, runtime: RuntimeOptions, run: Run) -> Sequence[Listener]:
    """The paper's lines and files, TensorBoard, and a live bar on a terminal."""
    from longtail.training.progress import create_progress
    from longtail.training.tensorboard import TensorBoardLog
    from longtail_cmo.logs import PaperLog

    return [
        PaperLog(run, arguments=str(args), show_groups=args.imb_factor == 0.01),
        TensorBoardLog(run.log_dir),
        create_progress(runtime.progress),
    ]


def console() -> None:
    """Run as a script."""
    run_command(main)
