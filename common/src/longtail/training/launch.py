"""One process for each GPU: the same command again, once for each of them, under torch's launcher.

The papers' scripts spread every batch over the GPUs from one process. Ranks do the same work faster: each takes its slice of
the batch, whose size remains what the command line says.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from longtail.errors import UserError
from longtail.training import failures

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpu_ids(text: str) -> tuple[int, ...]:
    """The type of the papers' `--gpu`: the number of a GPU, or several with commas between them."""
    try:
        ids = tuple(int(each) for each in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be the numbers of GPUs, such as 0 or 0,1, got {text!r}") from error
    if min(ids) < 0:
        raise argparse.ArgumentTypeError(f"GPUs are numbered from 0, got {text}")
    if len(set(ids)) < len(ids):
        raise argparse.ArgumentTypeError(f"names a GPU twice: {text}")
    return ids


def in_words(gpus: Sequence[int]) -> str:
    """The ids as on the command line."""
    return f"--gpu {','.join(map(str, gpus))}"


def those_here(gpus: Sequence[int], device: str) -> tuple[int, ...]:
    """Those of the GPUs of a `--gpu` that this machine has, for scripts whose papers name GPUs that others need not have.

    Args:
        gpus: ids among the visible GPUs.
        device: `--device`; where that is not a choice among GPUs, or where there are none, the ids stay as they are.

    Returns:
        The ids that exist, or the first GPU where none of them does; a warning tells which ones are missing.
    """
    if not speaks() or device not in ("auto", "cuda"):
        return tuple(gpus)
    available = _gpus_here()
    found = tuple(each for each in gpus if each < available)
    if not available or len(found) == len(gpus):
        return tuple(gpus)
    used = found or (0,)
    print(
        f"warning: {in_words(gpus)}: this machine has {available} GPU(s), numbered from 0; using {in_words(used)}",
        file=sys.stderr,
    )
    return used


def is_launched() -> bool:
    """Whether this process is a rank that `relaunch` started: the GPUs that it sees are those of the ranks, in order."""
    return failures.FOLDER in os.environ


def speaks() -> bool:
    """Whether this process is the one that says what each process of a command would say, before torch is imported."""
    return os.environ.get("RANK", "0") == "0" and not is_launched()


def relaunch(gpus: Sequence[int] | None, device: str) -> int | None:
    """Run the command line of this process once for each GPU, if it asks for several, and wait for all of these ranks.

    To be called before anything that costs time or memory, by the process's main thread. Under `torchrun` nothing is started.

    Args:
        gpus: ids among the visible GPUs, from `--gpu`; None stands for all of them.
        device: `--device`. With `cpu`, and with `auto` where there is no CUDA, as many ranks as there are ids run on the CPU;
            a device with a number is one device, whatever `gpus` says.

    Returns:
        None if this process is to do the work itself; otherwise the exit code, when all ranks have ended.

    Raises:
        UserError: there is no such GPU, or a rank ended with this error.
        KeyboardInterrupt: Ctrl-C ended the ranks.
    """
    plan = plan_ranks(gpus, device)
    return None if plan is None else _run(plan)


@dataclass(frozen=True)
class RankPlan:
    """How many ranks to start, and what they find in their environment besides what this process has.

    Args:
        processes: number of ranks.
        environment: variables to set.
        remark: what to tell the user first.
    """

    processes: int
    environment: Mapping[str, str]
    remark: str | None = None


def plan_ranks(gpus: Sequence[int] | None, device: str) -> RankPlan | None:
    """What `relaunch` would start; its arguments and its first error.

    Returns:
        None if this process is to do the work itself.
    """
    if "RANK" in os.environ or device not in ("auto", "cuda", "cpu") or (gpus is not None and len(gpus) < 2):
        return None
    available = 0 if device == "cpu" else _gpus_here()
    if available:
        return _on_gpus(gpus, available)
    # a lone process says that --device cuda asks for what is not there
    return None if gpus is None or device == "cuda" else _on_cpu(gpus, device)


def _gpus_here() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _on_gpus(gpus: Sequence[int] | None, available: int) -> RankPlan | None:
    chosen = range(available) if gpus is None else gpus
    if len(chosen) < 2:
        return None
    if max(chosen) >= available:
        raise UserError(f"{in_words(chosen)}: this machine has {available} GPU(s), numbered from 0")
    names = os.environ.get(_VISIBLE, "").split(",") if os.environ.get(_VISIBLE) else [str(each) for each in range(available)]
    remark = None
    if gpus is None:
        remark = f"notice: using all {available} GPUs, a process and a share of the batch for each; --gpu chooses"
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    return RankPlan(
        len(chosen), {_VISIBLE: ",".join(names[each].strip() for each in chosen), "OMP_NUM_THREADS": threads}, remark
    )


def _on_cpu(gpus: Sequence[int], device: str) -> RankPlan:
    remark = None
    if device == "auto":
        remark = (
            f"warning: {in_words(gpus)} was given but there is no CUDA device; running {len(gpus)} processes on the CPU instead"
        )
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, _cores() // len(gpus)))
    return RankPlan(len(gpus), {"OMP_NUM_THREADS": threads}, remark)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(plan: RankPlan) -> int:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, launch_agent

    if plan.remark is not None:
        print(plan.remark, file=sys.stderr)
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="longtail-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=plan.processes,
            max_restarts=0,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            # the launcher takes a free port; a machine's full name, its default, is not resolved everywhere
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            logs_specs=DefaultLogsSpecs(log_dir=str(Path(folder, "torch"))),
        )
        try:
            with _surroundings({**plan.environment, failures.FOLDER: folder}):
                # the interpreter's own view of the command line, which `python -m` and console scripts keep whole
                launch_agent(config, sys.executable, sys.orig_argv[1:])
        except SignalException as stop:
            if stop.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            return 128 + stop.sigval
        except ChildFailedError as error:
            codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
            return _explain(failures.read(Path(folder)), codes)
    return 0


@contextmanager
def _surroundings(environment: Mapping[str, str]) -> Iterator[None]:
    """The launcher's environment, which its ranks inherit; its log is silent and its signal handlers go when it ends."""
    variables, silenced = dict(os.environ), logging.root.manager.disable
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)}
    os.environ.update(environment)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        logging.disable(silenced)
        os.environ.clear()
        os.environ.update(variables)


def _explain(said: Sequence[failures.Failure], codes: Mapping[int, int]) -> int:
    """Say why ranks failed, once, and return the exit code.

    Only the earliest failure is a cause: when a rank leaves, the others fail at the next thing that they do together.

    Args:
        said: what ranks left behind, the earliest first.
        codes: exit code by rank, of those that failed; negative is a signal.
    """
    if said and said[0].is_mistake:
        raise UserError("\n".join(dict.fromkeys(each.text for each in said if each.is_mistake)))
    # SIGTERM is how the launcher ends the others
    killed = {rank: signal.Signals(-code) for rank, code in codes.items() if code < 0 and -code != signal.SIGTERM}
    for rank, number in killed.items():
        print(f"rank {rank} was killed by {number.name}", file=sys.stderr)
    if said:
        print(f"rank {said[0].rank} failed:\n{said[0].text}", end="", file=sys.stderr)
        return 1
    chosen = [code for code in codes.values() if code > 0]
    ended = [128 + number for number in killed.values()] or [128 + signal.SIGTERM]
    return (chosen or ended)[0]
