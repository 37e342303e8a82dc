"""The flags that say which data, and how they are taken; the same in every command."""

from __future__ import annotations

import argparse

from longtail.cli.parsing import data_set, split_seed
from longtail.datasets.defaults import TEST_FRACTION
from longtail.training.options import at_least, between


def add_data(group: argparse._ActionsContainer, text: str, *, default: str | None = None) -> None:
    """Add which data set it is, by name or path, and where those with a name lie.

    Args:
        group: a parser, or a group of one.
        text: what is said of it besides.
        default: the data set unless it is given; `text` says what None means.
    """
    group.add_argument(
        "--data",
        type=data_set,
        default=default,
        metavar="NAME|PATH",
        help=f"a data set by name, or the path of images of your own: a folder of class folders, or a table with the columns "
        f"path and label; {text}",
    )
    add_root(group)


def add_root(group: argparse._ActionsContainer) -> None:
    """Add where data sets with a name lie."""
    group.add_argument(
        "--root", default="data", metavar="DIR", help="folder of the files of a data set with a name (default: %(default)s)"
    )


def add_cut(group: argparse._ActionsContainer) -> None:
    """Add how a balanced data set is made long-tailed, and how test images are drawn from one's own."""
    group.add_argument(
        "--imbalance-factor",
        type=float,
        default=0.01,
        metavar="X",
        help='smallest class / largest class; 0.01 is the papers\' "IF 100" (default: %(default)s)',
    )
    group.add_argument(
        "--profile", default="exp", metavar="NAME", help="how class sizes fall: exp, step or balanced (default: %(default)s)"
    )
    group.add_argument(
        "--split-seed",
        type=split_seed,
        default=0,
        metavar="N",
        help="which images the classes keep: a seed to draw them with, or `first` for the first ones; of your own images the "
        "seed that test images are drawn with (default: %(default)s)",
    )
    group.add_argument(
        "--test-fraction",
        type=between(0, 0.9, least_excluded=True),
        default=TEST_FRACTION,
        metavar="F",
        help="share of each class to test on, of your own images that have neither test nor validation images "
        "(default: %(default)s)",
    )


def add_reading(group: argparse._ActionsContainer) -> None:
    """Add how images in files are read."""
    group.add_argument(
        "--image-size", type=at_least(1), metavar="N", help="side in pixels that images in files are brought to (default: 224)"
    )
    group.add_argument(
        "--workers", type=at_least(0), default=4, metavar="N", help="processes that read files (default: %(default)s)"
    )


def add_thresholds(group: argparse._ActionsContainer) -> None:
    """Add the bounds of the shot groups."""
    group.add_argument(
        "--thresholds",
        type=at_least(0),
        nargs=2,
        metavar=("MANY", "FEW"),
        help="many-shot classes have more training images than MANY, few-shot ones fewer than FEW "
        "(default: 100 20; of your own images, where no class has more than 100, what cuts the classes into thirds by size)",
    )
