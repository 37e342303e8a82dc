"""`longtail demo`: three methods on the embedded digits, made long-tailed, compared over a few seeds in about a minute."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.cli.contenders import Contender
from longtail.cli.output import console, print_json
from longtail.cli.parsing import Parser
from longtail.errors import UserError
from longtail.training.options import add_options, at_least, read_options
from longtail.training.registry import installed_methods
from longtail.training.runtime import RuntimeOptions

if TYPE_CHECKING:
    from longtail.cli.comparison import Outcome
    from longtail.cli.jobs import Job, Source
    from longtail.cli.series import Task
    from longtail.datasets.base import LongTailData


CONTENDERS = (
    Contender("cross-entropy", "erm", {"loss": "ce"}),
    Contender("balanced softmax", "erm", {"loss": "balanced_softmax"}),
    Contender("balanced softmax + CMO", "cmo", {"loss_type": "BS"}),
)
BACKBONE = "resnet20"
IMBALANCE_FACTOR = 0.02
EPOCHS = 30
COMMON = {"batch_size": 32, "lr": 0.025}
"""The papers' batch size and learning rate on CIFAR, 128 and 0.1, both divided by four: an epoch has few images."""
MANY, FEW = 40, 10
"""The usual 100 and 20 would leave one class in "many"."""
_EXAMPLES = """\
examples:
  longtail demo
  longtail demo --seeds 5 --epochs 10 --out demo-of-five"""


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "demo",
        help="compare three methods on embedded data in a minute or two",
        description="Train plain cross-entropy, balanced softmax and, where longtail-cmo is installed, balanced softmax with "
        "CMO on scikit-learn's handwritten digits made long-tailed, a few seeds each, and compare them in a table and a plot. "
        "Nothing is downloaded. Given again, the command goes on where it was interrupted.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "--seeds", type=at_least(1), default=3, metavar="N", help="seeds 0 to N-1 of each method (default: %(default)s)"
    )
    parser.add_argument("--out", default="demo", metavar="DIR", help="folder for table, plot and runs (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=at_least(1), default=EPOCHS, metavar="N", help="epochs of each run (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON; everything else goes to standard error")
    add_options(
        parser.add_argument_group("longtail options"), RuntimeOptions, only=("device", "max_epochs", "max_steps", "progress")
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train all contenders, then print and write what came out."""
    # what is told on the way must not come between a program and the JSON
    with redirect_stdout(sys.stderr if arguments.json else sys.stdout):
        numbers = _compare(arguments)
    if arguments.json:
        print_json(numbers)


def _compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Carry the demo out, tell about it, and return all its numbers."""
    from longtail.cli.jobs import Source
    from longtail.cli.series import Task, run_folder
    from longtail.training.files import make_folder

    out = Path(arguments.out)
    make_folder(out)
    runtime = _runtime(arguments)
    source = Source("digits", IMBALANCE_FACTOR)
    data = source.load("", runtime)
    installed = installed_methods()
    present = [each for each in CONTENDERS if each.method in installed]
    absent = [each for each in CONTENDERS if each.method not in installed]
    _introduce(data, arguments)
    _use_one_thread()
    tasks = [
        Task(each.label, _job(each, source, seed, arguments.epochs, runtime), run_folder(out, each.label, seed))
        for each in present
        for seed in range(arguments.seeds)
    ]
    outcomes = _train(tasks, data)
    numbers = _numbers(outcomes, data, arguments)
    if not arguments.json:
        _show(outcomes, data, arguments.seeds)
    _write(numbers, outcomes, data, arguments.seeds, out)
    for each in absent:
        print(f"left out: {each.label}; for it, pip install ./methods/{each.method} in a clone of longtail")
    return numbers


def _runtime(arguments: argparse.Namespace) -> RuntimeOptions:
    """Only the last epoch counts, so only that one is evaluated; a run that is there already is continued."""
    return replace(read_options(arguments, RuntimeOptions), select="last", resume_auto=True, eval_every=arguments.epochs)


def _job(contender: Contender, source: Source, seed: int, epochs: int, runtime: RuntimeOptions) -> Job:
    from longtail.cli.jobs import Job
    from longtail.metrics import ShotThresholds
    from longtail.training.method import load_method

    method = load_method(contender.method)
    options = method.options(**contender.options, **COMMON, epochs=epochs)
    return Job(method, options, source, BACKBONE, seed, runtime, ShotThresholds(many=MANY, few=FEW))


def _train(tasks: Sequence[Task], data: LongTailData) -> list[Outcome]:
    """Carry out the tasks one after the other, with a line about each."""
    from longtail.cli.series import train_all

    try:
        return train_all(tasks, data, partial(print, flush=True), keep_going=False)
    except KeyboardInterrupt:
        print("give the same command again to go on from here", file=sys.stderr)
        raise


def _use_one_thread() -> None:
    """Batches are so small that a second thread gains little, loses much on a busy machine, and changes the last bits."""
    import torch

    torch.set_num_threads(1)


def _introduce(data: LongTailData, arguments: argparse.Namespace) -> None:
    from longtail.datasets.findings import counted

    counts = ", ".join(str(count) for count in data.class_counts)
    print(f"Handwritten digits, made long-tailed: {counts} training images,")
    print(f"{len(data.test) // data.num_classes} test images of each class, so that the columns all and balanced agree.")
    length, seeds = counted(arguments.epochs, "epoch"), counted(arguments.seeds, "seed")
    print(f"{BACKBONE}, {length}, {seeds} of each method.", flush=True)


def _show(outcomes: Sequence[Outcome], data: LongTailData, seeds: int) -> None:
    from longtail.cli.comparison import comparison_table

    console().print(comparison_table(outcomes, f"Test accuracy in %, {_over(seeds) or 'one seed'}"))
    print("Every run is judged after its last epoch, so nothing was chosen on the test set.")
    print("Seeds change the training, not the images.")
    print(_groups(data))


def _over(seeds: int) -> str:
    """What the numbers are over several seeds; nothing for one."""
    return f"mean ± sample standard deviation over {seeds} seeds" if seeds > 1 else ""


def _write(numbers: dict[str, Any], outcomes: Sequence[Outcome], data: LongTailData, seeds: int, out: Path) -> None:
    """Write numbers and plot, and say where everything lies."""
    from longtail.cli.comparison import draw
    from longtail.training.files import write_json

    file, plot = out / "demo.json", out / "per_class.png"
    write_json(file, numbers)
    print(f"numbers: {file}")
    try:
        draw(plot, outcomes, data, title="Accuracy of each class by its size: long-tailed digits", note=_over(seeds))
        print(f"plot: {plot}")
    except UserError as error:
        print(f"no plot: {error}")
    print(f"runs: {out / 'runs'}")


def _groups(data: LongTailData) -> str:
    """How many classes each shot group has, and what the groups are."""
    from longtail.metrics import ShotThresholds

    many, medium, few = (int(members.sum()) for members in ShotThresholds(many=MANY, few=FEW).groups(data.class_counts))
    return f"many: over {MANY} training images ({many} classes), medium: {FEW} to {MANY} ({medium}), few: under {FEW} ({few})."


def _numbers(outcomes: Sequence[Outcome], data: LongTailData, arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "format": 1,
        "data": data.name,
        "imbalance_factor": IMBALANCE_FACTOR,
        "class_names": list(data.train.class_names),
        "class_counts": data.class_counts.tolist(),
        "test_images": len(data.test),
        "shot_thresholds": {"many": MANY, "few": FEW},
        "backbone": BACKBONE,
        "epochs": arguments.epochs,
        "max_epochs": arguments.max_epochs,
        "max_steps": arguments.max_steps,
        "judged_after": "last epoch",
        "methods": [outcome.to_dict() for outcome in outcomes],
    }
