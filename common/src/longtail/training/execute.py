"""Carrying out a method's stage on a data set: what every command does once it knows what to run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from longtail import distributed
from longtail.datasets.base import FileImages, ImageData, LongTailData
from longtail.datasets.factory import fingerprint
from longtail.loading.base import Loader
from longtail.metrics import ShotThresholds
from longtail.randomness import Randomness
from longtail.training.devices import choose_device, make_exact
from longtail.training.evaluation import STANDARD_THRESHOLDS
from longtail.training.judging import Judges
from longtail.training.loop import Restore, fit
from longtail.training.method import Setting
from longtail.training.reports import Listener
from longtail.training.run_folder import Run
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import Stage

HOW_ONLY = frozenset({"device", "max_epochs", "on_bad_image", "resume_auto", "checkpoint_every", "progress"})
"""The shared options that may differ between an interrupted run and its continuation."""


@dataclass(frozen=True)
class Plan:
    """What a command wants to run.

    Args:
        data: the data set.
        build: makes the stage for a setting.
        seed: training seed.
        batch_size: of evaluation.
        runtime: the shared options.
        gpu: a paper's `--gpu`, the GPUs to use; None for all.
        thresholds: bounds of the shot groups.
        workers: processes of each loader over all ranks, where images are files.
        test_at_end: see `Judges`; without validation images it changes nothing.
        model: what `run.json` tells, as plain data, about how the network can be made again; None where nobody will.
    """

    data: LongTailData
    build: Callable[[Setting], Stage]
    seed: int
    batch_size: int
    runtime: RuntimeOptions
    gpu: tuple[int, ...] | None = None
    thresholds: ShotThresholds = STANDARD_THRESHOLDS
    workers: int = 4
    test_at_end: bool = False
    model: Mapping[str, Any] | None = None


def prepare(runtime: RuntimeOptions, *, seed: int = 0, gpu: tuple[int, ...] | None = None, workers: int = 0) -> Setting:
    """Choose this process's device, make it exact, and join the other ranks.

    Args:
        runtime: the shared options.
        seed: training seed.
        gpu: see `Plan`.
        workers: processes of each loader, over all ranks.

    Raises:
        UserError: there is no such device.
    """
    device = choose_device(runtime.device, gpu=gpu)
    make_exact(device)
    ranks = distributed.start(device)
    randomness = Randomness(seed)
    torch.manual_seed(randomness.integer("global"))
    return Setting(device, ranks, randomness, runtime, -(-workers // ranks.world_size))


def execute(
    plan: Plan,
    open_run: Callable[[Mapping[str, Any]], Run],
    listeners: Callable[[Run], Sequence[Listener]],
    *,
    log_interval: int = 50,
    resume: Path | None = None,
    restart: Callable[[Run], Path | Restore | None] | None = None,
    start_epoch: int = 0,
) -> dict[str, Any]:
    """Run a plan's stage and return its results as plain data.

    Args:
        plan: what to run.
        open_run: makes the run's folders, given what identifies the run.
        listeners: makes the listeners for the run.
        log_interval, resume, start_epoch: see `fit`.
        restart: finds out, given the run, what `fit` is to resume, where the command line says less than a path.
    """
    started = time.perf_counter()
    runtime = plan.runtime
    setting = prepare(runtime, seed=plan.seed, gpu=plan.gpu, workers=plan.workers)
    ranks = setting.ranks
    stage = plan.build(setting)
    run = open_run(_identity(plan))
    if runtime.select == "test" and ranks.is_first:
        print(
            "notice: the best epoch is chosen on the test set, as the papers did; --select val or --select last avoids that",
            file=sys.stderr,
        )
    try:
        results = fit(
            stage,
            _judges(plan, stage, setting),
            run,
            runtime,
            device=setting.device,
            ranks=ranks,
            randomness=setting.randomness,
            listeners=listeners(run) if ranks.is_first else (),
            log_interval=log_interval,
            resume=resume if restart is None else restart(run),
            start_epoch=start_epoch,
            details=_details(plan, stage),
        )
    except KeyboardInterrupt:
        distributed.stop()  # all ranks have agreed to stop, so that none waits in vain
        raise
    distributed.stop()
    return {**results, "seconds": time.perf_counter() - started}


def _identity(plan: Plan) -> dict[str, Any]:
    """What must agree, whatever the command, for one run to be the continuation of another."""
    shared = {each.name: getattr(plan.runtime, each.name) for each in fields(plan.runtime) if each.name not in HOW_ONLY}
    return {"data": plan.data.name, "data_fingerprint": fingerprint(plan.data), "seed": plan.seed, **shared}


def _judges(plan: Plan, stage: Stage, setting: Setting) -> Judges:
    data = plan.data

    def shown(part: ImageData) -> Loader:
        if stage.shown is not None:
            return stage.shown(part)
        return setting.in_order(data, part, batch_size=plan.batch_size)

    return Judges(
        data.train,
        shown(data.test),
        None if data.val is None else shown(data.val),
        plan.thresholds,
        plan.test_at_end and data.val is not None,
        data.counts,
    )


def _details(plan: Plan, stage: Stage) -> dict[str, Any]:
    """What `run.json` tells besides what identifies the run."""
    data = plan.data
    return {
        "class_counts": data.class_counts.tolist(),
        "left_out": list(data.left_out),
        **({"drawn": {part: asdict(drawn) for part, drawn in data.drawn.items()}} if data.drawn else {}),
        "parameters": sum(each.numel() for each in stage.recipe.backbone.parameters()),
        "input": _input(data),
        **({} if plan.model is None else {"model": dict(plan.model)}),
    }


def _input(data: LongTailData) -> dict[str, Any]:
    """What the network is shown and answers, so that it can be shown other images later."""
    images = data.train.images
    return {
        "class_names": list(data.train.class_names),
        "image_size": data.image_size,
        "mean": list(data.mean),
        "std": list(data.std),
        "in_files": isinstance(images, FileImages),
        "upright": isinstance(images, FileImages) and images.upright,
    }
