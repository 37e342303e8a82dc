"""Stopping a run so that it can be continued."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from longtail.distributed import any_rank, is_active

AGREE_EVERY = 10
"""Batches after which ranks ask each other: all must stop at the same one, and to ask costs a fraction of a millisecond."""


class StopRequest:
    """Whether somebody asked the run to stop."""

    requested = False

    def at(self, step: int) -> bool:
        """Whether to stop now that `step` batches of the epoch are done; the answer is the same on all ranks.

        Every rank must ask at the same steps.
        """
        if not is_active():
            return self.requested
        return step % AGREE_EVERY == 0 and any_rank(self.requested)


@contextmanager
def stop_at_batch_boundary() -> Iterator[StopRequest]:
    """While this lasts, SIGINT and SIGTERM ask the loop to save and leave at the next batch; a second one leaves at once."""
    stopping = StopRequest()
    previous: dict[int, Any] = {}

    def request(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a signal handler
        stopping.requested = True
        for each, handler in previous.items():
            signal.signal(each, handler)

    # only the main thread may set handlers
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, request)
    try:
        yield stopping
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
