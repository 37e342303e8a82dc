"""`longtail predict RUN IMAGES...`: what a trained run makes of images."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.cli.output import console
from longtail.cli.parsing import Parser
from longtail.cli.trained import about, add_priors, add_run, add_showing, load_adjusted, notice_adjustment, progress_bar
from longtail.errors import UserError
from longtail.training.options import at_least

if TYPE_CHECKING:
    from longtail.training.trained import TrainedRun

FORMATS = (".csv", ".json")
_EXAMPLES = """\
examples:
  longtail predict runs/mine photo.jpg
  longtail predict runs/mine photos/ --top-k 3 --out predictions.csv
  longtail predict runs/mine 'photos/**/*.png' --json
  longtail predict runs/mine photos/ --target-prior uniform"""
_NAMED = 5
"""Unreadable files that are told by name."""
_WIDEST = 60
"""Columns that paths are padded to at most."""


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "predict",
        help="classify images with a trained run",
        description="Classify images with a run of `longtail train`: the most probable classes of each, with probabilities.",
        epilog=_EXAMPLES,
    )
    add_run(parser)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGES", help="files, folders (all images below them), or patterns in quotes"
    )
    parser.add_argument(
        "--top-k", type=at_least(1), default=5, metavar="K", help="classes to tell of each image (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=_table, metavar="FILE", help="write the predictions to this file, which ends in .csv or .json"
    )
    parser.add_argument("--force", action="store_true", help="replace that file if it is there")
    parser.add_argument("--json", action="store_true", help="print the predictions as JSON")
    add_priors(parser, "probabilities of logits")
    parser.add_argument(
        "--on-bad-image",
        choices=("fail", "skip"),
        default="fail",
        help="whether an image that cannot be read makes the command fail in the end, with exit code 2; the others are "
        "classified all the same (default: %(default)s)",
    )
    add_showing(parser)
    parser.set_defaults(run=run)


def _table(text: str) -> Path:
    if Path(text).suffix.lower() not in FORMATS:
        raise argparse.ArgumentTypeError(f"must end in {' or '.join(FORMATS)}, got {text!r}")
    return Path(text).expanduser()


@dataclass
class _Found:
    """What came out so far: for each image its path and best classes, and the files that cannot be read, with the reason."""

    top: list[tuple[str, list[tuple[str, float]]]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def run(arguments: argparse.Namespace) -> None:
    """Classify the images, and write or print what came out."""
    from longtail.datasets.findings import counted, shown
    from longtail.datasets.found import find_images
    from longtail.training.files import demand_writable

    paths = find_images(arguments.images)
    trained = load_adjusted(arguments, arguments.device)
    if arguments.out is not None:
        demand_writable(arguments.out, force=arguments.force)
    notice_adjustment(trained)
    found = _Found()
    width = min(_WIDEST, max(len(shown(path)) for path in paths))
    to_terminal = arguments.out is None and not arguments.json
    with progress_bar(len(paths), wanted=not to_terminal) as advance:
        for done in trained.predict_files(paths, batch_size=arguments.batch_size):
            rows = list(zip(map(str, done.read), done.predictions.top(arguments.top_k), strict=True))
            found.top += rows
            found.left_out += [(str(path), reason) for path, reason in done.unreadable]
            if to_terminal:
                _print(rows, width)
            advance(len(done.read) + len(done.unreadable))
    record = _record(trained, found)
    if arguments.out is not None:
        _write(arguments.out, found, record)
        if not arguments.json:
            print(f"predictions of {counted(len(found.top), 'image')}: {arguments.out}")
    if arguments.json:
        print(json.dumps(record, indent=2))
    _complain(found, fails=arguments.on_bad_image == "fail")


def _print(rows: list[tuple[str, list[tuple[str, float]]]], width: int) -> None:
    """A line for each image: its path and its best classes, the first of them in bold."""
    from rich.text import Text

    from longtail.datasets.findings import shown

    out = console()
    for path, top in rows:
        line = Text(f"{shown(path):<{width}}  ")
        for place, (name, probability) in enumerate(top):
            line.append(f"{', ' if place else ''}{name} {100 * probability:.1f} %", style="bold" if place == 0 else "")
        out.print(line, soft_wrap=True)


def _record(trained: TrainedRun, found: _Found) -> dict[str, Any]:
    return {
        "format": 1,
        **about(trained),
        "images": [
            {"path": path, "top": [{"class": name, "probability": round(each, 6)} for name, each in top]}
            for path, top in found.top
        ],
        "left_out": [{"path": path, "reason": reason} for path, reason in found.left_out],
    }


def _write(file: Path, found: _Found, record: dict[str, Any]) -> None:
    from longtail.training.files import write_atomically, write_json

    if file.suffix.lower() == ".json":
        write_json(file, record)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    places = range(1, 1 + max((len(top) for _, top in found.top), default=1))
    writer.writerow(["path", *(f"{column}_{place}" for place in places for column in ("class", "probability"))])
    for path, top in found.top:
        writer.writerow([path, *(cell for name, each in top for cell in (name, f"{each:.6f}"))])
    write_atomically(file, text.getvalue().encode(errors="surrogateescape"))


def _complain(found: _Found, *, fails: bool) -> None:
    """Name the files that cannot be read, which with `fails` is an error."""
    if not found.left_out:
        return
    from longtail.datasets.findings import counted, shown

    told = "\n  ".join(f"{shown(path)}: {reason}" for path, reason in found.left_out[:_NAMED])
    more = f"\n  and {len(found.left_out) - _NAMED} more" if len(found.left_out) > _NAMED else ""
    if not found.top:
        raise UserError(f"none of the images can be read:\n  {told}{more}")
    text = f"{counted(len(found.left_out), 'image')} cannot be read:\n  {told}{more}"
    if fails:
        raise UserError(f"{text}\nthe others were classified; --on-bad-image skip is content with that")
    print(f"notice: {text}", file=sys.stderr)
