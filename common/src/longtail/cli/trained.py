"""What the commands share that use a trained run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from longtail.cli.output import progress_bars
from longtail.cli.parsing import Parser
from longtail.errors import UserError
from longtail.training.options import at_least

if TYPE_CHECKING:
    from longtail.training.trained import TrainedRun


def add_run(parser: Parser) -> None:
    """Add which run it is."""
    parser.add_argument("run_folder", metavar="RUN", help="folder of a run of longtail train")
    parser.add_argument(
        "--which",
        choices=("best", "last"),
        default="best",
        help="checkpoint of the chosen or of the latest epoch (default: %(default)s)",
    )
    parser.add_argument(
        "--reading",
        metavar="NAME",
        help="another way to predict with this network that its method offers and run.json tells the results of, such as flip "
        "(LCSL) or tau=1 (CADEL)",
    )


def add_showing(parser: Parser) -> None:
    """Add how images are shown to the network."""
    parser.add_argument(
        "--batch-size", type=at_least(1), default=64, metavar="N", help="images at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="DEVICE",
        help="auto (CUDA where there is one), cpu, cuda or cuda:N (default: %(default)s)",
    )


def add_priors(parser: Parser, what: str) -> None:
    """Add the adjustment of logits to another class prior.

    Args:
        parser: of a command.
        what: what is adjusted, as the help text begins.
    """
    parser.add_argument(
        "--target-prior",
        metavar="PRIOR",
        help=f"{what} adjusted to these shares of the classes: uniform, train, or a JSON or CSV file of class and share "
        "(Menon et al., ICLR 2021)",
    )
    parser.add_argument(
        "--source-prior",
        metavar="PRIOR",
        help="shares that the logits have learnt, which the adjustment takes out (default: train; uniform after balanced "
        "softmax and logit adjustment, whose losses take it out themselves)",
    )


def load_adjusted(arguments: argparse.Namespace, device: str) -> TrainedRun:
    """The run that a command names, for the class prior that it names."""
    loaded = load(arguments, device)
    if arguments.target_prior is None:
        if arguments.source_prior is not None:
            raise UserError("--source-prior is what --target-prior takes out of the logits; name a target too")
        return loaded
    return loaded.adjusted(arguments.target_prior, arguments.source_prior)


def notice_adjustment(run: TrainedRun) -> None:
    """Say on standard error for which prior the logits are, where that is not the learnt one."""
    if run.adjustment is not None:
        print(f"notice: adjusted: {run.adjustment}", file=sys.stderr)


def about(run: TrainedRun) -> dict[str, object]:
    """What the JSON of every such command tells of the run."""
    adjustment = run.adjustment
    return {
        "run": str(run.folder),
        "checkpoint": run.which,
        "epoch": run.epoch,
        "reading": run.reading,
        "source_prior": None if adjustment is None else adjustment.source,
        "target_prior": None if adjustment is None else adjustment.target,
    }


def load(arguments: argparse.Namespace, device: str) -> TrainedRun:
    """The run that a command names, with a notice where its training has not come to an end."""
    from longtail.training.devices import make_exact
    from longtail.training.trained import load_run

    loaded = load_run(arguments.run_folder, arguments.which, reading=arguments.reading, device=device)
    make_exact(loaded.device)
    if not loaded.is_finished:
        whose = "the best epoch so far" if loaded.which == "best" else "the latest state"
        print(
            f"notice: the training of {loaded.folder} has not come to its end; this is {whose}, after epoch {loaded.epoch}",
            file=sys.stderr,
        )
    return loaded


@contextmanager
def progress_bar(total: int, *, wanted: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar over so many images on standard error, where that is a terminal and nothing else is printed meanwhile.

    Yields:
        What takes the number of images done since it was called last.
    """
    seen = 0
    with progress_bars(wanted=wanted) as tell:

        def advance(number: int) -> None:
            nonlocal seen
            seen += number
            tell("images", seen, total)

        yield advance
