"""One run of a series: what it is, where it lies, and what is known of it from before."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from longtail.cli.jobs import Job, continue_or_begin, run_job
from longtail.datasets.base import LongTailData
from longtail.datasets.factory import fingerprint
from longtail.training.execute import HOW_ONLY
from longtail.training.files import read_json, write_json
from longtail.training.reports import Listener
from longtail.training.run_folder import METRICS, RUN_JSON

OUTCOME = "outcome.json"
"""The file in a finished run's folder that tells what was asked for and what came out."""
_LONGEST_NAME = 100


class RunFailed(Exception):
    """A run in another process failed, for a reason that is not the user's mistake."""


@dataclass(frozen=True)
class Task:
    """One run of a series.

    Args:
        label: the contender's.
        job: what to train.
        folder: the run's.
        root: folder of the files of data sets.
    """

    label: str
    job: Job
    folder: Path
    root: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.label}, seed {self.job.seed}"


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Args:
        done: epochs that are behind it, the part of the present one among them.
        epochs: how many there will be.
    """

    done: float
    epochs: int

    @property
    def share(self) -> float:
        """The part that is done, in [0, 1]."""
        return self.done / self.epochs if self.epochs else 1.0


@dataclass(frozen=True)
class Reached:
    """What a run came to.

    Args:
        result: the test summary of the chosen epoch, as a dictionary.
        train_seconds: time of all its training epochs, evaluation apart.
        wall_seconds: what the run took just now; None where it had been finished before.
    """

    result: dict[str, Any]
    train_seconds: float
    wall_seconds: float | None


@dataclass(frozen=True)
class Ended:
    """How a task ended: with a result or with an error."""

    task: Task
    reached: Reached | None = None
    error: Exception | None = None


def run_folder(out: Path, label: str, seed: int) -> Path:
    """Where the run of a contender with this seed lies."""
    name = "-".join(re.findall(r"[\w.=]+", label))
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}-{blake2b(label.encode(), digest_size=4).hexdigest()}"
    return out / "runs" / f"{name}-seed{seed}"


def carry_out(task: Task, data: LongTailData, listeners: Sequence[Listener] = ()) -> Reached:
    """Run a task, or read what came out where that very run has been finished."""
    known = finished_before(task, data)
    if known is not None:
        return known
    job = task.job
    if _went_too_far(task):
        job = replace(job, runtime=replace(job.runtime, resume_auto=False))
    run, results = run_job(job, data, partial(continue_or_begin, task.folder), lambda _: listeners)
    reached = Reached(results["best"], _train_seconds(run.log_dir), results["seconds"])
    content = {
        "format": 1,
        "asked": _asked(task.job, data),
        "select": results["select"],
        "train_seconds": reached.train_seconds,
        "test": reached.result,
    }
    write_json(run.log_dir / OUTCOME, content)
    return reached


def finished_before(task: Task, data: LongTailData) -> Reached | None:
    """What came out of a task that an earlier execution finished."""
    path = task.folder / OUTCOME
    if not path.is_file():
        return None
    content = read_json(path)
    if content.get("asked") != _asked(task.job, data):
        return None
    return Reached(content["test"], content["train_seconds"], None)


def set_aside_for(task: Task, data: LongTailData) -> str | None:
    """Why the run that lies in a task's folder cannot be the task's, as the first setting that differs; None where it can."""
    path = task.folder / RUN_JSON
    if not path.is_file():
        return None
    asked = _asked(task.job, data)
    wanted = {**asked["runtime"], **{name: value for name, value in asked.items() if name != "runtime"}}
    wanted.pop("max_epochs")
    earlier = read_json(path).get("identity", {})
    for name in {**wanted, **earlier}:
        if earlier.get(name) != wanted.get(name):
            if name == "data_fingerprint":
                return "the images were others"
            return f"{name} was {earlier.get(name)!r} and is {wanted.get(name)!r}"
    return f"it was trained beyond epoch {task.job.runtime.max_epochs}" if _went_too_far(task) else None


def _asked(job: Job, data: LongTailData) -> dict[str, Any]:
    """All that decides what a finished run came to, as JSON gives it back."""
    job = job.fitted(data)
    # a finished run went on to a certain epoch, where an interrupted one may go on to another
    how_only = HOW_ONLY - {"max_epochs"}
    runtime = {name: value for name, value in asdict(job.runtime).items() if name not in how_only}
    asked = {"data_fingerprint": fingerprint(data), "seed": job.seed, "runtime": runtime, **job.identity()}
    again: dict[str, Any] = json.loads(json.dumps(asked))
    return again


def _went_too_far(task: Task) -> bool:
    """Whether the run in the folder has trained longer than is asked for now, so that it cannot be continued to there."""
    most = task.job.runtime.max_epochs
    return most is not None and len(_epoch_lines(task.folder)) > most


def _train_seconds(folder: Path) -> float:
    return sum((float(json.loads(line)["train_seconds"]) for line in _epoch_lines(folder)), 0.0)


def _epoch_lines(folder: Path) -> list[str]:
    path = folder / METRICS
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
