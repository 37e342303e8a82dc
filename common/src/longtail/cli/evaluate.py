"""`longtail eval RUN`: how good a trained run is on a data set, also where the classes are distributed otherwise."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from longtail.cli.data_options import add_data
from longtail.cli.output import console, percent, table, told_of_groups
from longtail.cli.parsing import Parser
from longtail.cli.trained import about, add_priors, add_run, add_showing, load_adjusted, progress_bar
from longtail.report.scores import SCORES
from longtail.training.options import at_least

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from longtail.cli.jobs import Source
    from longtail.datasets.base import ImageData, LongTailData
    from longtail.metrics import Summary
    from longtail.training.runtime import RuntimeOptions
    from longtail.training.trained import TrainedRun

_EXAMPLES = """\
examples:
  longtail eval runs/mine
  longtail eval runs/mine --data photos --target-prior uniform
  longtail eval runs/mine --data digits --json"""
_PLAIN, _ADJUSTED = "plain", "adjusted"


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "eval",
        help="judge a trained run on a data set, also under other class distributions",
        description="Judge a run of `longtail train` on labelled images: all metrics; accuracy on test sets that are "
        "long-tailed forwards (like training), uniform, or long-tailed backwards; and both again with logits adjusted to a "
        "class prior.",
        epilog=_EXAMPLES,
    )
    add_run(parser)
    add_data(parser, "its test images (default: those of the run itself)")
    add_priors(parser, "also judge with logits")
    parser.add_argument(
        "--workers", type=at_least(0), default=4, metavar="N", help="processes that read files (default: %(default)s)"
    )
    parser.add_argument(
        "--on-bad-image",
        choices=("fail", "skip"),
        default="fail",
        help="what an image that cannot be read does: stop the command, or be left out (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    add_showing(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Judge the run and print what came out."""
    trained = load_adjusted(arguments, arguments.device)
    data = labelled_images(arguments, trained)
    with progress_bar(len(data)) as advance:
        summaries = trained.evaluate(
            data, _shifts(trained), batch_size=arguments.batch_size, workers=arguments.workers, on_batch=advance
        )
    record = _record(arguments, trained, data, summaries)
    if arguments.json:
        print(json.dumps(record, indent=2))
    else:
        _report(trained, data, summaries, record)


def _shifts(trained: TrainedRun) -> dict[str, Tensor]:
    """What is added to the logits, by the name of the column."""
    import torch

    plain = {_PLAIN: torch.zeros(len(trained.class_names))}
    return plain if trained.adjustment is None else {**plain, _ADJUSTED: trained.adjustment.shift}


def load_source(source: Source, root: str, runtime: RuntimeOptions) -> LongTailData:
    """The data set that a run was trained on."""
    return source.load(root, runtime)


def labelled_images(
    arguments: argparse.Namespace,
    trained: TrainedRun,
    load: Callable[[Source, str, RuntimeOptions], LongTailData] = load_source,
) -> ImageData:
    """The labelled images, with the run's classes.

    Args:
        arguments: `data`, None for what the run was tested on, `root` and `on_bad_image`.
        trained: the run.
        load: what loads the data set that it was trained on; one that remembers serves several runs.
    """
    from longtail.datasets.factory import create_data
    from longtail.datasets.labelled import load_labelled, only_readable, relabelled
    from longtail.names import DATASETS, IN_FILES

    its_own = trained.record["identity"].get("data", "")
    name = arguments.data = arguments.data or its_own
    if name == its_own:
        data = relabelled(_own_test_images(arguments, trained, load), trained.class_names, name)
    elif name in DATASETS:
        size = trained.image_size if name in IN_FILES else None
        made = create_data(name, root=arguments.root, image_size=size, only_tested=True)
        data = relabelled(made.test, trained.class_names, name)
    else:
        data = load_labelled(name, trained.class_names, upright=trained.record["input"]["upright"])
    return only_readable(data) if arguments.on_bad_image == "skip" else data


def _own_test_images(
    arguments: argparse.Namespace, trained: TrainedRun, load: Callable[[Source, str, RuntimeOptions], LongTailData]
) -> ImageData:
    """The test images of the data that the run was trained on, drawn as they were then."""
    from longtail.cli.jobs import Source
    from longtail.datasets.factory import fingerprint, known_or_there
    from longtail.training.runtime import RuntimeOptions

    identity = trained.record["identity"]
    known_or_there(identity["data"])
    source = Source(**{each.name: identity[each.name] for each in fields(Source) if each.name in identity})
    shared = {each: identity[each] for each in ("select", "val_fraction") if each in identity}
    data = load(source, arguments.root, RuntimeOptions(**shared, on_bad_image=arguments.on_bad_image))
    if fingerprint(data) != identity.get("data_fingerprint"):
        print(
            f"notice: {source.label} is not as it was when the run was trained; images that it was trained on may be among "
            "those that it is tested on now",
            file=sys.stderr,
        )
    return data.test


def _distributions(trained: TrainedRun, summaries: dict[str, Summary]) -> list[dict[str, Any]]:
    """Accuracy under every test distribution, by what was added to the logits."""
    from longtail.metrics.distributions import DISTRIBUTIONS, accuracy_under, shares_of

    rows = []
    for each in DISTRIBUTIONS:
        shares = shares_of(each, trained.class_counts)
        accuracies = {name: accuracy_under(shares, summary.per_class_accuracy) for name, summary in summaries.items()}
        rows.append({"direction": each.direction, "ratio": each.ratio, "accuracy": accuracies})
    return rows


def _record(
    arguments: argparse.Namespace,
    trained: TrainedRun,
    data: ImageData,
    summaries: dict[str, Summary],
) -> dict[str, Any]:
    absent = [name for name, count in zip(trained.class_names, data.class_counts, strict=True) if not count]
    return {
        "format": 1,
        **about(trained),
        "data": arguments.data,
        "images": len(data),
        "class_names": list(trained.class_names),
        "classes_without_images": absent,
        "logit_scale": trained.logit_scale,
        "results": {name: summary.to_dict() for name, summary in summaries.items()},
        "test_distributions": _distributions(trained, summaries),
    }


_LABELS = {_PLAIN: "as trained", _ADJUSTED: "adjusted"}


def _report(trained: TrainedRun, data: ImageData, summaries: dict[str, Summary], record: dict[str, Any]) -> None:
    from longtail.datasets.findings import counted

    network = f"{trained.method}, {trained.which} checkpoint (epoch {trained.epoch})"
    _heading(f"{network}, {counted(len(data), 'image')} of {record['data']}, in %")
    plain = summaries[_PLAIN]
    shown = table("", *(_LABELS[name] for name in summaries), numbers=True)
    for name, key in SCORES.items():
        if key != "top5" or plain.top_k < len(trained.class_names):
            label = f"top-{plain.top_k}" if key == "top5" else name
            shown.add_row(label, *(percent(getattr(summary, key)) for summary in summaries.values()))
    console().print(shown)
    _explain(trained, plain, record)
    _heading("Accuracy under other class distributions, in %")
    shown = table("test set", *(_LABELS[name] for name in summaries), numbers=True)
    for row in record["test_distributions"]:
        name = row["direction"] if row["ratio"] == 1 else f"{row['direction']} {row['ratio']}"
        shown.add_row(name, *(percent(each) for each in row["accuracy"].values()))
    console().print(shown)
    print("forward R: class sizes fall exponentially as in training, the largest R times the smallest; backward R: they rise")
    print("computed: the accuracies of the classes, weighted by their shares, which is what drawn test sets have on average")


def _heading(text: str) -> None:
    print()
    console().print(text, style="bold", markup=False, soft_wrap=True)


def _explain(trained: TrainedRun, plain: Summary, record: dict[str, Any]) -> None:
    """What the columns are, and whatever is out of the ordinary."""
    print(f"worst class as trained: {trained.class_names[plain.worst_class]}; negative log likelihood: {plain.nll:.3f}")
    print(f"{told_of_groups(trained.thresholds)}; balanced: mean over classes")
    if trained.logit_scale != 1:
        print(f"the network gives cosines; probabilities are those of {trained.logit_scale:g} times as much, as in its loss")
    if trained.adjustment is not None:
        print(f"adjusted: {trained.adjustment}")
        print("longtail predict and longtail export adjust logits with the same options")
    absent = record["classes_without_images"]
    if absent:
        named = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        print(f"{len(absent)} of {len(trained.class_names)} classes have no image here and count nowhere: {named}")
