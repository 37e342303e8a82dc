"""The lines that the paper's scripts print, and the log files that they write."""

from __future__ import annotations

import time
from typing import Any

from longtail.metrics import Summary
from longtail.training.files import write_atomically
from longtail.training.meter_lines import best_line, class_line, evaluation_line, result_line, train_line
from longtail.training.recipe import Clock
from longtail.training.reports import BatchReport, EpochReport, Listener
from longtail.training.run_folder import Run

TRAIN_LOG = "log_train.csv"
TEST_LOG = "log_test.csv"


def elapsed(seconds: float) -> str:
    """Hours:minutes:seconds with two decimals, as in 1:01:01.50."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}"


def groups_line(result: Summary) -> str:
    """The mean accuracy of many-, medium- and few-shot classes in percent; a group without classes is absent."""
    shown = ("absent" if share is None else str(round(100 * share, 6)) for share in (result.many, result.medium, result.few))
    return "many avg, med avg, few avg " + " ".join(shown)


class PaperLog(Listener):
    """Prints the paper's lines and writes its two log files.

    Args:
        run: where the files go.
        arguments: the parsed command line, for `args.txt`.
        show_groups: whether the shot groups are printed after each evaluation.
    """

    def __init__(self, run: Run, *, arguments: str, show_groups: bool) -> None:
        self._run = run
        self._arguments = arguments
        self._show_groups = show_groups
        self._started = time.perf_counter()

    def run_started(self, epoch: int, epochs: int) -> None:
        """Write `args.txt`."""
        write_atomically(self._run.log_dir / "args.txt", self._arguments.encode())
        print("Training started!", flush=True)

    def train_batch(self, report: BatchReport, clock: Clock, learning_rate: float) -> None:
        """Print the batch's line and log it."""
        line = train_line(report, clock, learning_rate)
        print(line, flush=True)
        self._run.log(TRAIN_LOG).append(line + "\n")

    def evaluation_batch(self, report: BatchReport) -> None:
        """Print the batch's line."""
        print(evaluation_line(report), flush=True)

    def evaluated(self, report: EpochReport) -> None:
        """Print the results and log them."""
        if report.result is None:
            return
        best = best_line(report.best)
        print(result_line(report.result))
        if self._show_groups:
            print(groups_line(report.result))
        print(best + "\n", flush=True)
        self._run.log(TEST_LOG).append("\n".join([result_line(report.result), class_line(report.result), best, ""]))

    def run_finished(self, results: dict[str, Any]) -> None:
        """Print how long it took and log it."""
        line = f"It took {elapsed(time.perf_counter() - self._started)} to execute the program"
        print(line, flush=True)
        self._run.log(TEST_LOG).append(line + "\n")
