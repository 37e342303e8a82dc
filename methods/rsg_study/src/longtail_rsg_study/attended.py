"""Running another command and stopping it well."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def attend(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end; whoever asks this process to stop, asks the command.

    The command is in a session of its own: a terminal would send Ctrl-C to both, and what reaches it a second time makes a
    training run leave without saving.

    Args:
        command: its words. What it writes to standard output is dropped.
        environment: its variables.

    Returns:
        Its exit code, negative for a signal.

    Raises:
        KeyboardInterrupt: somebody asked, and the command has ended.
    """
    running: list[subprocess.Popen[bytes]] = []
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a signal handler
        asked.append(number)
        for process in running:
            process.send_signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    # what is ignored, as with nohup, stays so
    heard = [number for number in _STOPS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, ask) for number in heard}
    try:
        running.append(
            subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
            )
        )
        code = running[0].wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt
    return code
