"""`train_LCSL.py`: checks, the run, its outputs."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.launch import is_launched, relaunch, speaks, those_here
from longtail.training.runtime import RuntimeOptions, own_flags
from longtail_lcsl.experiments import EXPERIMENTS, Experiment
from longtail_lcsl.flags import as_given, create_parser, run_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from longtail.datasets.base import LongTailData
    from longtail.training.reports import Listener
    from longtail.training.run_folder import Run
    from longtail_lcsl.method import LCSLOptions
    from longtail_lcsl.restart import Restart


def console() -> None:
    """Run as a script."""
    run_command(main)


def main(argv: list[str]) -> int | None:
    """Train and evaluate as the command line says; the exit code, where other processes did it."""
    args = create_parser().parse_args(argv)
    experiment = EXPERIMENTS[args.dataset]
    check(experiment, args)
    gpu = those_here(args.gpu, args.device)
    code = relaunch(gpu, args.device)
    if code is None:
        train(experiment, args, RuntimeOptions.from_arguments(args), gpu)
    return code


def check(experiment: Experiment, args: argparse.Namespace) -> None:
    """Refuse flags that contradict each other, and say which ones have no effect.

    Raises:
        UserError: for values with which nothing sensible can be done.
    """
    if args.start_epoch > args.epochs + 1:
        raise UserError(
            f"--start_epoch {args.start_epoch} lies beyond --epochs {args.epochs}; the last one is {args.epochs + 1}, which "
            "only evaluates"
        )
    if not re.fullmatch(r"[\w.+-]*", args.data_aug):
        raise UserError(f"--data_aug {args.data_aug!r} becomes part of a folder's name: letters, digits and . + - _ only")
    if not args.alpha and not args.beta:
        raise UserError("--alpha 0 and --beta 0 leave no loss to train with")
    if speaks():
        for text in notices(experiment, args):
            print(f"notice: {text}", file=sys.stderr)


def notices(experiment: Experiment, args: argparse.Namespace) -> list[str]:
    """What the flags do not do, though one may think so."""
    found = []
    if args.optimizer.lower() != "sgd":
        found.append(f"--optimizer {args.optimizer} has no effect: the optimiser is SGD, as in the paper's script")
    size = 32 if experiment.is_cifar else 224
    if args.image_size not in (32, size):
        found.append(f"--image_size {args.image_size} has no effect: images of {experiment.title} have {size} pixels")
    if not experiment.is_cifar and (args.imb_type, args.imb_factor) != ("exp", 0.01):
        found.append(f"--imb_type and --imb_factor have no effect: {experiment.title} is long-tailed as it is")
    if args.warmup_epochs >= args.epochs:
        found.append(f"--warmup_epochs {args.warmup_epochs}: all {args.epochs} epochs are warm-up")
    if args.beta and args.lambda_init > 1:
        found.append(f"--lambda_init {args.lambda_init:g}: no confidence reaches that, so this is plain mixup")
    if args.beta and args.select == "test":
        found.append("the teacher is the best epoch's network, so it is chosen on the test set as well")
    return found


def train(experiment: Experiment, args: argparse.Namespace, runtime: RuntimeOptions, gpu: tuple[int, ...]) -> dict[str, Any]:
    """Train, evaluate, and return the results; torch is imported from here on."""
    from longtail.backbones import check_size, create_backbone
    from longtail.distributed import ranks
    from longtail.training.execute import Plan, execute
    from longtail_lcsl.method import METHOD

    place = ranks()
    data = load(experiment, args, runtime)
    if place.is_first:
        announce(experiment, args, data, place.world_size)
    arch = args.arch or experiment.arch
    check_size(arch, small=experiment.is_cifar, title=experiment.title, instead=experiment.arch)
    plan = Plan(
        data=data,
        build=lambda setting: METHOD.build(
            data,
            lambda head: create_backbone(arch, num_classes=data.num_classes, head=head, seed=args.seed),
            method_options(experiment, args),
            setting,
        ),
        seed=args.seed,
        batch_size=args.batch_size,
        runtime=runtime,
        gpu=gpu if place.world_size == 1 or is_launched() else None,
        workers=args.workers,
    )
    started = _Started(experiment, args, runtime, data)
    return execute(plan, started.open_run, started.listeners, restart=started.restart)


def announce(experiment: Experiment, args: argparse.Namespace, data: LongTailData, world_size: int) -> None:
    """The first lines that the paper's script prints."""
    import torch

    print("Choose GPU index: ", ",".join(map(str, args.gpu)))
    print(torch.__version__)
    if experiment.is_cifar:
        kind = "regular" if augmentation(experiment, args.data_aug) == "standard" else "Auto-Augmentation"
        print(f"Using {kind} transform")
    else:
        for _ in ("train", "test"):
            print("Using data augmentation: ", args.data_aug)
    sizes = len(data.train), len(data.test)
    steps = (-(-size // args.batch_size) for size in sizes)
    print("#Examples in train-set: {}\n#Examples in test-set: {}".format(*sizes))
    print("#train batch: {} \t#test batch: {}".format(*steps))
    if world_size > 1:
        print("Training with multi GPU")
    print("project_name: ", run_name(args, experiment), flush=True)


def load(experiment: Experiment, args: argparse.Namespace, runtime: RuntimeOptions) -> LongTailData:
    """The experiment's data.

    Raises:
        UserError: they are not there or not in order.
    """
    from longtail.datasets.factory import create_data

    root = Path(args.root, experiment.folder)
    return create_data(
        experiment.found(root),
        root=root,
        imbalance_factor=args.imb_factor,
        profile=args.imb_type,
        split_seed=None,
        holdout=runtime.val_fraction if runtime.select == "val" else None,
        on_bad_image=runtime.on_bad_image,
    )


def augmentation(experiment: Experiment, data_aug: str) -> str:
    """The core's name of what `--data_aug` means."""
    if data_aug == "none" or (experiment.is_cifar and data_aug in ("None", "")):
        return "standard"
    return "distortions" if data_aug == "sim_aug" and not experiment.is_cifar else "policy"


def method_options(experiment: Experiment, args: argparse.Namespace) -> LCSLOptions:
    """The method's options as flags and experiment say."""
    from longtail_lcsl.method import LCSLOptions

    given = {
        **vars(args),
        "confidence": args.lambda_init,
        "normalise_teacher": args.fc_norm > 0,
        "augmentation": augmentation(experiment, args.data_aug),
        "jitter": experiment.jitter,
    }
    return LCSLOptions(**{each.name: given[each.name] for each in fields(LCSLOptions)})


# flags that say where or how, and may change between an interrupted run and its continuation
_NOT_IDENTITY = {"gpu", "start_epoch", "root", "workers", "seed", "image_size", "optimizer", "fc_norm"}


class _Started:
    """What belongs to one execution of the script: its folder, who follows it, and where it starts."""

    def __init__(self, experiment: Experiment, args: argparse.Namespace, runtime: RuntimeOptions, data: LongTailData) -> None:
        self._experiment, self._args, self._runtime, self._data = experiment, args, runtime, data
        self._name = run_name(args, experiment)

    def open_run(self, identity: Mapping[str, Any]) -> Run:
        """The run's folder, with the paper's names of files."""
        from longtail.training.files import read_json
        from longtail.training.run_folder import RUN_JSON, CheckpointNames, Run

        flags = own_flags(self._args, but=_NOT_IDENTITY)
        folder = Path(self._name)
        names = CheckpointNames(
            last="checkpoints/training_state.pth",
            best=f"{self._name}_best.pth",
            numbered="checkpoints/epoch_{epoch:03d}_model.pth",
            every=1,
            only_latest=True,
            content=lambda checkpoint: checkpoint["state_dict"],
        )
        own = {**identity, **flags, "normalise_teacher": self._args.fc_norm > 0}
        if self._only_evaluates and (folder / RUN_JSON).is_file():
            # however many epochs the run was planned for, it is the same one
            own["epochs"] = read_json(folder / RUN_JSON)["identity"].get("epochs", self._args.epochs)
        return Run(folder, folder, identity=own, names=names)

    @property
    def _only_evaluates(self) -> bool:
        return bool(self._args.start_epoch > self._args.epochs)

    def listeners(self, run: Run) -> Sequence[Listener]:
        """The paper's lines, files and figures, and a live bar on a terminal."""
        from longtail.training.progress import create_progress
        from longtail_lcsl.figures import Figures
        from longtail_lcsl.logs import PaperLog
        from longtail_lcsl.recipe import LCSL
        from longtail_lcsl.stage import self_labelling

        experiment, data = self._experiment, self._data
        flags = {**as_given(self._args), "nClasses": data.num_classes, "network": experiment.network}
        figures = Figures(run.log_dir, self._name, experiment.title, data.train, by_class=experiment.is_cifar)
        settings = self_labelling(method_options(experiment, self._args))
        log = PaperLog(
            run,
            name=self._name,
            flags=flags,
            figures=figures,
            has_teacher=LCSL.needs_teacher(data.class_counts, settings),
        )
        return [log, create_progress(self._runtime.progress)]

    def restart(self, run: Run) -> Path | Restart | None:
        """Where `--start_epoch` goes on from: the run's own state if it stands there, or else bare weights.

        Raises:
            UserError: the folder's run had other options.
        """
        from longtail.training import checkpoint
        from longtail_lcsl.restart import Restart

        args = self._args
        if args.start_epoch == 1:
            return None
        if run.can_continue():
            content = checkpoint.read(run.last_checkpoint)
            progress = content["longtail"]["progress"]
            if (progress["epoch"], progress["step"]) == (args.start_epoch - 1, 0):
                return run.last_checkpoint
        return Restart(run, self._name, args.start_epoch - 1, args.dataset, self._data.num_classes)
