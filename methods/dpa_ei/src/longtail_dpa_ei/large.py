"""`train.py`: a classifier on fixed features, on ImageNet-LT and iNaturalist 2018."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.launch import relaunch, speaks
from longtail.training.runtime import RuntimeOptions, own_flags
from longtail_dpa_ei.experiments import LARGE, Experiment
from longtail_dpa_ei.flags import create_large_parser, flag_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from longtail.datasets.base import LongTailData
    from longtail.loading.base import RandomAccessLoader
    from longtail.loading.paired import Paired
    from longtail.training.method import Setting
    from longtail.training.reports import Listener
    from longtail.training.run_folder import Run
    from longtail.training.stage import Stage
    from longtail_dpa_ei.features import FeatureCache


def console() -> None:
    """Run as a script."""
    run_command(main)


def main(argv: list[str]) -> int | None:
    """Train as the command line says; the exit code, where other processes did it."""
    args = create_large_parser().parse_args(argv)
    experiment = LARGE[args.dataset]
    if speaks():
        for text in notices(experiment, args):
            print(f"notice: {text}", file=sys.stderr)
    if args.no_cuda and args.device == "auto":
        args.device = "cpu"
    code = relaunch(args.gpu, args.device)
    if code is None:
        train(experiment, args, RuntimeOptions.from_arguments(args))
    return code


def notices(experiment: Experiment, args: argparse.Namespace) -> list[str]:
    """What one may not expect of the flags."""
    found = []
    if args.num_meta != experiment.published_meta:
        found.append(
            f"--num_meta {args.num_meta} is followed; the paper's code took {experiment.published_meta} on {experiment.title} "
            "whatever its command said"
        )
    if args.nesterov and not args.momentum:
        found.append("--momentum 0 leaves nothing for --nesterov to do")
    return found


def train(experiment: Experiment, args: argparse.Namespace, runtime: RuntimeOptions) -> dict[str, Any]:
    """Train and return the results; torch is imported from here on."""
    from longtail.distributed import ranks
    from longtail.training.execute import Plan, execute
    from longtail_dpa_ei.stage1 import find

    say = print if ranks().is_first else lambda *_: None
    for line in flag_lines(args):
        say(line)
    start = find(experiment, args.stage1)
    data = load(experiment, args, runtime)
    say("random features" if start is None else f"features and classifier of {start}")
    plan = Plan(
        data=data,
        build=lambda setting: create_stage(experiment, args, data, start, setting),
        seed=args.seed,
        batch_size=args.test_batch_size,
        runtime=runtime,
        gpu=args.gpu,
        workers=args.workers,
    )
    return execute(
        plan,
        lambda identity: open_run(args, identity),
        lambda run: listeners(runtime, run),
        log_interval=args.print_freq,
    )


def load(
    experiment: Experiment, args: argparse.Namespace, runtime: RuntimeOptions, *, only_tested: bool = False
) -> LongTailData:
    """The experiment's data with its meta images; `only_tested` as in `create_data`.

    Raises:
        UserError: they are not there or not in order, or have another number of classes than `--num_classes`.
    """
    from longtail_dpa_ei.large_data import load_lists_with_meta

    data = load_lists_with_meta(
        experiment,
        args.data_root,
        args.num_meta,
        seed=args.seed,
        holdout=runtime.val_fraction if runtime.select == "val" else None,
        on_bad_image=runtime.on_bad_image,
        only_tested=only_tested,
    )
    if args.num_classes not in (None, data.num_classes):
        raise UserError(
            f"--num_classes {args.num_classes} contradicts the data: {experiment.title} in {args.data_root} "
            f"has {data.num_classes} classes"
        )
    args.num_classes = data.num_classes
    return data


def create_stage(
    experiment: Experiment, args: argparse.Namespace, data: LongTailData, start: Path | None, setting: Setting
) -> Stage:
    """The one stage: implicit from its first epoch, diagonal covariances, no margins, a constant rate."""
    from longtail.training.devices import place
    from longtail.training.stage import Stage, create_sgd
    from longtail_dpa_ei.features import FeatureCache
    from longtail_dpa_ei.frozen import FrozenDPAEI, freeze
    from longtail_dpa_ei.recipe import Augmentation
    from longtail_dpa_ei.schedules import Timing
    from longtail_dpa_ei.stage1 import create_network

    # both changes of the rate come after the last epoch
    timing = Timing(0, args.epochs + 1)
    settings = Augmentation(args.lam, args.meta_lr, args.lr, timing, margins=False, diagonal=True)
    recipe = FrozenDPAEI(freeze(create_network(start, data.num_classes, args.seed)), data.class_counts, settings)
    place(recipe, setting.device, setting.runtime)
    cache = FeatureCache(recipe.backbone, data, setting, args.test_batch_size)
    optimiser = create_sgd(
        recipe,
        lr=args.lr,
        momentum=args.momentum,
        weight_decay=args.weight_decay,
        nesterov=args.nesterov,
    )
    return Stage(
        "dpa_ei",
        recipe,
        training_batches(experiment, args, data, setting, cache),
        optimiser,
        lambda _epoch: 1.0,
        args.epochs,
        # what does not change need not be computed in every epoch
        shown=lambda part: cache.loader(part, batch_size=args.test_batch_size),
    )


def training_batches(
    experiment: Experiment, args: argparse.Namespace, data: LongTailData, setting: Setting, cache: FeatureCache
) -> Paired:
    """Training images with a batch of meta images beside each, or with `--cache-features` the features of both."""
    from longtail.loading.orders import FreshBatches, Shuffled
    from longtail.loading.paired import Paired
    from longtail.loading.presets import imagenet_standard

    assert data.meta is not None
    order = Shuffled(len(data.train), setting.randomness)
    size = min(args.batch_size, len(data.meta))
    augmentation = imagenet_standard(data.image_size, experiment.jitter)
    train: RandomAccessLoader
    meta: RandomAccessLoader
    if args.cache_features:
        train = cache.loader(data.train, order, batch_size=args.batch_size)
    else:
        train = setting.loader(data, data.train, order, batch_size=args.batch_size, augmentation=augmentation)
    meta_order = FreshBatches(len(data.meta), size, train.steps, setting.randomness, stream="meta order")
    if args.cache_features or not experiment.augments_meta:
        meta = cache.loader(data.meta, meta_order, batch_size=size)
    else:
        meta = setting.loader(data, data.meta, meta_order, batch_size=size, augmentation=augmentation, stream="meta augment")
    return Paired(train, meta, lambda _epoch, _step: True, whole=True)


# flags that say where or how, and may change between an interrupted run and its continuation
_NOT_IDENTITY = {
    "data_root",
    "workers",
    "gpu",
    "no_cuda",
    "print_freq",
    "split",
    "save_name",
    "idx",
    "test_batch_size",
    "local_rank",
    "seed",
    "imb_factor",
}


def open_run(args: argparse.Namespace, identity: Mapping[str, Any]) -> Run:
    """The run's folder and the names of its checkpoints, as in the paper's script, though not in the file system's root."""
    from longtail.training.run_folder import CheckpointNames, Run

    flags = own_flags(args, but=_NOT_IDENTITY)
    folder = Path("checkpoint", f"train_{args.dataset}")
    names = CheckpointNames(
        numbered=f"{args.lr}_{args.batch_size}_{args.meta_lr}epoch{{index}}_ckpt.pth.tar",
        every=1,
        only_latest=True,
        content=paper_content,
    )
    return Run(folder, folder, identity={**identity, **flags}, names=names)


def paper_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """What the paper's checkpoints hold: features and classifier apart."""
    state = content["state_dict"]
    return {
        "epoch": content["epoch"],
        "state_dict": {
            "feature": {name: value for name, value in state.items() if not name.startswith("fc.")},
            "classifier": {name: value for name, value in state.items() if name.startswith("fc.")},
        },
        "optimizer": content["optimizer"],
    }


def listeners(runtime: RuntimeOptions, run: Run) -> Sequence[Listener]:
    """The paper's lines, and a live bar on a terminal."""
    from longtail.training.progress import create_progress
    from longtail_dpa_ei.logs import LargeLog

    return [LargeLog(run), create_progress(runtime.progress)]
