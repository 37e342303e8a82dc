"""`longtail data inspect`: what is in a data set, whether training can start, and what to do where it cannot."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.cli.curve import class_curve
from longtail.cli.data_options import add_cut, add_root
from longtail.cli.output import console, progress_bars, table, told_of_groups
from longtail.cli.parsing import Parser
from longtail.datasets.defaults import TEST_FRACTION
from longtail.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from longtail.datasets.inspection import Inspection
    from longtail.datasets.picture_files import Pictures

_EXAMPLES = """\
PATH is a folder of train/CLASS/... and test/CLASS/... (val/CLASS/... if you like), or of CLASS/... alone, or a table with
the columns path and label (and split, if you like: train, val, test), or the name of a data set.

The exit code is 0 if training can start, 1 if something prevents it, and 2 if the command makes no sense.

examples:
  longtail data inspect photos
  longtail data inspect photos/labels.csv --plot sizes.png
  longtail data inspect cifar100 --root data --json"""

_SIGNS = {"error": "[bold red]error[/]", "warning": "[yellow]warning[/]", "note": "note"}
_SMALL = 96
"""Pixels; enlarging smaller pictures to the usual 224 costs time and shows nothing."""


def add_inspect(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = actions.add_parser(
        "inspect",
        help="look at a data set before training on it",
        description="Count the images of each class, look for images that cannot be read, are odd or occur twice,\n"
        "draw the class sizes, and say whether training can start.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", help="folder, table or name")
    parser.add_argument("--json", action="store_true", help="print everything as JSON, all file names included")
    parser.add_argument("--plot", metavar="FILE", help="also draw the class sizes into a PNG file")
    parser.add_argument(
        "--decode", action="store_true", help="read every pixel, also of many large images; takes minutes for a large data set"
    )
    named = parser.add_argument_group("as for longtail train")
    add_root(named)
    add_cut(named)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look, print what was seen, and return whether training cannot start."""
    from longtail.datasets.factory import is_own, known_or_there

    name = known_or_there(arguments.path)
    shown_on = console()
    with progress_bars(wanted=not arguments.json) as progress:
        found = _inspect_own(name, arguments, progress) if is_own(name) else _inspect_named(name, arguments, progress)
    if arguments.json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        _show(found, _command(name, found, arguments), shown_on)
    if arguments.plot is not None:
        _plot(found, Path(arguments.plot), quiet=arguments.json)
    return 0 if found.can_train else 1


Progress = Callable[[str, int, int], None]


def _inspect_own(path: str, arguments: argparse.Namespace, progress: Progress) -> Inspection:
    from longtail.datasets.findings import ERROR, Finding
    from longtail.datasets.inspection import inspect_parts
    from longtail.datasets.own import find_own, own_name

    seed = 0 if arguments.split_seed is None else arguments.split_seed
    try:
        own = find_own(path, test_fraction=arguments.test_fraction, split_seed=seed)
    except UserError as error:
        text, _, remedy = str(error).partition("\n")
        return inspect_parts({}, name=own_name(path), form="not read", findings=[Finding(ERROR, "malformed", text, remedy)])
    return inspect_parts(
        own.parts, name=own.name, form=own.form, findings=own.findings, decode=arguments.decode, progress=progress
    )


def _inspect_named(name: str, arguments: argparse.Namespace, progress: Progress) -> Inspection:
    from longtail.datasets.factory import create_data
    from longtail.datasets.inspection import inspect_parts
    from longtail.names import LONG_TAILED_BY_RULE

    data = create_data(
        name,
        root=arguments.root,
        imbalance_factor=arguments.imbalance_factor,
        profile=arguments.profile,
        split_seed=arguments.split_seed,
        download=False,
    )
    form = f"imbalance factor {arguments.imbalance_factor:g}" if name in LONG_TAILED_BY_RULE else "as long-tailed as it comes"
    parts = {"train": data.train, "test": data.test}
    return inspect_parts(parts, name=name, form=form, adapt=False, decode=arguments.decode, progress=progress)


def _command(name: str, found: Inspection, arguments: argparse.Namespace) -> str:
    """How to train on what was looked at."""
    from longtail.datasets.factory import is_own

    words = ["longtail", "train", "erm", "--data", arguments.path]
    size = _fitting_size(found.pictures) if is_own(name) else None
    chosen = {
        "--root": (arguments.root, not is_own(name), "data"),
        "--imbalance-factor": (arguments.imbalance_factor, not is_own(name), 0.01),
        "--profile": (arguments.profile, not is_own(name), "exp"),
        "--split-seed": ("first" if arguments.split_seed is None else arguments.split_seed, True, 0),
        "--test-fraction": (arguments.test_fraction, is_own(name), TEST_FRACTION),
        "--image-size": (size, True, None),
    }
    for flag, (value, applies, usual) in chosen.items():
        words += [flag, str(value)] if applies and value != usual else []
    return shlex.join(words)


def _show(found: Inspection, command: str, shown_on: Console) -> None:
    from rich.markup import escape

    classes = len(found.class_names)
    told = f", {classes:,} {'class' if classes == 1 else 'classes'}" if classes else ""
    shown_on.print(f"[bold]{escape(found.name)}[/]: {found.form}{told}")
    if classes:
        _show_parts(found, shown_on)
    if found.pictures is not None:
        _show_pictures(found.pictures, shown_on)
    if found.train_counts.any():
        shown_on.print()
        shown_on.print(class_curve(found.class_names, found.train_counts, found.thresholds, shown_on), soft_wrap=True)
    _show_findings(found, shown_on)
    _show_verdict(found, command, shown_on)


def _show_parts(found: Inspection, shown_on: Console) -> None:
    """How many images there are, by part and by class."""
    rows = table("", "images", "classes", "largest class", "smallest class", numbers=True)
    for part, counts in found.counts.items():
        known = counts[counts > 0]
        largest, smallest = (f"{known.max():,}", f"{known.min():,}") if len(known) else ("-", "-")
        rows.add_row(part, f"{counts.sum():,}", f"{len(known):,}", largest, smallest)
    shown_on.print(rows)
    factor = found.imbalance_factor
    if factor is not None:
        ratio = f", {1 / factor:.3g} times as many images in the largest class as in the smallest" if factor < 1 else ""
        shown_on.print(f"imbalance factor {factor:.3g}{ratio}")
        groups = ", ".join(f"{name} {size:,}" for name, size in found.groups().items())
        shown_on.print(f"classes by shot group: {groups}; {told_of_groups(found.thresholds, adapted=True)}")


def _show_pictures(pictures: Pictures, shown_on: Console) -> None:
    def listed(counts: dict[str, int]) -> str:
        return ", ".join(f"{count:,} {name}" for name, count in counts.items())

    readable = sum(pictures.formats.values())
    whole = "all of them" if pictures.decoded == readable else f"{pictures.decoded:,} of them (--decode reads all)"
    looked = f"read whole: {whole}" if readable else "nothing to read"
    kinds = f"; among them {listed(dict(pictures.kinds))}" if pictures.kinds else ""
    shown_on.print(f"files: {listed(dict(pictures.formats)) or 'none that can be read'}{kinds}; {looked}")
    if pictures.smallest is not None and pictures.largest is not None:
        (width, height), (wide, high) = pictures.smallest, pictures.largest
        sides = f"{width} x {height}" if pictures.smallest == pictures.largest else f"{width} x {height} to {wide} x {high}"
        shown_on.print(f"pixels: {sides}, shorter side {pictures.median_side} in the middle")


def _show_findings(found: Inspection, shown_on: Console) -> None:
    from rich.markup import escape
    from rich.text import Text

    if found.findings:
        shown_on.print()
    for finding in found.findings:
        sign = _SIGNS[finding.level]
        shown_on.print(f"{sign}: {escape(finding.text)}")
        if finding.remedy:
            for line in Text(finding.remedy).wrap(shown_on, max(20, shown_on.width - 4)):
                shown_on.print(Text("    ").append_text(line), soft_wrap=True)


def _show_verdict(found: Inspection, command: str, shown_on: Console) -> None:
    from rich.markup import escape

    shown_on.print()
    if found.can_train:
        shown_on.print(f"[green]training can start:[/] {escape(command)}", soft_wrap=True)
    else:
        errors = sum(finding.level == "error" for finding in found.findings)
        what = "one error" if errors == 1 else f"{errors} errors"
        shown_on.print(f"[bold red]training cannot start:[/] {what} to mend, see above", soft_wrap=True)


def _fitting_size(pictures: Pictures | None) -> int | None:
    """The side that small pictures are best brought to; None for the usual one."""
    if pictures is None or pictures.largest is None or min(pictures.largest) > _SMALL:
        return None
    return max(32, -(-min(pictures.largest) // 8) * 8)


def _plot(found: Inspection, path: Path, *, quiet: bool) -> None:
    from longtail.report.plots import class_sizes_plot

    factor = found.imbalance_factor
    if factor is None:
        print(f"plot: {path} is not written, since no class has training images", file=sys.stderr)
        return
    note = f"{len(found.class_names):,} classes, imbalance factor {factor:.3g}"
    class_sizes_plot(path, found.train_counts, found.thresholds, title=f"Class sizes: {found.name}", note=note)
    if not quiet:
        print(f"plot: {path}")
