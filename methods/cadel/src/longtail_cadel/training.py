"""The scripts of stage one: train a network with cascaded heads."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.training.commands import run_command
from longtail.training.launch import relaunch, speaks
from longtail.training.runtime import RuntimeOptions, own_flags
from longtail_cadel.experiments import Script, data_root, data_set
from longtail_cadel.flags import check, configured, create_parser, notices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from longtail.datasets.base import LongTailData
    from longtail.training.reports import Listener
    from longtail.training.run_folder import Run
    from longtail_cadel.config import Config


def console(script: Script) -> None:
    """Run as a script."""
    run_command(partial(main, script))


_AS_THE_PAPER = "val; test on iNaturalist, whose only list besides the training list it is"


def main(script: Script, argv: list[str]) -> int | None:
    """Do as the command line says; the exit code, where other processes did it."""
    parser = create_parser(script)
    parser.set_defaults(select=_AS_THE_PAPER)
    args = parser.parse_args(argv)
    check(args)
    config = configured(script, args)
    if args.select == _AS_THE_PAPER:
        args.select = "val" if data_set(config.training_opt.dataset).has_val else "test"
    if speaks():
        for text in (*notices(script, args), *config.notices):
            print(f"notice: {text}", file=sys.stderr)
    code = relaunch(args.gpu, args.device)
    if code is None:
        carry_out(script, config, args, RuntimeOptions.from_arguments(args))
    return code


def carry_out(script: Script, config: Config, args: argparse.Namespace, runtime: RuntimeOptions) -> None:
    """Train, or evaluate what was trained; torch is imported from here on."""
    from longtail_cadel.launch import adopt_local_rank

    adopt_local_rank(args.local_rank)
    if script.trains and not args.test:
        train(config, args, runtime)
        return
    from longtail_cadel.stage_two import evaluate

    evaluate(script, config, args, runtime)


def train(config: Config, args: argparse.Namespace, runtime: RuntimeOptions) -> dict[str, Any]:
    """Train and return the results."""
    from longtail.distributed import ranks
    from longtail.training.execute import Plan, execute
    from longtail_cadel.building import begin, create_network, create_stage

    place, options = ranks(), config.training_opt
    batch_size = batch_of(config, place.world_size)
    data = load(config, args, runtime)
    network = create_network(config, args.seed)
    began = begin(
        network,
        config,
        seed=args.seed,
        pretrained=not args.no_pretrained,
        may_be_missing=args.allow_missing_pretrain,
    )
    if place.is_first:
        print(began)
    plan = Plan(
        data=data,
        build=lambda setting: create_stage(
            network, config, data, setting, batch_size=batch_size, jitter=data_set(options.dataset).jitter
        ),
        seed=args.seed,
        batch_size=batch_size,
        runtime=runtime,
        gpu=args.gpu,
        workers=options.num_workers,
        test_at_end=runtime.select == "val",
    )
    return execute(
        plan,
        lambda identity: open_run(config, args, identity),
        lambda run: listeners(config, data, runtime, run, args),
        log_interval=options.display_step,
        resume=Path(args.resume) if args.resume else None,
    )


def batch_of(config: Config, world_size: int) -> int:
    """Images in one step of all ranks together, see `global_batch`."""
    from longtail_cadel.launch import global_batch, has_launcher

    return global_batch(config, has_launcher(), world_size)


def load(config: Config, args: argparse.Namespace, runtime: RuntimeOptions, *, only_tested: bool = False) -> LongTailData:
    """The data set of a configuration; `only_tested` as in `create_data`.

    Raises:
        UserError: it is none of the paper's, is not there or not in order, or contradicts the configuration.
    """
    from longtail_cadel import data

    options = config.training_opt
    return data.load(
        data_set(options.dataset),
        root=data_root(options.dataset, args.data_root),
        num_classes=options.num_classes,
        num_dir=options.num_dir,
        image_size=options.image_size,
        holdout=runtime.val_fraction if runtime.select == "val" else None,
        val_as_train=args.val_as_train,
        on_bad_image=runtime.on_bad_image,
        only_tested=only_tested,
    )


# flags that say where or how, and may change between an interrupted run and its continuation
_NOT_IDENTITY = {"data_root", "gpu", "local_rank", "num_workers", "resume", "seed", "cfg", "test"}


def open_run(config: Config, args: argparse.Namespace, identity: Mapping[str, Any]) -> Run:
    """The run's folder, `log_dir` of the configuration, with checkpoints under the paper's names."""
    from longtail.training.run_folder import CheckpointNames, Run
    from longtail_cadel.building import FINAL, LATEST, layout_of

    folder = Path(config.training_opt.log_dir)
    names = CheckpointNames(last=LATEST, best=FINAL, content=partial(final_content, layout_of(config)))
    flags = own_flags(args, but=_NOT_IDENTITY)
    return Run(folder, folder, identity={**identity, **flags, **identity_of(config)}, names=names)


def identity_of(config: Config) -> dict[str, Any]:
    """What of a configuration must agree for one run to continue another."""
    told = asdict(config)
    for name in ("name", "no_effect", "others"):
        del told[name]
    for name in ("log_dir", "num_dir", "num_workers", "display_step"):
        del told["training_opt"][name]
    return told


def final_content(layout: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """What the paper's final checkpoint holds, of the content of one of ours; the tensors are stored once."""
    from longtail_cadel.names import to_paper

    progress = content["longtail"]["progress"]
    return {
        "epoch": content["epoch"],
        "best_epoch": content["epoch"],
        "best_acc": progress["best"],
        "centroids": None,
        "state_dict_best": to_paper(content["state_dict"], layout),
        "state_dict": content["state_dict"],
    }


def listeners(
    config: Config, data: LongTailData, runtime: RuntimeOptions, run: Run, args: argparse.Namespace
) -> Sequence[Listener]:
    """The paper's lines and files, and a live bar on a terminal."""
    from longtail.training.progress import create_progress
    from longtail_cadel.config import dump
    from longtail_cadel.logs import PaperLog

    return [
        PaperLog(run, data.class_counts, config=dump(config, local_rank=args.local_rank)),
        create_progress(runtime.progress),
    ]
