"""Stopping a run so that it can be continued."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from longtail.distributed import is_active


class StopRequest:
    """Whether somebody asked the run to stop."""

    requested = False


@contextmanager
def stop_at_batch_boundary() -> Iterator[StopRequest]:
    """While this lasts, SIGINT and SIGTERM ask the loop to save and leave at the next batch; a second one leaves at once."""
    stopping = StopRequest()
    previous: dict[int, Any] = {}

    def request(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a signal handler
        stopping.requested = True
        for each, handler in previous.items():
            signal.signal(each, handler)

    # ranks must not stop at different batches, and only the main thread may set handlers
    if not is_active() and threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, request)
    try:
        yield stopping
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
