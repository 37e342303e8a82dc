"""`longtail report RUN...`: trained runs as one HTML file."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.cli import evaluate
from longtail.cli.data_options import add_data
from longtail.cli.parsing import Parser
from longtail.cli.trained import add_showing, progress_bar
from longtail.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from longtail.datasets.base import ImageData, LongTailData
    from longtail.report.html import Predicted, ReportedRun
    from longtail.training.trained import TrainedRun

_EXAMPLES = """\
examples:
  longtail report runs/mine
  longtail report runs/erm runs/cmo --out both.html
  longtail report comparisons/photos --title "Photos: three methods"
  longtail report runs/mine --data other-photos --no-images"""


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "report",
        help="show trained runs in one HTML file",
        description="Write one HTML file about runs: their results side by side, accuracy of the classes against their size, "
        "learning curves, calibration, confusions, the worst classes with examples, settings and versions. The file needs no "
        "network and no other file.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "run_folders",
        nargs="+",
        metavar="RUN",
        help="folder of a run, one that holds several, or that of a comparison; of each run the best epoch is shown",
    )
    parser.add_argument(
        "--out",
        type=_page,
        default=Path("report.html"),
        metavar="FILE",
        help="the file, replaced if there (default: %(default)s)",
    )
    parser.add_argument("--title", default="Long-tailed classification: report", metavar="TEXT", help="of the page")
    add_data(parser, "its test images, for calibration, confusions and examples (default: those of each run itself)")
    parser.add_argument("--no-images", action="store_true", help="show no test images")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    add_showing(parser)
    parser.set_defaults(run=run)


def _page(text: str) -> Path:
    if Path(text).suffix.lower() not in (".html", ".htm"):
        raise argparse.ArgumentTypeError(f"must end in .html, got {text!r}")
    return Path(text)


def run(arguments: argparse.Namespace) -> None:
    """Write the file, and tell what is missing in it."""
    from longtail.report.html import LIMIT, build_page, find_comparison, find_runs, read_comparison, read_run
    from longtail.training.files import make_folder, write_atomically

    folders = find_runs(arguments.run_folders)
    file = find_comparison(arguments.run_folders)
    comparison = None if file is None else read_comparison(file)
    members = {} if comparison is None else comparison.members
    place = {name: at for at, name in enumerate(members)}
    folders.sort(key=lambda folder: place.get(folder.name, len(place)))
    load = cache(evaluate.load_source)
    runs = [_with_predictions(read_run(folder, members.get(folder.name)), arguments, load) for folder in folders]

    def page(images: bool) -> bytes:
        return build_page(runs, comparison, title=arguments.title, images=images).encode()

    content = page(images=not arguments.no_images)
    if len(content) > LIMIT and not arguments.no_images:
        _notice(f"with images the page would have {_size(content)}; they are left out")
        content = page(images=False)
    if len(content) > LIMIT:
        _notice(f"the page has {_size(content)}; report fewer runs in one page to have smaller ones")
    make_folder(arguments.out.parent)
    write_atomically(arguments.out, content)
    absent = {str(each.folder): each.why_not for each in runs if each.why_not}
    if arguments.json:
        told = {"format": 1, "report": str(arguments.out), "bytes": len(content), "runs": [str(each.folder) for each in runs]}
        print(json.dumps({**told, "without_predictions": absent}, indent=2))
    else:
        print(f"report of {len(runs)} {'run' if len(runs) == 1 else 'runs'}: {arguments.out} ({_size(content)})")


def _with_predictions(found: ReportedRun, arguments: argparse.Namespace, load: Callable[..., LongTailData]) -> ReportedRun:
    """The run with what it makes of test images, or with the reason why that is not known."""
    try:
        return replace(found, predicted=_predict(found, arguments, load))
    except UserError as reason:
        first = str(reason).splitlines()[0]
        _notice(f"{found.name}: no calibration, confusions and examples: {first}")
        return replace(found, why_not=first)


def _predict(found: ReportedRun, arguments: argparse.Namespace, load: Callable[..., LongTailData]) -> Predicted:
    from longtail.datasets.findings import shown
    from longtail.report.html import predict_on
    from longtail.training.devices import make_exact
    from longtail.training.trained import load_run

    trained = load_run(found.folder, device=arguments.device)
    make_exact(trained.device)
    data, source = _images(trained, arguments, load)
    with progress_bar(len(data)) as advance:
        return predict_on(trained, data, shown(source), batch_size=arguments.batch_size, on_batch=advance)


def _images(trained: TrainedRun, arguments: argparse.Namespace, load: Callable[..., LongTailData]) -> tuple[ImageData, str]:
    """What the network is shown, and what it is called: a name, or the last part of a path."""
    skipped = bool(trained.record.get("left_out"))
    asked = argparse.Namespace(data=arguments.data, root=arguments.root, on_bad_image="skip" if skipped else "fail")
    try:
        data = evaluate.labelled_images(asked, trained, load)
    except UserError:
        # a list may name files that are gone; to skip those, every file is read, those of training as well
        asked.on_bad_image = "skip"
        data = evaluate.labelled_images(asked, trained, load)
    return data, Path(asked.data).name


def _notice(text: str) -> None:
    print(f"notice: {text}", file=sys.stderr)


def _size(content: bytes) -> str:
    return f"{len(content) / 1e3:.0f} kB" if len(content) < 1e6 else f"{len(content) / 1e6:.1f} MB"
