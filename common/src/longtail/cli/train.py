"""`longtail train METHOD`: train any installed method on a data set."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.cli.data_options import add_cut, add_data, add_reading, add_thresholds
from longtail.cli.output import console, percent, table, told_of_groups
from longtail.cli.parsing import Parser
from longtail.names import BACKBONES, DATASETS, LONG_TAILED_BY_RULE
from longtail.report.scores import scores
from longtail.training.method import Method, load_method
from longtail.training.options import add_options, at_least, read_options
from longtail.training.registry import installed_methods
from longtail.training.runtime import RuntimeOptions, add_runtime_options

if TYPE_CHECKING:
    from longtail.cli.jobs import Job
    from longtail.datasets.base import LongTailData
    from longtail.training.reports import Listener
    from longtail.training.run_folder import Run

_EXAMPLES = """\
examples:
  longtail train erm --data digits --loss balanced_softmax
  longtail train erm --data photos --epochs 60 --out runs/mine

longtail train METHOD --help shows the options, the method's own among them."""
_METHOD_EXAMPLES = """\
examples:
  longtail train {method} --data photos --epochs 60 --out runs/mine
  longtail train {method} --data photos --pretrained resnet50.pth --precision bf16 --resume-auto
  longtail train {method} --data digits --backbone resnet20 --epochs 30"""


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand; a method's own options are parsed later, since only that method is loaded for them."""
    names = list(installed_methods())
    parser = commands.add_parser(
        "train",
        help="train a method on a data set",
        usage="longtail train METHOD [options]",
        description="Train an installed method on a long-tailed data set.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("method", metavar="METHOD", choices=names, help=", ".join(names))
    # Python before 3.13 would name it among the required ones
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS).required = False
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int | None:
    """Train as the rest of the command line says, and print the results; the exit code, where other processes did it."""
    from longtail.training.launch import relaunch

    method = load_method(arguments.method)
    parsed = create_method_parser(method).parse_args(arguments.rest)
    from longtail.distributed import ranks  # brings torch, for which a help text and a wrong flag need not wait

    code = relaunch(None, parsed.device)
    if code is not None:
        return code
    # what is told on the way must not come between a program and the JSON
    with redirect_stdout(sys.stderr if parsed.json else sys.stdout):
        job, run, results = train(method, parsed)
    if ranks().is_first:
        if parsed.json:
            print(json.dumps({"format": 1, "folder": str(run.log_dir), **results}, indent=2))
        else:
            report(job, results, run.log_dir)
    return None


def train(method: Method, parsed: argparse.Namespace) -> tuple[Job, Run, dict[str, Any]]:
    """Train as the parsed arguments of `create_method_parser` say: what was trained, the run, and its results."""
    from longtail.cli.jobs import run_job
    from longtail.distributed import ranks
    from longtail.metrics import ShotThresholds
    from longtail.training.progress import create_progress
    from longtail.training.run_folder import Run
    from longtail.training.tensorboard import TensorBoardLog

    job, data = _with_data(read_job(method, parsed), parsed)
    job = job.fitted(data)
    if job.adapt and job.thresholds != ShotThresholds() and ranks().is_first:
        print(f"notice: shot groups: {told_of_groups(job.thresholds, adapted=True)}", file=sys.stderr)
    if "val" in data.drawn and data.val is not None and ranks().is_first:
        print(
            f"notice: {len(data.val)} training images, {data.drawn['val'].fraction:g} of each class, are held out to choose "
            "the best epoch; --select last trains on them too",
            file=sys.stderr,
        )

    def open_run(name: str, identity: Mapping[str, Any]) -> Run:
        folder = Path("runs") / name if parsed.out is None else Path(parsed.out)
        return Run(folder, folder, identity=identity)

    def listeners(run: Run) -> list[Listener]:
        shown = create_progress(job.runtime.progress, without_terminal="plain")
        return [shown, TensorBoardLog(run.log_dir)] if parsed.tensorboard else [shown]

    return job, *run_job(job, data, open_run, listeners, log_interval=parsed.log_interval)


def _with_data(job: Job, parsed: argparse.Namespace) -> tuple[Job, LongTailData]:
    """The job and its data; where no image can be held out and nobody asked for that, the job chooses nothing."""
    from longtail.datasets.splits import NothingToHoldOut
    from longtail.distributed import ranks

    try:
        return job, job.source.load(parsed.root, job.runtime)
    except NothingToHoldOut:
        if parsed.select is not None:
            raise
    if ranks().is_first:
        print("notice: no class has a training image to spare: the last epoch is kept, and none is chosen", file=sys.stderr)
    job = replace(job, runtime=replace(job.runtime, select="last"))
    return job, job.source.load(parsed.root, job.runtime)


def create_method_parser(method: Method) -> Parser:
    """The parser of what follows `longtail train METHOD`."""
    parser = Parser(
        prog=f"longtail train {method.name}", description=method.paper, epilog=_METHOD_EXAMPLES.format(method=method.name)
    )
    group = parser.add_argument_group(
        "data",
        f"imbalance factor, profile and split seed are for {', '.join(LONG_TAILED_BY_RULE)}; "
        "the others are long-tailed as they are",
    )
    add_data(
        group,
        f"names: {', '.join(DATASETS)}; longtail data inspect PATH looks at your own first (default: %(default)s)",
        default="digits",
    )
    add_cut(group)
    add_reading(group)
    group = parser.add_argument_group("run")
    group.add_argument(
        "--backbone",
        choices=BACKBONES,
        metavar="NAME",
        help=f"network: {', '.join(BACKBONES)} (default: resnet32, and resnet50 for images in files)",
    )
    group.add_argument(
        "--pretrained",
        metavar="FILE",
        help="weights to begin with: a state dict or a checkpoint of such a network, ours, torchvision's, timm's, MAE's; the "
        "classifier's are left out",
    )
    group.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="training seed (default: %(default)s)")
    group.add_argument(
        "--out", metavar="DIR", help="run folder (default: runs/ and a name made of data, method, options, seed)"
    )
    group.add_argument("--tensorboard", action="store_true", help="also write TensorBoard events into the run folder")
    group.add_argument("--json", action="store_true", help="print the results as JSON; everything else goes to standard error")
    add_thresholds(group)
    group.add_argument(
        "--log-interval", type=at_least(1), default=50, metavar="N", help="batches between updates (default: %(default)s)"
    )
    add_options(parser.add_argument_group(f"{method.name} options", method.paper), method.options)
    add_runtime_options(parser, depending={"select": "val for images of your own, else test"})
    return parser


def read_job(method: Method, parsed: argparse.Namespace) -> Job:
    """What the parsed arguments of `create_method_parser` ask for."""
    from longtail.cli.jobs import Job, Source
    from longtail.metrics import ShotThresholds

    source = Source(**{each.name: getattr(parsed, each.name) for each in fields(Source)})
    return Job(
        method=method,
        options=read_options(parsed, method.options),
        source=source,
        backbone=parsed.backbone or source.default_backbone,
        seed=parsed.seed,
        runtime=replace(RuntimeOptions.from_arguments(parsed), select=parsed.select or source.usual_selection),
        thresholds=ShotThresholds() if parsed.thresholds is None else ShotThresholds(*parsed.thresholds),
        workers=parsed.workers,
        pretrained=parsed.pretrained,
        adapt=parsed.thresholds is None and source.is_own,
    )


_COLUMNS = scores("all", "many", "medium", "few", "balanced", "macro-F1")
_SELECTION = {
    "test": "best: chosen on the test set",
    "val": "best: chosen on held-out training images",
    "last": "best: the last epoch, nothing was chosen",
}


def report(job: Job, results: dict[str, Any], folder: Path) -> None:
    """Print the test results of the best and the last epoch, and of other readings of the best, and where the run lies."""
    shown = table("", "epoch", *_COLUMNS, title=f"{job.method.name} on {job.source.label}: test accuracy in %", numbers=True)
    others = {name: (name, result) for name, result in results.get("final", {}).items()}
    if "reading" in results:
        read = results["reading"]
        others[read["name"]] = (f"{read['name']}, chosen on {read['chosen_on']}", read)
    for label, result in [("best", results["best"]), ("last", results["last"]), *others.values()]:
        shown.add_row(label, str(result["epoch"] + 1), *(percent(result[key]) for key in _COLUMNS.values()))
    console().print(shown)
    print(f"{told_of_groups(job.thresholds)}; balanced: mean over classes")
    print(_SELECTION[results["select"]])
    if others:
        print(f"{', '.join(others)}: other readings of the best; longtail predict, eval and export take them with --reading")
    print(f"run folder: {folder}")
