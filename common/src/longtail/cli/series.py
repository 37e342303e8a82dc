"""Training several contenders, a few seeds each: one run after the other or side by side, none of them twice."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from longtail.cli.comparison import Outcome
from longtail.cli.jobs import Job, continue_or_begin, run_job
from longtail.datasets.base import LongTailData
from longtail.datasets.factory import fingerprint
from longtail.errors import UserError
from longtail.training.execute import HOW_ONLY
from longtail.training.files import make_folder, read_json, write_json
from longtail.training.progress import create_progress
from longtail.training.run_folder import METRICS

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


def train_all(
    tasks: Sequence[Task],
    data: LongTailData,
    say: Callable[[str], None],
    *,
    jobs: int = 1,
    keep_going: bool = True,
) -> list[Outcome]:
    """Carry out the tasks, with a line about each, and sort what they reached by contender.

    Args:
        tasks: what to run; what had been finished before is read, what had been begun is continued.
        data: what all of them train on.
        say: takes the lines.
        jobs: runs at a time; more than one are processes of their own.
        keep_going: a task that fails is noted, and the others go on; otherwise its error is raised.

    Raises:
        KeyboardInterrupt: Ctrl-C; the runs under way have saved their state.
    """
    outcomes = {task.label: Outcome(task.label) for task in tasks}
    estimate = _Estimate(tasks, jobs)
    ending = _one_by_one(tasks, data) if jobs == 1 else _side_by_side(tasks, data, jobs)
    with closing(ending):
        for ended in ending:
            task, reached = ended.task, ended.reached
            head = f"[{estimate.note(ended)}/{len(tasks)}] {task.label}, seed {task.job.seed}: "
            if reached is not None:
                outcomes[task.label].add(task.job.seed, reached.result, task.folder, reached.train_seconds)
                took = "finished before" if reached.wall_seconds is None else f"{reached.wall_seconds:.0f} s"
                say(f"{head}{100 * reached.result['accuracy']:.1f} % ({took}){estimate.left()}")
                continue
            assert ended.error is not None
            if not keep_going:
                raise ended.error
            outcomes[task.label].failures[task.job.seed] = _told(ended.error)
            say(f"{head}failed: {_told(ended.error)}{estimate.left()}")
    return [outcome.in_order() for outcome in outcomes.values()]


def carry_out(task: Task, data: LongTailData) -> Reached:
    """Run a task, or read what came out where that very run has been finished."""
    known = finished_before(task, data)
    if known is not None:
        return known
    run, results = run_job(
        task.job, data, partial(continue_or_begin, task.folder), lambda _: [create_progress(task.job.runtime.progress)]
    )
    reached = Reached(results["best"], _train_seconds(run.log_dir / METRICS), results["seconds"])
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


def _asked(job: Job, data: LongTailData) -> dict[str, Any]:
    """All that decides what a finished run came to, as JSON gives it back."""
    job = job.fitted(data)
    # a finished run went on to a certain epoch, where an interrupted one may go on to another
    how_only = HOW_ONLY - {"max_epochs"}
    runtime = {name: value for name, value in asdict(job.runtime).items() if name not in how_only}
    asked = {"data_fingerprint": fingerprint(data), "seed": job.seed, "runtime": runtime, **job.identity()}
    again: dict[str, Any] = json.loads(json.dumps(asked))
    return again


def _train_seconds(metrics: Path) -> float:
    lines = metrics.read_text(encoding="utf-8").splitlines()
    return sum((float(json.loads(line)["train_seconds"]) for line in lines), 0.0)


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, (UserError, RunFailed)) else f"{type(error).__name__}: {error}"


def _one_by_one(tasks: Sequence[Task], data: LongTailData) -> Generator[Ended, None, None]:
    for task in tasks:
        try:
            ended = Ended(task, carry_out(task, data))
        except Exception as error:  # whatever one method raises, the others' results are not to be lost for it
            if not isinstance(error, UserError):
                traceback.print_exc()
            ended = Ended(task, error=error)
        yield ended


def _side_by_side(tasks: Sequence[Task], data: LongTailData, jobs: int) -> Generator[Ended, None, None]:
    known = [(task, finished_before(task, data)) for task in tasks]
    for task, reached in known:
        if reached is not None:
            yield Ended(task, reached)
    waiting = _spread_over_gpus([task for task, reached in known if reached is None], jobs)
    running: set[subprocess.Popen[bytes]] = set()
    lock, stopped = threading.Lock(), threading.Event()
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs)), **os.environ}

    def run(task: Task) -> Ended:
        make_folder(task.folder.parent)
        log = task.folder.with_name(f"{task.folder.name}.log")
        with log.open("wb") as file:
            with lock:
                if stopped.is_set():
                    raise KeyboardInterrupt
                # a session of its own, so that Ctrl-C reaches it once, from here
                process = subprocess.Popen(
                    [sys.executable, "-m", "longtail.cli.one_run"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=file,
                    start_new_session=True,
                    env=environment,
                )
                running.add(process)
            answer, _ = process.communicate(pickle.dumps(task))
            with lock:
                running.discard(process)
        return _ended(task, answer, process.returncode, log)

    with _terminable(), ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(run, task) for task in waiting]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            with lock:
                stopped.set()
                for process in running:
                    process.send_signal(signal.SIGINT)
            for future in futures:
                future.cancel()
            raise


def _ended(task: Task, answer: bytes, code: int, log: Path) -> Ended:
    """What a process's answer says; one that was killed leaves none."""
    if not answer:
        return Ended(task, error=RunFailed(f"its process ended with code {code} and no word; see {log}"))
    content = json.loads(answer)
    if content["error"] is None:
        return Ended(task, Reached(**content["reached"]))
    if content["is_mistake"]:
        return Ended(task, error=UserError(content["error"]))
    return Ended(task, error=RunFailed(f"{content['error']} (see {log})"))


def _spread_over_gpus(tasks: Sequence[Task], jobs: int) -> list[Task]:
    """Runs that may take any GPU get one after the other."""
    import torch

    gpus = min(torch.cuda.device_count(), jobs) if torch.cuda.is_available() else 0
    if gpus < 2 or any(task.job.runtime.device not in ("auto", "cuda") for task in tasks):
        return list(tasks)
    return [
        replace(task, job=replace(task.job, runtime=replace(task.job.runtime, device=f"cuda:{number % gpus}")))
        for number, task in enumerate(tasks)
    ]


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, as a scheduler sends it, stops the other processes as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:  # noqa: ARG001 - what a signal handler takes
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Estimate:
    """How long the rest of a series will take: a contender's runs take as long as those before, of others as the mean."""

    def __init__(self, tasks: Sequence[Task], jobs: int) -> None:
        self._remaining = [task.label for task in tasks]
        self._total = len(tasks)
        self._jobs = jobs
        self._taken: dict[str, list[float]] = {}

    def note(self, ended: Ended) -> int:
        """Note one more task that has ended, and return how many have."""
        self._remaining.remove(ended.task.label)
        if ended.reached is not None:
            wall = ended.reached.wall_seconds
            self._taken.setdefault(ended.task.label, []).append(ended.reached.train_seconds if wall is None else wall)
        return self._total - len(self._remaining)

    def left(self) -> str:
        """The time left in words, empty where there is none or nothing is known."""
        known = [seconds for taken in self._taken.values() for seconds in taken]
        if not known or not self._remaining:
            return ""
        each = [self._taken.get(label, known) for label in self._remaining]
        return f", about {in_words(sum(sum(taken) / len(taken) for taken in each) / self._jobs)} left"


def in_words(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
