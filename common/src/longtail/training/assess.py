"""Evaluating a network that is trained already: what every command that tests a checkpoint does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from longtail import distributed
from longtail.datasets.base import ImageData, LongTailData
from longtail.loading.base import Loader
from longtail.metrics import ShotThresholds, Summary
from longtail.training.evaluation import STANDARD_THRESHOLDS, evaluate
from longtail.training.method import Setting
from longtail.training.recipe import Recipe
from longtail.training.reports import BatchReport
from longtail.training.run_folder import Run


def assess(
    data: LongTailData,
    recipe: Recipe,
    setting: Setting,
    *,
    batch_size: int,
    thresholds: ShotThresholds = STANDARD_THRESHOLDS,
    log_interval: int = 50,
    on_batch: Callable[[BatchReport], None] | None = None,
    shown: Callable[[ImageData], Loader] | None = None,
) -> Summary:
    """Evaluate a recipe's predictions on the test set of `data`.

    Args:
        data: its training set's class counts define the shot groups.
        recipe, thresholds, log_interval, on_batch: see `evaluate`.
        setting: where it runs.
        batch_size: over all ranks.
        shown: see `Stage`.
    """
    summary = evaluate(
        recipe,
        setting.in_order(data, data.test, batch_size=batch_size) if shown is None else shown(data.test),
        data.class_counts,
        options=setting.runtime,
        device=setting.device,
        thresholds=thresholds,
        log_interval=log_interval,
        on_batch=on_batch if setting.ranks.is_first else None,
    )
    distributed.stop()
    return summary


def record(run: Run, data: LongTailData, summary: Summary, checkpoint: Path, content: dict[str, Any]) -> list[Path]:
    """Write an evaluation into a folder of its own: `run.json` and `per_class.csv`.

    Args:
        run: the folder; what an earlier evaluation left there is moved aside.
        data: the data set.
        summary: the evaluation.
        checkpoint, content: the file that was evaluated, and what is in it.

    Returns:
        The folders that earlier evaluations were moved to.
    """
    details = {
        "checkpoint": str(checkpoint),
        "checkpoint_epoch": int(content["epoch"]) if "epoch" in content else None,
        "class_counts": data.class_counts.tolist(),
        "left_out": list(data.left_out),
    }
    moved = run.begin(keep_logs=None, details=details)
    rows = zip(
        range(data.num_classes),
        data.train.class_names,
        data.class_counts.tolist(),
        data.test.class_counts.tolist(),
        summary.per_class_accuracy,
        strict=True,
    )
    run.write_per_class(("class", "name", "train_images", "test_images", "accuracy"), list(rows))
    run.finish({"test": summary.to_dict()})
    return moved
