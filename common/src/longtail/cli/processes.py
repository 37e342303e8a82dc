"""Runs side by side, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from longtail.cli.one_run import pack, understand
from longtail.cli.tasks import Ended, Progress, Reached, RunFailed, Task
from longtail.training.files import make_folder


def side_by_side(tasks: Sequence[Task], jobs: int, moved: Callable[[Task, Progress], None]) -> Generator[Ended, None, None]:
    """Carry out tasks, and yield each as it ends.

    Args:
        tasks: what to run.
        jobs: how many at a time.
        moved: told, from several threads, how far a task has come.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the processes have been told so, and have saved their state.
    """
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
            said = _converse(process, task, log, moved)
            with lock:
                running.discard(process)
        return _ended(task, said, process.returncode, log)

    with _terminable(), ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(run, task) for task in _spread_over_gpus(tasks, jobs)]
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


def _converse(
    process: subprocess.Popen[bytes], task: Task, log: Path, moved: Callable[[Task, Progress], None]
) -> Reached | Exception | None:
    """Hand a task to a process and listen to its end; what it said at last, None where it was killed before."""
    assert process.stdin is not None
    assert process.stdout is not None
    said: Reached | Exception | None = None
    with process:
        try:
            process.stdin.write(pack(task).encode())
            process.stdin.close()
        except BrokenPipeError:
            return None
        for line in process.stdout:
            # a process that is killed may leave half a line
            found = understand(line, log) if line.endswith(b"\n") else None
            if isinstance(found, Progress):
                moved(task, found)
            else:
                said = found
    return said


def _ended(task: Task, said: Reached | Exception | None, code: int, log: Path) -> Ended:
    """How a task ended whose process said this at last."""
    if isinstance(said, Reached):
        return Ended(task, said)
    if said is not None:
        return Ended(task, error=said)
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code} and no word"
    hint = ", as happens where memory runs out" if code == -signal.SIGKILL else ""
    return Ended(task, error=RunFailed(f"its process {how}{hint}; see {log}"))


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
