"""`longtail compare`: several methods on the same data, a few seeds each, and what their differences are worth."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.cli.contenders import NOTATION, SHORT_NAMES, Contender, read_contenders
from longtail.cli.data_options import add_cut, add_data, add_reading, add_thresholds
from longtail.cli.output import console, print_json, told_of_groups
from longtail.cli.parsing import Parser
from longtail.errors import UserError
from longtail.training.options import add_options, at_least, between, read_options
from longtail.training.runtime import RuntimeOptions

if TYPE_CHECKING:
    from longtail.cli.comparison import Comparison
    from longtail.cli.jobs import Job, Source
    from longtail.cli.series import Task
    from longtail.datasets.base import LongTailData

_EXAMPLES = """\
examples:
  longtail compare --methods erm,bs,cmo --data photos --seeds 3
  longtail compare --methods erm,la,cmo:loss_type=LDAM,mixup_prob=0.7 --data photos --epochs 60 --backbone resnet18
  longtail compare --methods ce,focal,ldam-drw --data digits --backbone resnet20 --baseline ce --jobs 2"""
SHARED = ("epochs", "batch_size", "lr", "weight_decay")
"""The options that all methods have."""
_RUNTIME = tuple(each.name for each in fields(RuntimeOptions) if each.name != "resume_auto")
_JUDGED = {
    "test": "Judged after the epoch that was best on the test set, which flatters every method.",
    "val": "Judged after the epoch that was best on held-out training images.",
    "last": "Judged after the last epoch: nothing was chosen.",
}


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "compare",
        help="train several methods on a data set, and say which differences are real",
        description="Train several methods on the same data, each with the same seeds, and compare them in tables, with paired "
        "differences against a baseline. Runs that are finished are not run again: given again, the command goes on where it "
        "was interrupted.",
        epilog=_EXAMPLES,
    )
    group = parser.add_argument_group("what is compared", f"short names: {', '.join(SHORT_NAMES)}")
    group.add_argument(
        "--methods", nargs="+", required=True, metavar="NAME", help=f"with commas or blanks between them, each {NOTATION}"
    )
    group.add_argument(
        "--baseline", metavar="NAME", help="the one of them that the others are compared with (default: erm, or the first)"
    )
    group.add_argument(
        "--seeds", type=at_least(1), default=3, metavar="N", help="seeds 0 to N-1 of each method (default: %(default)s)"
    )
    group.add_argument("--out", metavar="DIR", help="folder for tables and runs (default: comparisons/ and the data's name)")
    group.add_argument("--jobs", type=at_least(1), default=1, metavar="N", help="runs at a time (default: %(default)s)")
    group.add_argument("--json", action="store_true", help="print the numbers as JSON; progress goes to standard error")
    group = parser.add_argument_group("data")
    add_data(group, "(default: %(default)s)", default="digits")
    add_cut(group)
    add_reading(group)
    add_thresholds(group)
    group = parser.add_argument_group("training, of every method that is not told otherwise")
    group.add_argument(
        "--backbone", metavar="NAME", help="network (default: resnet32, and resnet50 for images in files; see longtail train)"
    )
    group.add_argument(
        "--pretrained",
        metavar="FILE",
        help="weights that every network begins with; see longtail train METHOD --help (default: none)",
    )
    group.add_argument("--epochs", type=at_least(1), metavar="N", help="(default: each method's own)")
    group.add_argument("--batch-size", type=at_least(1), metavar="N", help="(default: each method's own)")
    group.add_argument("--lr", type=between(0, least_excluded=True), metavar="X", help="(default: each method's own)")
    group.add_argument("--weight-decay", type=between(0), metavar="X", help="(default: each method's own)")
    add_options(parser.add_argument_group("longtail options"), RuntimeOptions, only=_RUNTIME)
    # what chooses an epoch on the test set would choose for each method what suits it
    parser.set_defaults(run=run, select="last")


@dataclass(frozen=True)
class _Request:
    """What is to be compared, and how.

    Args:
        contenders: the methods.
        baseline: the label of one of them; None for the usual choice.
        seeds: number of seeds of each.
        source, root, backbone, runtime, thresholds, workers, pretrained: see `Job`; None for what is usual.
        out: the folder; None for the usual one.
        jobs: runs at a time.
    """

    contenders: Sequence[Contender]
    source: Source
    runtime: RuntimeOptions
    baseline: str | None = None
    seeds: int = 3
    root: str = "data"
    backbone: str | None = None
    thresholds: tuple[int, int] | None = None
    workers: int = 4
    pretrained: str | None = None
    out: str | Path | None = None
    jobs: int = 1

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        if self.out is not None:
            return Path(self.out)
        return Path("comparisons") / re.sub(r"[^\w.+-]", "_", self.source.label)

    @property
    def against(self) -> str:
        """The baseline's label."""
        labels = [each.label for each in self.contenders]
        if self.baseline is None:
            return "erm" if "erm" in labels else labels[0]
        if self.baseline not in labels:
            raise UserError(f"the baseline {self.baseline!r} is none of the methods: {', '.join(labels)}")
        return self.baseline


def run(arguments: argparse.Namespace) -> int:
    """Train, print and write the comparison; exit code 1 where a run failed."""
    from longtail.cli.jobs import Source

    request = _Request(
        contenders=read_contenders(arguments.methods, {name: getattr(arguments, name) for name in SHARED}),
        source=Source(**{each.name: getattr(arguments, each.name) for each in fields(Source)}),
        runtime=read_options(arguments, RuntimeOptions),
        **{name: getattr(arguments, name) for name in _PLAIN},
    )
    said = sys.stderr if arguments.json else sys.stdout
    try:
        # what is told on the way must not come between a program and the JSON
        with redirect_stdout(said):
            comparison = _carry_out(request, partial(print, file=said, flush=True))
    except KeyboardInterrupt:
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        print(f"interrupted; to go on from here:\n{command}", file=sys.stderr)
        raise
    if arguments.json:
        print_json(comparison.to_dict())
    else:
        _report(comparison)
    # last, so that a full disk does not keep the tables from being seen
    for moved in comparison.write():
        print(f"notice: an earlier comparison was moved to {moved}", file=sys.stderr)
    if not arguments.json:
        _tell_files(comparison.folder)
    return 1 if comparison.failed else 0


_PLAIN = ("baseline", "seeds", "root", "backbone", "thresholds", "workers", "pretrained", "out", "jobs")


def compare(
    methods: str | Sequence[str],
    data: str | Path = "digits",
    *,
    seeds: int = 3,
    baseline: str | None = None,
    out: str | Path | None = None,
    jobs: int = 1,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> Comparison:
    """Train several methods on the same data and compare them, as `longtail compare` does.

    Args:
        methods: contenders as on the command line, one text or several.
        data: a data set's name, or the path of one's own images.
        seeds: seeds 0 to this, exclusive, of each.
        baseline: what the others are compared with.
        out: folder for tables and runs; finished runs that are there are read.
        jobs: runs at a time.
        say: takes a line about every run, and one now and then about those under way; None says nothing.
        options: any other option of the command by its name, such as `epochs`, `backbone`, `pretrained`, `image_size`.

    Raises:
        UserError: of the command line's mistakes the same; a failing run is noted in the comparison instead.
        TypeError: there is no such option.
    """
    from longtail.cli.jobs import Source

    texts = [methods] if isinstance(methods, str) else list(methods)
    left = {"progress": "none" if say is None else "plain", "select": "last", **options}
    if left.get("pretrained") is not None:
        left["pretrained"] = str(left["pretrained"])

    def taken(names: Sequence[str]) -> dict[str, Any]:
        return {name: left.pop(name) for name in names if name in left}

    contenders = read_contenders(texts, taken(SHARED))
    source = Source(data_set_of(data), **taken([each.name for each in fields(Source)]))
    request = _Request(
        contenders,
        source,
        RuntimeOptions(**taken(_RUNTIME)),
        baseline,
        seeds,
        out=out,
        jobs=jobs,
        **taken(("root", "backbone", "thresholds", "workers", "pretrained")),
    )
    if left:
        raise TypeError(f"compare() has no option {next(iter(left))!r}")
    if seeds < 1 or jobs < 1:
        raise ValueError(f"seeds and jobs are at least 1, got {seeds} and {jobs}")
    comparison = _carry_out(request, say or (lambda _: None))
    comparison.write()
    return comparison


def data_set_of(data: str | Path) -> str:
    """A data set as `Source` names it."""
    from longtail.datasets.factory import known_or_there

    return known_or_there(str(data))


def _carry_out(request: _Request, say: Callable[[str], None]) -> Comparison:
    """Train all contenders that have not been trained yet."""
    from longtail.backbones import BACKBONES
    from longtail.cli.comparison import Comparison
    from longtail.cli.jobs import make_network
    from longtail.cli.series import Task, run_folder, train_all
    from longtail.training.files import make_folder

    baseline = request.against
    if request.backbone is not None and request.backbone not in BACKBONES:
        raise UserError(f"unknown backbone {request.backbone!r}; choose one of {', '.join(BACKBONES)}")
    folder = request.folder
    make_folder(folder)
    _refuse_other_data(folder, request.source)
    # seed by seed, so that an interrupted comparison already has pairs
    tasks = [
        Task(each.label, _job(each, seed, request), run_folder(folder, each.label, seed), request.root)
        for seed in range(request.seeds)
        for each in request.contenders
    ]
    data = request.source.load(request.root, tasks[0].job.runtime)
    if request.pretrained is not None:
        make_network(tasks[0].job, data, "linear")  # says now, and not once a run, what is wrong with the file
    _introduce(tasks, data, request, say)
    outcomes = train_all(tasks, data, say, jobs=request.jobs)
    job = tasks[0].job.fitted(data)
    return Comparison(outcomes, baseline, _facts(job, data, request), _notes(job, data, request), folder)


def _refuse_other_data(folder: Path, source: Source) -> None:
    """Two folders called `photos` have the same usual folder of results, where each would push out the other's runs."""
    from longtail.training.files import read_json
    from longtail.training.run_folder import RUN_JSON

    for record in sorted(folder.glob(f"runs/*/{RUN_JSON}")):
        earlier = read_json(record).get("identity", {}).get("data")
        if earlier not in (None, source.data) and "~" not in record.parent.name:
            raise UserError(f"{folder} holds runs on other data: {earlier}\nGive another folder with --out.")


def _job(contender: Contender, seed: int, request: _Request) -> Job:
    from longtail.cli.jobs import Job
    from longtail.metrics import ShotThresholds
    from longtail.training.method import load_method

    method = load_method(contender.method)
    source = request.source
    return Job(
        method,
        method.options(**contender.options),
        source,
        request.backbone or source.default_backbone,
        seed,
        replace(request.runtime, resume_auto=True),
        ShotThresholds()
        if request.thresholds is None
        else ShotThresholds(many=request.thresholds[0], few=request.thresholds[1]),
        -(-request.workers // request.jobs),
        adapt=request.thresholds is None and source.is_own,
        pretrained=request.pretrained,
    )


def _introduce(tasks: Sequence[Task], data: LongTailData, request: _Request, say: Callable[[str], None]) -> None:
    from longtail.cli.tasks import set_aside_for

    counts = data.class_counts
    say(
        f"{request.source.label}: {data.num_classes} classes, {int(counts.sum())} training images "
        f"({int(counts.max())} to {int(counts.min())} a class), {len(data.test)} test images"
    )
    seeds = "1 seed" if request.seeds == 1 else f"{request.seeds} seeds"
    methods = "1 method" if len(request.contenders) == 1 else f"{len(request.contenders)} methods"
    say(f"{methods}, {seeds} each, {tasks[0].job.backbone}; runs in {request.folder / 'runs'}")
    epochs = {task.label: getattr(task.job.options, "epochs", None) for task in tasks}
    if len(set(epochs.values())) > 1:
        told = ", ".join(f"{label} {'its own' if number is None else number}" for label, number in epochs.items())
        say(f"notice: the methods train for different numbers of epochs ({told}); --epochs gives all the same")
    reasons = [set_aside_for(task, data) for task in tasks]
    for reason in dict.fromkeys(filter(None, reasons)):
        runs = "1 run" if reasons.count(reason) == 1 else f"{reasons.count(reason)} runs"
        say(f"notice: {runs} in {request.folder / 'runs'} will be moved to NAME~1 or so, and trained anew: {reason}")


def _facts(job: Job, data: LongTailData, request: _Request) -> dict[str, Any]:
    return {
        "data": request.source.label,
        "source": request.source.identity(),
        "class_names": list(data.train.class_names),
        "class_counts": data.class_counts.tolist(),
        "test_images": len(data.test),
        "test_class_counts": data.test.class_counts.tolist(),
        "drawn": {part: {"fraction": each.fraction, "seed": each.seed} for part, each in data.drawn.items()},
        "shot_thresholds": {"many": job.thresholds.many, "few": job.thresholds.few},
        "backbone": job.backbone,
        "pretrained": job.identity().get("pretrained"),
        "select": job.runtime.select,
        "seeds": request.seeds,
        "max_epochs": job.runtime.max_epochs,
        "max_steps": job.runtime.max_steps,
        "options": {each.label: {"method": each.method, **each.options} for each in request.contenders},
    }


def _notes(job: Job, data: LongTailData, request: _Request) -> list[str]:
    notes = [_JUDGED[job.runtime.select]]
    notes += [
        f"{part} images: {each.fraction:.0%} of each class, drawn from the training images with seed {each.seed}."
        for part, each in data.drawn.items()
    ]
    if job.pretrained is not None:
        notes.append(f"Every network began with the weights in {job.pretrained}.")
    if job.runtime.max_steps is not None:
        batches = "one batch" if job.runtime.max_steps == 1 else f"{job.runtime.max_steps} batches"
        notes.append(f"A rehearsal: no epoch, and no test, went over more than {batches}.")
    notes.append(f"{told_of_groups(job.thresholds, adapted=job.adapt)}; balanced: mean over classes.")
    notes.append(f"{len(data.test)} test images, the same for every run: seed noise is that of training, not of these images.")
    if request.seeds > 1:
        notes.append("Differences: seed by seed, their mean ± half of the 95 % t interval, of three seeds or more.")
    if len(request.contenders) > 2 and request.seeds > 1:
        notes.append("Each interval is one of 95 %: of twenty methods without effect one seems to have one.")
    if request.jobs > 1:
        notes.append(f"{request.jobs} runs at a time: train times would be shorter of runs alone.")
    return notes


def _report(comparison: Comparison) -> None:
    if not any(outcome.results for outcome in comparison.outcomes):
        print("no run has come to its end, so that there is nothing to compare; the reasons are above")
        return
    for table in comparison.tables():
        console().print(table)
    for note in comparison.notes:
        print(note)


def _tell_files(folder: Path) -> None:
    print(f"tables: {folder / 'comparison.md'}")
    print(f"numbers: {folder / 'comparison.json'}")
    print(f"runs: {folder / 'runs'}")
