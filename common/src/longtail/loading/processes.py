"""Processes that read pictures: started when they are first needed, kept for the following epochs, gone with their owner."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Generator, Iterator
from functools import partial
from multiprocessing.synchronize import Event
from multiprocessing.util import Finalize
from typing import Any

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
        self._idle: tuple[DataLoader[Any], _Tasks] | None = None

    def results(self, tasks: Generator[Task, None, None]) -> Generator[Result, None, None]:
        """The results of the tasks, in their order.

        Several of these may be under way at once; each has processes of its own.

        Raises:
            UserError: a process was killed, or there is too little shared memory.
        """
        if not self._count:
            yield from map(_handed_over, map(self._reading.__getitem__, tasks))
            return
        loader, sampler = self._idle or self._new()
        self._idle = None
        sampler.current = tasks
        try:
            yield from map(_handed_over, _started(loader))
        except GeneratorExit:
            self._keep(loader, sampler)
            raise
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise UserError(
                f"a process that reads images was killed, perhaps for want of memory: {error}\n{_TOO_LITTLE}"
            ) from error
        else:
            self._keep(loader, sampler)
        finally:
            tasks.close()

    def _new(self) -> tuple[DataLoader[Any], _Tasks]:
        sampler = _Tasks()
        leaving = multiprocessing.get_context().Event()
        loader: DataLoader[Any] = DataLoader(
            self._reading,  # type: ignore[arg-type]
            batch_size=None,
            sampler=sampler,
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
        return loader, sampler

    def _keep(self, loader: DataLoader[Any], sampler: _Tasks) -> None:
        self._idle = loader, sampler


def _as_it_is(result: Any) -> Any:
    return result


def _handed_over(result: Tensor | BadImage | NoSharedMemory) -> Result:
    if isinstance(result, NoSharedMemory):
        raise UserError(
            f"there is too little shared memory for images to pass between processes: {result.reason}\n{_TOO_LITTLE}"
        )
    return result


def _started(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's iterator, with the rest of this process as it was."""
    before = signal.getsignal(signal.SIGCHLD)
    with warnings.catch_warnings():
        # more processes than cores are the user's choice
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        iterator = iter(loader)
    # torch's handler raises wherever this process happens to be when another one dies, in the midst of a training step for
    # example; the iterator also notices when it waits for that process
    if before is not None and signal.getsignal(signal.SIGCHLD) is not before:
        signal.signal(signal.SIGCHLD, before)
    return iterator


def _leave_signals_to_the_main_process(leaving: Event, _number: int) -> None:
    """For the other processes: go on when a signal asks to stop, unless the main process is leaving.

    A terminal or a cluster's scheduler sends its signal to all processes alike, and the main one may want to complete a batch
    before it stops.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if leaving.is_set() else None)
