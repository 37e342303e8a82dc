"""`longtail data fake`: small stand-ins for data sets, to rehearse commands on."""

from __future__ import annotations

import argparse

from longtail.cli.parsing import Parser
from longtail.datasets.fake import LAYOUTS
from longtail.training.options import at_least


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand and its own subcommands."""
    parser = commands.add_parser("data", help="make fake data to rehearse on", description="Work with data sets.")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    fake = actions.add_parser(
        "fake",
        help="write a small generated data set in the layout of a real one",
        description="Write generated pictures in the folder and list format of a real data set. "
        "Training commands then run on --root OUT; their accuracy means nothing.",
    )
    fake.add_argument("--layout", required=True, metavar="LAYOUT", choices=LAYOUTS, help=", ".join(LAYOUTS))
    fake.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder to write into, empty or new; inat18-json may share it",
    )
    fake.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed of the pictures (default: %(default)s)")
    for flag, text in (
        ("--num-classes", "classes"),
        ("--largest-class", "training images of the largest class; in the CIFAR layouts, of every class"),
        ("--test-per-class", "images per class of each evaluation part"),
    ):
        fake.add_argument(flag, type=at_least(1), metavar="N", help=f"{text} (default: the layout's own)")
    fake.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write the data set and say where it is."""
    from longtail.datasets.fake import write_fake

    folder = write_fake(
        arguments.layout,
        arguments.out,
        seed=arguments.seed,
        num_classes=arguments.num_classes,
        largest_class=arguments.largest_class,
        test_per_class=arguments.test_per_class,
    )
    print(f"fake {arguments.layout} is in {folder}; give a training command --root {arguments.out}")
