"""Training several contenders, a few seeds each: one run after the other or side by side, none of them twice."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial

from longtail.cli.comparison import Outcome
from longtail.cli.processes import side_by_side
from longtail.cli.series_progress import Follower, SeriesProgress
from longtail.cli.tasks import Ended, Progress, Reached, RunFailed, Task, carry_out, finished_before, run_folder
from longtail.datasets.base import LongTailData
from longtail.errors import UserError

__all__ = ["Task", "run_folder", "train_all"]


def train_all(
    tasks: Sequence[Task],
    data: LongTailData,
    say: Callable[[str], None],
    *,
    jobs: int = 1,
    keep_going: bool = True,
) -> list[Outcome]:
    """Carry out the tasks, with a line about each, and sort what they reached by contender.

    Args:
        tasks: what to run; what had been finished before is read, what had been begun is continued. The `progress` of the first
            says what is told of all.
        data: what all of them train on.
        say: takes the lines.
        jobs: runs at a time; more than one are processes of their own.
        keep_going: a task that fails is noted, and the others go on; otherwise its error is raised.

    Raises:
        KeyboardInterrupt: Ctrl-C; the runs under way have saved their state.
    """
    outcomes = {task.label: Outcome(task.label) for task in tasks}

    def note(task: Task, reached: Reached) -> str:
        outcomes[task.label].add(task.job.seed, reached.result, task.folder, reached.train_seconds)
        return f"{100 * reached.result['accuracy']:.1f} %"

    with SeriesProgress(tasks, say, jobs=jobs, kind=tasks[0].job.runtime.progress) as progress:
        waiting = []
        for task in tasks:
            known = finished_before(task, data)
            if known is None:
                waiting.append(task)
            else:
                progress.finished_before(task, f"{note(task, known)} (finished before)", known.train_seconds)
        ending = _one_by_one(waiting, data, progress.moved) if jobs == 1 else side_by_side(waiting, jobs, progress.moved)
        with closing(ending):
            for ended in ending:
                if ended.reached is not None:
                    seconds = ended.reached.wall_seconds or 0.0
                    progress.ended(ended.task, f"{note(ended.task, ended.reached)} ({seconds:.0f} s)", seconds)
                    continue
                assert ended.error is not None
                if not keep_going:
                    raise ended.error
                outcomes[ended.task.label].failures[ended.task.job.seed] = _told(ended.error)
                progress.ended(ended.task, f"failed: {_told(ended.error)}", None)
    return [outcome.in_order() for outcome in outcomes.values()]


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, (UserError, RunFailed)) else f"{type(error).__name__}: {error}"


def _one_by_one(
    tasks: Sequence[Task], data: LongTailData, moved: Callable[[Task, Progress], None]
) -> Generator[Ended, None, None]:
    for task in tasks:
        try:
            ended = Ended(task, carry_out(task, data, [Follower(partial(moved, task))]))
        except Exception as error:  # whatever one method raises, the others' results are not to be lost for it
            if not isinstance(error, UserError):
                traceback.print_exc()
            ended = Ended(task, error=error)
        yield ended
