"""Runs of a series in processes of their own, and what is told of how far they have come."""

import io
import json
import signal
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from longtail.cli import one_run, processes, series_progress, tasks
from longtail.cli.jobs import Job, Source
from longtail.cli.series_progress import Estimate, SeriesProgress, in_words
from longtail.cli.tasks import Ended, Progress, Reached, RunFailed, Task
from longtail.errors import UserError
from longtail.metrics import ShotThresholds
from longtail.training.method import load_method
from longtail.training.registry import installed_methods
from longtail.training.runtime import RuntimeOptions

LOG = Path("a.log")


def task(label="erm", seed=0, *, method="erm", epochs=10, **changes):
    made = load_method(method)
    runtime = RuntimeOptions(select="last", max_epochs=epochs)
    job = Job(made, made.options(), Source(), "resnet20", seed, runtime, ShotThresholds())
    return Task(label, replace(job, **changes), Path(f"c/{label}-seed{seed}"), "data")


@pytest.mark.parametrize("method", installed_methods())
def test_a_task_is_the_same_after_its_journey(method):
    sent = task(
        method=method,
        source=Source("/photos/n\udcff", split_seed=None, image_size=32),
        thresholds=ShotThresholds(many=9, few=3),
        adapt=True,
        pretrained="w.pth",
    )
    assert one_run.unpack(one_run.pack(sent)) == sent


def test_options_with_several_values_are_tuples_again():
    assert one_run._tuple(json.loads(json.dumps((1, (2, 3))))) == (1, (2, 3))


@pytest.mark.parametrize(
    ("error", "is_mistake", "text"),
    [(UserError("mend it"), True, "mend it"), (KeyError("x"), False, "KeyError: 'x' (see a.log)")],
)
def test_a_process_of_its_own_answers_for_mistakes_and_bugs(error, is_mistake, text, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(tasks, "carry_out", fail)
    said = one_run.answer(one_run.pack(task()), lambda _: None)
    assert said["is_mistake"] is is_mistake
    found = one_run.understand(json.dumps(said).encode(), LOG)
    assert isinstance(found, UserError if is_mistake else RunFailed)
    assert str(found) == text


def test_progress_and_results_are_understood():
    assert one_run.understand(json.dumps(asdict(Progress(2.5, 10))).encode(), LOG) == Progress(2.5, 10)
    reached = Reached({"accuracy": 0.5}, 3.0, 4.0)
    said = json.dumps({"error": None, "reached": asdict(reached)}).encode()
    assert one_run.understand(said, LOG) == reached


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-signal.SIGKILL, "its process was killed by SIGKILL, as happens where memory runs out; see a.log"),
        (-signal.SIGSEGV, "its process was killed by SIGSEGV; see a.log"),
        (1, "its process ended with code 1 and no word; see a.log"),
    ],
)
def test_a_process_without_a_last_word(code, text):
    assert str(processes._ended(task(), None, code, LOG).error) == text


def test_a_half_line_of_a_killed_process_is_no_word():
    class Process:
        stdin = io.BytesIO()
        stdout = io.BytesIO(b'{"done": 1.0, "epochs": 2}\n{"error": nu')

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    heard = []
    assert processes._converse(Process(), task(), LOG, lambda _, progress: heard.append(progress)) is None
    assert heard == [Progress(1.0, 2)]


def test_a_process_that_nobody_listens_to_ends(monkeypatch):
    class Deaf(io.StringIO):
        def flush(self):
            raise BrokenPipeError

        def fileno(self):
            return 99

    replaced = []
    monkeypatch.setattr("os.dup2", lambda _, descriptor: replaced.append(descriptor))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    monkeypatch.setattr("sys.stdout", Deaf())
    monkeypatch.setattr(one_run, "answer", lambda _, moved: moved(Progress(1.0, 2)))
    assert one_run.main() == 130
    assert replaced == [99]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_the_time_left_goes_by_the_runs_so_far():
    series = [task(label, seed) for label, seed in (("slow", 0), ("quick", 0), ("slow", 1), ("quick", 1), ("new", 0))]
    estimate = Estimate(series, jobs=1, clock=Clock())
    assert estimate.seconds() is None
    estimate.ended(series[0], 40.0)
    estimate.ended(series[1], 20.0)
    assert estimate.seconds() == pytest.approx(40 + 20 + 30)
    estimate.ended(series[2], None)
    assert estimate.seconds() == pytest.approx(20 + 30)


def test_longer_runs_take_longer():
    series = [task("a", epochs=10), task("b", epochs=30)]
    estimate = Estimate(series, jobs=1, clock=Clock())
    estimate.ended(series[0], 20.0)
    assert estimate.seconds() == pytest.approx(60)


def test_a_run_under_way_tells_of_the_others_and_a_resumed_one_only_of_what_it_did():
    clock = Clock()
    series = [task("a", 0), task("a", 1), task("a", 2)]
    estimate = Estimate(series, jobs=2, clock=clock)
    estimate.moved(series[0], Progress(5, 10))
    assert estimate.seconds() is None
    clock.now = 8.0
    estimate.moved(series[0], Progress(7, 10))
    assert estimate.seconds() == pytest.approx((0.3 * 40 + 80) / 2)
    estimate.ended(series[0], 20.0)
    assert estimate.seconds() == pytest.approx(40)
    estimate.ended(series[1], 40.0)
    assert estimate.seconds() == pytest.approx(40)


def told(kind, *, jobs=1):
    clock, lines = Clock(), []
    series = [task("a", 0), task("a", 1)]
    with SeriesProgress(series, lines.append, jobs=jobs, kind=kind, clock=clock) as progress:
        for clock.now, done in ((10.0, 0.0), (40.0, 0.5), (70.0, 1.0), (100.0, 1.5), (129.0, 2.0), (131.0, 3.0)):
            progress.moved(series[0], Progress(done, 10))
        clock.now = 610.0
        progress.ended(series[0], "50.0 % (600 s)", 600.0)
        progress.ended(series[1], "failed: no", None)
    return lines


def test_a_log_gets_a_line_a_minute():
    assert (
        told("plain")
        == told("auto")
        == [
            "[0/2] a, seed 0: epoch 2 of 10; about 19 min left",
            "[0/2] a, seed 0: epoch 4 of 10; about 11 min left",
            "[1/2] a, seed 0: 50.0 % (600 s), about 10 min left",
            "[2/2] a, seed 1: failed: no",
        ]
    )


def test_no_progress_leaves_the_runs_that_ended():
    assert [line[:5] for line in told("none")] == ["[1/2]", "[2/2]"]


def test_a_terminal_gets_a_live_line_that_goes_away(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(series_progress, "LINE_EVERY", 0.0)
    assert [line[:5] for line in told("auto")] == ["[1/2]", "[2/2]"]
    shown = capsys.readouterr().err
    assert "a, seed 0: epoch 4 of 10; about 11 min left" in shown


def test_what_was_finished_before_says_nothing_of_time():
    lines = []
    series = [task("a", 0), task("a", 1)]
    with SeriesProgress(series, lines.append, jobs=1, kind="none", clock=Clock()) as progress:
        progress.finished_before(series[0], "50.0 % (finished before)", 60.0)
        progress.ended(series[1], "60.0 % (2 s)", 2.0)
    assert lines == ["[1/2] a, seed 0: 50.0 % (finished before)", "[2/2] a, seed 1: 60.0 % (2 s)"]


def test_durations():
    assert [in_words(seconds) for seconds in (5, 600, 7260)] == ["5 s", "10 min", "2 h 1 min"]


def test_an_ended_task_says_how():
    assert processes._ended(task(), Reached({}, 1.0, 2.0), 0, LOG) == Ended(task(), Reached({}, 1.0, 2.0))
