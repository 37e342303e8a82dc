"""What the paper's three training scripts share: checks, the run, its outputs."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.launch import relaunch, speaks
from longtail.training.runtime import RuntimeOptions, own_flags
from longtail_cmo.experiments import EXPERIMENTS, Experiment
from longtail_cmo.flags import create_parser, run_name
from longtail_cmo.schedules import LR_STEPS, PUBLISHED, Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from longtail.backbones import Backbone
    from longtail.datasets.base import LongTailData
    from longtail.training.reports import Listener
    from longtail.training.run_folder import Run
    from longtail_cmo.method import CMOOptions


def console(experiment: Experiment) -> None:
    """Run the training script of an experiment."""
    run_command(lambda argv: main(experiment, argv))


def main(experiment: Experiment, argv: list[str]) -> int | None:
    """Train as the command line says; the exit code, where other processes did it."""
    parser = create_parser(f"Train on {experiment.title} with CMO (Park et al., CVPR 2022).", experiment)
    args = parser.parse_args(argv)
    check(experiment, args)
    code = relaunch(args.gpu, args.device)
    if code is None:
        train(experiment, args, RuntimeOptions.from_arguments(args))
    return code


def check(experiment: Experiment, args: argparse.Namespace) -> None:
    """Refuse flags that contradict the experiment, and say which ones have no effect.

    Raises:
        UserError: for another data set.
    """
    if args.dataset != experiment.dataset:
        raise UserError(
            f"--dataset {args.dataset}: this script trains on {experiment.dataset}; "
            f"the one for {args.dataset} is {EXPERIMENTS[args.dataset].script}"
        )
    timing = Timing(experiment.schedule, args.use_randaug, args.epochs, args.fit_schedule, args.cos, args.lr_steps)
    if speaks():
        for text in notices(experiment, args, timing):
            print(f"notice: {text}", file=sys.stderr)


def notices(experiment: Experiment, args: argparse.Namespace, timing: Timing) -> list[str]:
    """What the flags do not do, though one may think so."""
    found = []
    published = PUBLISHED[experiment.schedule]
    if (args.cos or tuple(args.lr_steps) != LR_STEPS) and (experiment.is_cifar or not args.use_randaug):
        found.append(
            "--cos and --lr_steps have no effect on CIFAR: the schedule is fixed, as in the paper's script"
            if experiment.is_cifar
            else "--cos and --lr_steps have no effect without --use_randaug: the schedule is fixed, as in the paper's script"
        )
    own_steps = timing.depends_on_epochs or (args.use_randaug and not experiment.is_cifar)
    if args.epochs != timing.written_for and not args.fit_schedule and not own_steps:
        found.append(
            f"the schedule's steps are those of a {timing.written_for}-epoch run whatever --epochs says; "
            "--fit-schedule stretches them"
        )
    if args.train_rule == "DRW" and args.epochs <= timing.deferral:
        found.append(
            f"DRW starts at epoch {published.deferral} and never will in {args.epochs} epochs; --fit-schedule moves it"
        )
    return found


def train(experiment: Experiment, args: argparse.Namespace, runtime: RuntimeOptions) -> dict[str, Any]:
    """Train and return the results; torch is imported from here on."""
    from longtail.distributed import ranks
    from longtail.metrics import ShotThresholds
    from longtail.training.execute import Plan, execute
    from longtail_cmo.method import METHOD

    say = print if ranks().is_first else lambda *_: None
    seed = args.seed or 0
    announce(experiment, args, say)
    data = load(experiment, args, runtime)
    say("cls num list:")
    say(data.class_counts.tolist())
    _say_weights(args, data, say)
    if experiment.schedule == "inat":
        say("data loaders loaded")
    plan = Plan(
        data=data,
        build=lambda setting: METHOD.build(
            data,
            lambda head: make_network(experiment, args.arch, data.num_classes, head, seed),
            method_options(experiment, args),
            setting,
        ),
        seed=seed,
        batch_size=args.batch_size,
        runtime=runtime,
        gpu=args.gpu,
        thresholds=ShotThresholds(few_inclusive=experiment.few_inclusive),
        workers=args.workers,
    )
    return execute(
        plan,
        lambda identity: open_run(args, identity),
        lambda run: listeners(experiment, args, runtime, run),
        log_interval=args.print_freq,
        resume=Path(args.resume) if args.resume else None,
        start_epoch=args.start_epoch,
    )


def announce(experiment: Experiment, args: argparse.Namespace, say: Callable[..., None]) -> None:
    """The first lines that the paper's scripts print."""
    say(f"=> creating model '{args.arch}'")
    if args.gpu is not None:
        say(f"Use GPU: {','.join(map(str, args.gpu))} for training")
    if experiment.is_cifar:
        say(args)
    elif args.cos:
        say("use cosine LR")
    if args.use_randaug:
        say("use randaug!!")


def _say_weights(args: argparse.Namespace, data: LongTailData, say: Callable[..., None]) -> None:
    import torch

    from longtail.losses import inverse_frequency_weights

    if args.data_aug == "CMO":
        weights = inverse_frequency_weights(data.class_counts, args.weighted_alpha)
        say(torch.from_numpy(weights[data.train.labels]))


def load(
    experiment: Experiment, args: argparse.Namespace, runtime: RuntimeOptions, *, only_tested: bool = False
) -> LongTailData:
    """The experiment's data; `only_tested` as in `create_data`.

    Raises:
        UserError: they are not there or not in order, or have another number of classes than `--num_classes`.
    """
    from longtail.datasets.factory import create_data

    data = create_data(
        experiment.data,
        root=args.root,
        imbalance_factor=args.imb_factor,
        split_seed=args.rand_number,
        holdout=runtime.val_fraction if runtime.select == "val" else None,
        on_bad_image=runtime.on_bad_image,
        only_tested=only_tested,
    )
    if args.num_classes not in (None, data.num_classes):
        raise UserError(
            f"--num_classes {args.num_classes} contradicts the data: {experiment.title} in {args.root} "
            f"has {data.num_classes} classes"
        )
    return data


def make_network(experiment: Experiment, arch: str, num_classes: int, head: str, seed: int) -> Backbone:
    """The network with the named head.

    Raises:
        UserError: no network has this name, or it is one for images of another size.
    """
    from longtail.backbones import check_size, create_backbone

    check_size(arch, small=experiment.is_cifar, title=experiment.title, instead=experiment.arch)
    return create_backbone(arch, num_classes=num_classes, head=head, seed=seed)


def method_options(experiment: Experiment, args: argparse.Namespace) -> CMOOptions:
    """The method's options as flags and experiment say."""
    from longtail_cmo.method import CMOOptions

    given = {**vars(args), "schedule": experiment.schedule, "jitter": experiment.jitter, "lr_steps": tuple(args.lr_steps)}
    return CMOOptions(**{each.name: given[each.name] for each in fields(CMOOptions)})


# flags that say where or how, and may change between an interrupted run and its continuation
_NOT_IDENTITY = {"root", "workers", "print_freq", "resume", "gpu", "root_log", "root_model", "start_epoch", "seed"}


def open_run(args: argparse.Namespace, identity: Mapping[str, Any]) -> Run:
    """The run's folders, named as the paper's script names them."""
    from longtail.training.run_folder import CheckpointNames, Run

    flags = own_flags(args, but=_NOT_IDENTITY)
    name = run_name(args)
    return Run(
        Path(args.root_log) / name,
        Path(args.root_model) / name,
        identity={**identity, **flags},
        names=CheckpointNames(numbered="{epoch}_ckpt.pth.tar", every=20),
    )


def listeners(experiment: Experiment, args: argparse.Namespace, runtime: RuntimeOptions, run: Run) -> Sequence[Listener]:
    """The paper's lines and files, TensorBoard, and a live bar on a terminal."""
    from longtail.training.progress import create_progress
    from longtail.training.tensorboard import TensorBoardLog
    from longtail_cmo.logs import PaperLog

    return [
        PaperLog(run, arguments=str(args), show_groups=not experiment.is_cifar or args.imb_factor == 0.01),
        TensorBoardLog(run.log_dir),
        create_progress(runtime.progress),
    ]
