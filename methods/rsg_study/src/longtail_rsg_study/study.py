"""`study.py`: the training script for every combination of a grid and every seed, then a table of what they reached."""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.files import read_json, write_atomically, write_json
from longtail.training.options import at_least
from longtail.training.run_folder import RUN_JSON
from longtail.training.runtime import ADDOPTS
from longtail_rsg_study import training
from longtail_rsg_study.attended import attend
from longtail_rsg_study.combinations import GRID, Combination
from longtail_rsg_study.flags import ARCH, DATA_DIR, SUFFIXES, create_train_parser, dataset_name, run_name

SCRIPT = "imagenet_lt_train.py"

_SAID_BY_COMBINATIONS = (*SUFFIXES, "ldam_weight_type")
_UNSET = object()


def console() -> None:
    """Run as a script."""
    run_command(main)


def main(argv: list[str]) -> int:
    """Run the study that the command line describes; the exit code."""
    request = Request.parse(argv)
    runs = plan(request)
    if request.dry_run:
        print("\n".join(run.in_words() for run in runs))
        return 0
    return carry_out(runs, request.name)


@dataclass(frozen=True)
class Request:
    """A command line.

    Args:
        combinations: what to compare.
        seeds: of each of them.
        dry_run: whether to print the commands and do nothing else.
        given: what the command line says of the training script's flags, by name.
        name: what the study is called: as its runs, but for what differs between them.
    """

    combinations: Sequence[Combination]
    seeds: Sequence[int]
    dry_run: bool
    given: Mapping[str, Any]
    name: str

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Request:
        """The request of a command line.

        Raises:
            UserError: a flag says what combinations say, or a combination is none.
        """
        parser = create_parser()
        unset = {action.dest: _UNSET for action in parser._actions if action.option_strings}
        found = vars(parser.parse_intermixed_args(argv, argparse.Namespace(**unset)))
        given = {name: value for name, value in found.items() if value is not _UNSET}
        combinations = [Combination.parse(text) for text in given.pop("combinations") or GRID]
        contradicted = [name for name in _SAID_BY_COMBINATIONS if name in given]
        if contradicted:
            raise UserError(f"--{contradicted[0]} is what combinations say, such as {GRID[3]}; see study.py --help")
        if given.pop("resume_auto", True) is False:
            raise UserError("a study always goes on where it stopped; for a new one, give another --root_log or --run_suffix")
        first, number = given.pop("seed", 0), given.pop("seeds", 1)
        dry_run = given.pop("dry_run", False)
        parts = ["study", dataset_name(given.get("data_dir", DATA_DIR)), given.get("arch", ARCH), given.get("run_suffix")]
        name = "_".join(filter(None, parts))
        return cls(list(dict.fromkeys(combinations)), range(first, first + number), dry_run, given, name)


def create_parser() -> argparse.ArgumentParser:
    """The parser of `study.py`: that of the training script, and what a study has besides."""
    parser = create_train_parser()
    parser.usage = "%(prog)s [COMBINATION ...] [--seeds N] [--dry-run] [flags of the training script]"
    parser.description = (
        "Train every combination with every seed, one run after the other, and compare them in a table. Given again, the "
        "command goes on where it was interrupted."
    )
    for action in parser._actions:
        if action.dest in (*_SAID_BY_COMBINATIONS, "resume_auto"):
            action.help = argparse.SUPPRESS
    group = parser.add_argument_group("the study as a whole")
    group.add_argument(
        "combinations",
        nargs="*",
        metavar="COMBINATION",
        help=f"words with + between them: {', '.join(SUFFIXES.values())}; what is not named is off. LDAM's weights go with it, "
        f"ldam:icf (which ldam alone means), ldam:cbl or ldam:none (default: {', '.join(GRID)})",
    )
    group.add_argument("--seeds", type=at_least(1), metavar="N", help="seeds of each, from --seed on (default: 1)")
    group.add_argument("--dry-run", action="store_true", help="print the commands, and run nothing")
    return parser


@dataclass(frozen=True)
class PlannedRun:
    """One run of the training script.

    Args:
        combination: what it trains.
        seed: its training seed.
        words: its command line after the script.
        arguments: what the script makes of them.
    """

    combination: Combination
    seed: int
    words: Sequence[str]
    arguments: argparse.Namespace

    @property
    def folder(self) -> Path:
        """Where its logs go."""
        return Path(self.arguments.root_log) / run_name(self.arguments)

    def in_words(self) -> str:
        """The command as a person gives it."""
        return shlex.join(["python", SCRIPT, *self.words])

    def __str__(self) -> str:
        return f"{self.combination}, seed {self.seed}"


def plan(request: Request) -> list[PlannedRun]:
    """The runs in their order: all combinations with the first seed, then all with the next.

    Raises:
        UserError: nothing sensible can be done with some combination, or with the flags.
    """
    runs = [_planned(each, seed, request.given) for seed in request.seeds for each in request.combinations]
    training.check(runs[0].arguments)
    for run in runs:
        training.settle(run.arguments)
        try:
            training.method_options(run.arguments)
        except UserError as error:
            raise UserError(f"combination {str(run.combination)!r}: {error}") from error
    return runs


def _planned(combination: Combination, seed: int, given: Mapping[str, Any]) -> PlannedRun:
    suffix = "_".join(filter(None, [given.get("run_suffix"), combination.untold, f"seed{seed}"]))
    flags = {**given, **combination.flags, "seed": seed, "run_suffix": suffix, "resume_auto": True}
    parser = create_train_parser()
    words = as_words(parser, flags)
    return PlannedRun(combination, seed, words, parser.parse_args(words))


def as_words(parser: argparse.ArgumentParser, flags: Mapping[str, Any]) -> list[str]:
    """The command line that gives these flags their values; the inverse of parsing."""
    actions: dict[str, argparse.Action] = {}
    for action in parser._actions:
        actions.setdefault(action.dest, action)
    return [word for name, value in flags.items() for word in _flag(actions[name], value)]


def _flag(action: argparse.Action, value: Any) -> list[str]:
    spellings = [each for each in action.option_strings if each.startswith("--")]
    if isinstance(action, argparse.BooleanOptionalAction):
        return [next(each for each in spellings if each.startswith("--no-") is not value)]
    # an argument that begins with a hyphen would be taken for another flag
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return [f"{spellings[0]}={text}"] if text.startswith("-") else [spellings[0], text]


def carry_out(runs: Sequence[PlannedRun], name: str) -> int:
    """Do whatever is not done yet, then print the table; the exit code.

    Args:
        runs: in this order.
        name: of the files that the table goes into, beside the runs' logs.

    Raises:
        UserError: in the place of a run is another one.
    """
    from longtail_rsg_study.outcomes import Outcome, Reached, Row

    script, settings = script_beside(sys.argv[0]), runs[0].arguments
    text, numbers = (Path(settings.root_log) / f"{name}.{ending}" for ending in ("md", "json"))
    records = [record_of(run) for run in runs]
    rows = {run.combination: Row(str(run.combination)) for run in runs}
    seconds: list[float] = []
    for number, (run, record) in enumerate(zip(runs, records, strict=True), 1):
        print(f"[{number}/{len(runs)}] {run}{'' if record is None else ': finished before'}", flush=True)
        if record is None:
            started = time.monotonic()
            code = _train(script, run)
            if code:
                return code
            seconds.append(time.monotonic() - started)
        reached = Reached.read(run.folder, run.seed, record or _new_record(run))
        print(f"    {reached}; {_time_left(seconds, records[number:])}", flush=True)
        rows[run.combination].runs.append(reached)
        outcome = Outcome(settings, [row for row in rows.values() if row.runs], len(runs))
        write_atomically(text, f"{outcome}\n".encode())
        write_json(numbers, outcome.to_dict())
    print(f"\n{outcome}\n\nalso in {text} and {numbers}")
    return 0


def script_beside(program: str) -> Path:
    """The training script that lies beside this one.

    Raises:
        UserError: there is none.
    """
    script = Path(program).with_name(SCRIPT)
    if not script.is_file():
        raise UserError(f"a study runs {SCRIPT}, and there is none beside {program}")
    return script


def record_of(run: PlannedRun) -> dict[str, Any] | None:
    """The `run.json` of a run; None if it is not there or not at its end.

    Raises:
        UserError: in its place is a run with other options, or a longer one.
    """
    path = run.folder / RUN_JSON
    if not path.is_file():
        return None
    record: dict[str, Any] = read_json(path)
    earlier, asked = record["identity"], vars(run.arguments)
    # of what identifies a run, the data alone are not on the command line
    mine = training.open_run(run.arguments, {name: asked.get(name, value) for name, value in earlier.items()})
    remedy = "--run_suffix TEXT gives a study names of its own"
    try:
        mine.can_continue()
    except UserError as error:
        raise UserError(f"{error}; {remedy}") from error
    if not record["finished"] or mine.identity != earlier:
        return None
    epochs, planned = _epochs(record), run.arguments.epochs
    planned = min(planned, run.arguments.max_epochs or planned)
    if epochs > planned:
        raise UserError(f"{run.folder} holds a run of {epochs} epochs, more than the {planned} asked for; {remedy}")
    return record if epochs == planned else None


def _epochs(record: Mapping[str, Any]) -> int:
    last = record["results"]["last"]
    return last["epoch"] + 1 if last else 0


def _train(script: Path, run: PlannedRun) -> int:
    """Run the training script; its exit code."""
    # what was appended to the study's command line is in that of the run
    environment = {name: value for name, value in os.environ.items() if name != ADDOPTS}
    try:
        code = attend([sys.executable, str(script), *run.words], environment)
    except KeyboardInterrupt:
        print("give the same command again to go on from here", file=sys.stderr)
        raise
    if code:
        print(f"{run}: failed as told above; given again, the same command goes on from here", file=sys.stderr)
    return code if code >= 0 else 128 - code


def _new_record(run: PlannedRun) -> dict[str, Any]:
    record = record_of(run)
    if record is None:
        raise UserError(f"{run}: ended without results; what it was is told in {run.folder / RUN_JSON}")
    return record


def _time_left(seconds: Sequence[float], others: Sequence[object]) -> str:
    """How many runs are to come, and a guess from those so far how long they take."""
    left = sum(each is None for each in others)
    runs = f"{left or 'no'} {'run' if left == 1 else 'runs'} left"
    return f"{runs}, about {in_words(statistics.fmean(seconds) * left)}" if seconds and left else runs


def in_words(seconds: float) -> str:
    """A duration as a person says it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
