"""The scripts of stage one: train a network with cascaded heads."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.launch import plan_ranks, relaunch, speaks
from longtail.training.runtime import RuntimeOptions
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
    run_command(partial(_main, script))


_PATIENCE = 2.0
"""Seconds; a launcher looks ten times a second whether a rank has ended."""


def _main(script: Script, argv: list[str]) -> int | None:
    if os.environ.get("RANK", "0") != "0":
        logging.getLogger("longtail_cadel").setLevel(logging.ERROR)  # as `run_command` has it for the core
    try:
        return main(script, argv)
    except UserError:
        from longtail_cadel.launch import speaks_late

        if speaks_late():
            time.sleep(_PATIENCE)
        raise


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
        for text in (*notices(script, args), *(() if is_published(args.cfg) else config.notices)):
            print(f"notice: {text}", file=sys.stderr)
    planned = plan_ranks(args.gpu, args.device)
    if planned is not None:
        batch_of(config, planned.processes)  # a mistake is told before processes start
    code = relaunch(args.gpu, args.device)
    if code is None:
        carry_out(script, config, args, RuntimeOptions.from_arguments(args))
    return code


def is_published(cfg: str) -> bool:
    """Whether a file is one of the paper's, which say themselves which of their keys have no effect."""
    from longtail_cadel.config_files import find_config, scripts_folder

    return find_config(cfg).resolve().is_relative_to(scripts_folder().resolve())


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
        print(f"{began}\n{in_words(config, data, batch_size)}", flush=True)
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
        lambda identity: open_run(config, args, batch_size, identity),
        lambda run: listeners(config, data, runtime, run, args),
        log_interval=options.display_step,
        resume=resumable(args.resume),
    )


def resumable(path: str | None) -> Path | None:
    """The checkpoint that `--resume` names.

    Raises:
        UserError: it is the other one of a run, which tells nothing of how far the run had come.
    """
    from longtail_cadel.building import FINAL, LATEST

    if path is not None and Path(path).name == FINAL:
        raise UserError(
            f"--resume {path}: this file holds the best networks, not the state of a run; {LATEST} beside it does. "
            "To begin anew with these networks: --model_dir"
        )
    return None if path is None else Path(path)


def in_words(config: Config, data: LongTailData, batch_size: int) -> str:
    """What is about to happen, in a line."""
    options = config.training_opt
    return (
        f"{options.dataset}: {len(data.train):,} training images of {data.num_classes:,} classes, in batches of {batch_size}; "
        f"everything goes to {options.log_dir}"
    )


def batch_of(config: Config, world_size: int) -> int:
    """Images in one step of all ranks together, see `global_batch`."""
    from longtail_cadel.launch import global_batch, has_launcher

    return global_batch(config, has_launcher(), world_size)


def load(config: Config, args: argparse.Namespace, runtime: RuntimeOptions, *, only_tested: bool = False) -> LongTailData:
    """The data set of a configuration, with validation images if `--select` asks for them; `only_tested` as in `create_data`.

    Raises:
        UserError: it is none of the paper's, is not there or not in order, or contradicts the configuration.
    """
    from longtail_cadel import data

    options = config.training_opt
    loaded = data.load(
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
    return loaded if runtime.select == "val" else replace(loaded, val=None)


# flags that no value of a configuration tells, and that must not change between an interrupted run and its continuation
_IDENTITY = ("val_as_train", "no_pretrained")


def open_run(config: Config, args: argparse.Namespace, batch_size: int, identity: Mapping[str, Any]) -> Run:
    """The run's folder, `log_dir`, with checkpoints under the paper's names; `batch_size` is over all ranks."""
    from longtail.training.run_folder import CheckpointNames, Run
    from longtail_cadel.building import FINAL, LATEST, layout_of

    folder = Path(config.training_opt.log_dir)
    names = CheckpointNames(last=LATEST, best=FINAL, content=partial(final_content, layout_of(config)))
    flags = {name: getattr(args, name) for name in _IDENTITY}
    return Run(folder, folder, identity={**identity, **flags, **identity_of(config, batch_size)}, names=names)


def identity_of(config: Config, batch_size: int) -> dict[str, Any]:
    """What of a configuration must agree for one run to continue another; `batch_size` is over all ranks."""
    told = asdict(config)
    for name in ("name", "no_effect", "others"):
        del told[name]
    for name in ("log_dir", "num_dir", "num_workers", "display_step"):
        del told["training_opt"][name]
    # a launcher's users divide it, with other numbers of processes by others
    told["training_opt"]["batch_size"] = batch_size
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
