"""`cifar_train.py`: DPA-EI on CIFAR-10-LT and CIFAR-100-LT."""

from __future__ import annotations

import argparse
import re
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.launch import relaunch, speaks
from longtail.training.runtime import RuntimeOptions, own_flags
from longtail_dpa_ei.experiments import CIFAR
from longtail_dpa_ei.flags import create_cifar_parser, flag_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from longtail.backbones import Backbone
    from longtail.datasets.base import LongTailData
    from longtail.training.reports import Listener
    from longtail.training.run_folder import Run
    from longtail_dpa_ei.method import DPAEIOptions


def console() -> None:
    """Run as a script."""
    run_command(main)


def main(argv: list[str]) -> int | None:
    """Train as the command line says; the exit code, where other processes did it."""
    args = create_cifar_parser().parse_args(argv)
    check(args)
    if args.no_cuda and args.device == "auto":
        args.device = "cpu"
    code = relaunch(args.gpu, args.device)
    if code is None:
        train(args, RuntimeOptions.from_arguments(args))
    return code


def check(args: argparse.Namespace) -> None:
    """Refuse flags that contradict each other, and say which ones have no effect.

    Raises:
        UserError: for values with which nothing sensible can be done.
    """
    check_classes(args)
    first, second = args.switch_epochs
    if first > second:
        raise UserError(f"--switch-epochs {first} {second}: the second one comes after the first")
    if not re.fullmatch(r"[\w+-][\w.+-]*", args.idx):
        raise UserError(f"--idx {args.idx!r} becomes a folder's name: letters, digits and + - _, and after them dots")
    if speaks():
        for text in notices(args):
            print(f"notice: {text}", file=sys.stderr)


def check_classes(args: argparse.Namespace) -> None:
    """Complete `--num_classes`.

    Raises:
        UserError: it contradicts the data set.
    """
    known = CIFAR[args.dataset].num_classes
    if args.num_classes not in (None, known):
        raise UserError(f"--num_classes {args.num_classes} contradicts --dataset {args.dataset}, which has {known} classes")
    args.num_classes = known


def notices(args: argparse.Namespace) -> list[str]:
    """What the flags do not do, though one may think so."""
    found = []
    first, second = args.switch_epochs
    if args.epochs <= first and not args.fit_schedule:
        found.append(
            f"the implicit stage begins with epoch {first} (counted from 0) and never will in {args.epochs} epochs; "
            "--fit-schedule or --switch-epochs moves it"
        )
    elif args.epochs != 200 and not args.fit_schedule and (first, second) == (160, 180):
        found.append("the stages change at epochs 160 and 180 whatever --epochs says; --fit-schedule moves them")
    if args.nesterov and not args.momentum:
        found.append("--momentum 0 leaves nothing for --nesterov to do")
    return found


def train(args: argparse.Namespace, runtime: RuntimeOptions) -> dict[str, Any]:
    """Train and return the results; torch is imported from here on."""
    from longtail.backbones import check_size, create_backbone
    from longtail.distributed import ranks
    from longtail.training.execute import Plan, execute
    from longtail_dpa_ei.method import METHOD

    say = print if ranks().is_first else lambda *_: None
    for line in flag_lines(args):
        say(line)
    check_size(args.arch, small=True, title="CIFAR", instead="resnet32")
    data = load(args, runtime)
    announce(args, data, say)
    options = method_options(args)

    def network(head: str) -> Backbone:
        return create_backbone(args.arch, num_classes=data.num_classes, head=head, seed=args.seed)

    plan = Plan(
        data=data,
        build=lambda setting: METHOD.build(data, network, options, setting),
        seed=args.seed,
        batch_size=args.test_batch_size,
        runtime=runtime,
        gpu=args.gpu,
    )
    return execute(
        plan,
        lambda identity: open_run(args, runtime, identity),
        lambda run: listeners(options, runtime, run),
        log_interval=args.print_freq,
    )


def load(args: argparse.Namespace, runtime: RuntimeOptions) -> LongTailData:
    """The data set, split as the paper does.

    Raises:
        UserError: it is not there or not in order, or cannot be split so.
    """
    from longtail_dpa_ei.data import load_cifar_with_meta

    return load_cifar_with_meta(
        args.dataset,
        args.root or CIFAR[args.dataset].root,
        num_meta=args.num_meta,
        imbalance_factor=args.imb_factor,
        seed=args.seed,
        holdout=runtime.val_fraction if runtime.select == "val" else None,
    )


def announce(args: argparse.Namespace, data: LongTailData, say: Callable[..., None]) -> None:
    """The lines about the data that the paper's script prints."""
    assert data.meta is not None
    counts = data.class_counts if data.val is None else data.class_counts + data.val.class_counts
    # the largest class keeps all that the meta set leaves, and CIFAR's classes are all as large
    pool, kept = int(counts.max()) * data.num_classes, int(counts.sum())
    say(f"args.seed:{args.seed}")
    say(data.meta.class_counts.tolist())
    say(f"length of meta dataset:{len(data.meta)}")
    say(f"length of train dataset: {pool}")
    for line in (counts.tolist(), kept, pool - kept, len(data.train)):
        say(line)


def method_options(args: argparse.Namespace) -> DPAEIOptions:
    """The method's options as the flags say."""
    from longtail_dpa_ei.method import DPAEIOptions

    first, second = args.switch_epochs
    given = {**vars(args), "switch_epoch": first, "decay_epoch": second, "margins": True, "augmentation": "reflect"}
    return DPAEIOptions(**{each.name: given[each.name] for each in fields(DPAEIOptions)})


# flags that say where or how, and may change between an interrupted run and its continuation
_NOT_IDENTITY = {"root", "gpu", "no_cuda", "print_freq", "split", "save_name", "idx", "test_batch_size", "seed"}


def open_run(args: argparse.Namespace, runtime: RuntimeOptions, identity: Mapping[str, Any]) -> Run:
    """The run's folder, named by the time as in the paper's script; with `--resume-auto` that of the same run before.

    All ranks must call this.
    """
    from longtail.distributed import on_first
    from longtail.training.run_folder import Run

    flags = own_flags(args, but=_NOT_IDENTITY)
    own = {**identity, **flags}
    parent = Path("checkpoint", "ours", args.idx)

    def choose() -> Path:
        earlier = sorted((each for each in parent.glob("*/run.json")), reverse=True) if runtime.resume_auto else []
        candidates = (Run(each.parent, each.parent, identity=own) for each in earlier)
        return next((each.log_dir for each in candidates if each.is_there()), None) or _claimed(parent)

    folder: Path = on_first(choose)
    return Run(folder, folder, identity=own)


def _claimed(parent: Path) -> Path:
    """A new folder named by the time, made at once, so that it is nobody else's even if two runs begin in the same second."""
    from longtail.training.files import make_folder

    make_folder(parent)
    folder, number = parent / time.strftime("%Y%m%d%H%M%S"), 1
    first = folder.name
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            folder = parent / f"{first}-{number}"
        except OSError as error:
            raise UserError(f"cannot make the folder {folder}: {error.strerror or error}") from error
        else:
            return folder


def listeners(options: DPAEIOptions, runtime: RuntimeOptions, run: Run) -> Sequence[Listener]:
    """The paper's lines and files, and a live bar on a terminal."""
    from longtail.training.progress import create_progress
    from longtail_dpa_ei.logs import PaperLog

    return [PaperLog(run, options.timing.is_implicit), create_progress(runtime.progress)]
