"""Processes that read pictures: started when they are first needed, kept for the following epochs, gone with their owner."""

from __future__ import annotations

import os
import signal
import warnings
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Event
from multiprocessing.util import Finalize
from typing import Any, NamedTuple

import torch
from torch import Tensor, multiprocessing
from torch.utils.data import DataLoader

from longtail.errors import UserError
from longtail.loading.reading import BadImage, NoSharedMemory, Reading, Task

Result = Tensor | BadImage

_TOO_LITTLE = "fewer --workers need less memory; a container may need more shared memory (docker run --shm-size)"


class _Tasks:
    """What a DataLoader takes for its sampler: the tasks of whatever is read next."""

    def __init__(self) -> None:
        self.current: Iterator[Task] = iter(())

    def __iter__(self) -> Iterator[Task]:
        return self.current


class _Pool(NamedTuple):
    """Some processes; `held` keeps them from ending before their owner."""

    loader: DataLoader[Any]
    tasks: _Tasks
    held: weakref.finalize[..., Processes]


class Processes:
    """Carries out tasks in other processes, in order.

    Args:
        reading: what carries out one task.
        count: processes; with 0 the tasks are carried out in this one.
        ahead: tasks of each process that are begun before anybody asks for their results.
    """

    def __init__(self, reading: Reading, count: int, ahead: int) -> None:
        self._reading = reading
        self._count = count
        self._ahead = ahead
        self._idle: _Pool | None = None

    def results(self, tasks: Generator[Task, None, None]) -> Generator[Result, None, None]:
        """The results of the tasks, in their order.

        Several of these may be under way at once; each has processes of its own.

        Raises:
            UserError: a process was killed, or there is too little shared memory.
        """
        if not self._count:
            yield from map(_handed_over, map(self._reading.__getitem__, tasks))
            return
        pool, self._idle = self._idle or self._new(), None
        pool.tasks.current = tasks
        reusable = False
        try:
            yield from map(_handed_over, _started(pool.loader))
            reusable = True
        except GeneratorExit:
            reusable = True
            raise
        except (RuntimeError, EOFError, OSError) as error:
            if not _tells_of_a_death(error):
                raise
            reason = str(error) or type(error).__name__
            raise UserError(
                f"a process that reads images was killed, perhaps for want of memory: {reason}\n{_TOO_LITTLE}"
            ) from error
        finally:
            tasks.close()
            left = self._idle if reusable else pool
            if reusable:
                self._idle = pool
            if left is not None:
                left.held.detach()

    def _new(self) -> _Pool:
        tasks = _Tasks()
        leaving = multiprocessing.get_context().Event()
        with _undisturbed():
            loader: DataLoader[Any] = DataLoader(
                self._reading,  # type: ignore[arg-type]
                batch_size=None,
                sampler=tasks,
                num_workers=self._count,
                collate_fn=_as_it_is,
                prefetch_factor=self._ahead,
                persistent_workers=True,
                worker_init_fn=partial(_leave_signals_to_the_main_process, leaving),
                # of its own, because the global one is part of what makes a run repeatable
                generator=torch.Generator(),
            )
        # at exit this comes before `multiprocessing` ends what is left with a signal and waits for it
        Finalize(loader, leaving.set, exitpriority=0)
        # Holds the loader, so that it is never part of what the garbage collector takes apart: that would close the queues
        # first, and nobody could tell the processes to end; each would be waited for in vain for five seconds.
        return _Pool(loader, tasks, weakref.finalize(self, _as_it_is, loader))


def _as_it_is(result: Any) -> Any:
    return result


def _tells_of_a_death(error: Exception) -> bool:
    """Whether torch noticed that a process is gone, or what one had announced can no longer be fetched from it."""
    if isinstance(error, RuntimeError):
        return str(error).startswith("DataLoader worker")
    # what a process raised comes from there with these words before it
    return isinstance(error, EOFError | ConnectionError | FileNotFoundError) and not str(error).startswith("Caught ")


def _handed_over(result: Tensor | BadImage | NoSharedMemory) -> Result:
    if isinstance(result, NoSharedMemory):
        raise UserError(
            f"there is too little shared memory for images to pass between processes: {result.reason}\n{_TOO_LITTLE}"
        )
    return result


def _started(loader: DataLoader[Any]) -> Iterator[Any]:
    with _undisturbed():
        return iter(loader)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """While this lasts, a DataLoader neither gives advice nor changes how this process answers to signals.

    More processes than cores are the user's choice. And torch's handler raises wherever this process happens to be when
    another one dies, in the midst of a training step for example; whoever waits for the other one notices in any case.
    """
    before = signal.getsignal(signal.SIGCHLD)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
            yield
    finally:
        if before is not None and signal.getsignal(signal.SIGCHLD) is not before:
            signal.signal(signal.SIGCHLD, before)


def _leave_signals_to_the_main_process(leaving: Event, _number: int) -> None:
    """For the other processes: go on when a signal asks to stop, unless the main process is leaving.

    A terminal or a cluster's scheduler sends its signal to all processes alike, and the main one may want to complete a batch
    before it stops.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if leaving.is_set() else None)
