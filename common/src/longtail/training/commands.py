"""How every command starts and ends: exit code 2 and a line or two for a user's mistake, 130 after Ctrl-C."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from longtail.errors import UserError
from longtail.training import failures
from longtail.training.runtime import command_line


def run_command(
    main: Callable[[list[str]], int | None],
    argv: Sequence[str] | None = None,
    *,
    takes_added: Callable[[list[str]], bool] | None = None,
) -> None:
    """Call `main` with the command line, `LONGTAIL_ADDOPTS` included, and leave the process with its exit code.

    A rank of a command that started several says nothing of its failure itself: it leaves that for the command.

    Args:
        main: takes the arguments without the program's name; None counts as 0.
        argv: the arguments; those of the process by default.
        takes_added: whether this command line takes the options of `LONGTAIL_ADDOPTS`; by default it does.
    """
    if os.environ.get("RANK", "0") != "0":
        logging.getLogger("longtail").setLevel(logging.ERROR)  # what is worth noticing about the data, rank 0 says
    try:
        words = list(sys.argv[1:] if argv is None else argv)
        code = main(command_line(words) if takes_added is None or takes_added(words) else words) or 0
    except UserError as error:
        sys.stdout.flush()
        if not failures.leave(error):
            print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = _nobody_reads()
    except Exception as error:
        if not failures.leave(error):
            raise
        code = 1
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _nobody_reads()
    sys.exit(code)


def _nobody_reads() -> int:
    """Let what is still to be written go nowhere, and return the exit code of a program whose reader has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1
