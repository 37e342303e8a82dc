"""Several processes: the paper's launcher as a program, and what a launcher changes for its scripts.

The paper's README starts processes with `torch.distributed.launch`, as if that were a program; `main` is that program. Under
any launcher each rank finds its place in RANK, LOCAL_RANK and WORLD_SIZE, and `longtail.training.launch.relaunch` starts none.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from longtail.errors import UserError
from longtail.training.launch import is_launched
from longtail_cadel.config import Config

_PORT = 29500
"""Where torch's launcher has its processes meet, unless it is told otherwise."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what `python -m torch.distributed.launch` does, and return the exit code.

    On one machine a free port is taken where none is given, so that several commands can run at once.

    Args:
        argv: the arguments; those of the process by default.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    parser = get_args_parser()
    parser.prog = "torch.distributed.launch"
    parser.add_argument(
        "--use-env",
        "--use_env",
        action="store_true",
        help="tell the script its local rank in LOCAL_RANK alone, without --local-rank",
    )
    if parser.get_default("master_port") == _PORT:
        parser.set_defaults(master_port=None)
    args = parser.parse_args(argv)
    if args.master_port is None:
        args.standalone |= args.nnodes in ("1", "1:1") and args.rdzv_backend == "static" and not args.rdzv_endpoint
        args.master_port = _PORT
    if args.standalone:
        # a machine's full name, the default, is not resolved everywhere
        args.local_addr = args.local_addr or "localhost"
    start: Any = run  # it has no types
    silenced = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # torch's own words about a failure say less than the rank itself
    try:
        start(args)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            print(f"rank {rank} was killed by {signal.Signals(-failure.exitcode).name}", file=sys.stderr)
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as stop:
        return 128 + int(stop.sigval)
    finally:
        logging.disable(silenced)
    return 0


def has_launcher() -> bool:
    """Whether `torchrun` or its like has started this process, and not a command of ours with several GPUs."""
    return "RANK" in os.environ and not is_launched()


def speaks_late() -> bool:
    """Whether a launcher's first rank may be about to say the same mistake, after which the launcher ends this rank."""
    return has_launcher() and os.environ["RANK"] != "0"


def adopt_local_rank(local_rank: int) -> None:
    """Put a rank's number on its machine into LOCAL_RANK, for a launcher that tells it by `--local_rank` alone."""
    if "RANK" in os.environ and local_rank >= 0:
        os.environ.setdefault("LOCAL_RANK", str(local_rank))


def global_batch(config: Config, launched_by_torchrun: bool, world_size: int) -> int:
    """Images in one step of all processes together.

    Args:
        config: its `batch_size` is that of each process under a launcher, whose users divide it themselves, and otherwise that
            of all GPUs together, as `DataParallel` splits it.
        launched_by_torchrun: see `has_launcher`.
        world_size: number of processes.

    Raises:
        UserError: a batch cannot be split evenly.
    """
    batch = config.training_opt.batch_size
    if launched_by_torchrun:
        return batch * world_size
    if batch % world_size:
        raise UserError(
            f"{config.name}: a batch of {batch} images cannot be split evenly over {world_size} processes; choose a "
            f"--batch_size that is a multiple of {world_size}"
        )
    return batch
