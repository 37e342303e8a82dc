"""A paper's script in a process of its own, as `python SCRIPT` runs it; packages have what it calls, but not its file."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from longtail.training.published import offered


def run_script(name: str, number: int, words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a script in the working folder, and return its exit code.

    Ctrl-C is its business while it runs.

    Args:
        name: of a published result, `METHOD/NAME`.
        number: of one of its commands.
        words: the script's arguments.
        environment: what it is told besides what this process has in its own.
    """
    with _leaving_signals_to() as processes:
        # not in a session of its own: Ctrl-C and Ctrl-Z reach it as they reach a script
        process = subprocess.Popen(
            [sys.executable, "-m", "longtail.cli.published_script", name, str(number), *words],
            stdout=_standard_output(),
            env={**os.environ, **environment},
        )
        processes.append(process)
        code = process.wait()
    if code >= 0:
        return code
    print(f"{name}: the script was killed by {signal.Signals(-code).name}", file=sys.stderr)
    return 128 - code


def _standard_output() -> int | None:
    """Where this process prints, also if that was redirected; None where no other process can print."""
    sys.stdout.flush()
    try:
        return sys.stdout.fileno()
    except io.UnsupportedOperation:
        return None


@contextmanager
def _leaving_signals_to() -> Iterator[list[subprocess.Popen[bytes]]]:
    """While this lasts, Ctrl-C ends nothing here, since it reaches the processes in the list too, and SIGTERM is passed on."""
    processes: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a signal handler
        for each in processes:
            each.send_signal(number)

    # a handler that does nothing, and not SIG_IGN, which the process would inherit
    handlers = {signal.SIGINT: lambda *_: None, signal.SIGTERM: pass_on}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield processes
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> None:
    """Run as a program, with the arguments of `run_script`."""
    name, number, *words = sys.argv[1:]
    command = offered()[0][name].commands[int(number)]
    sys.argv = [command.script, *words]
    command.console()


if __name__ == "__main__":
    main()
