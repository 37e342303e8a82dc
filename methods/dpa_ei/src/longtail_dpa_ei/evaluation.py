"""`cifar_test.py`: evaluate a checkpoint, one of ours or one that the paper's script left."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.runtime import RuntimeOptions, own_flags
from longtail_dpa_ei.experiments import CIFAR
from longtail_dpa_ei.flags import create_cifar_test_parser, flag_lines

if TYPE_CHECKING:
    from longtail.datasets.base import LongTailData
    from longtail.metrics import Summary


def console() -> None:
    """Run as a script."""
    run_command(main)


def main(argv: list[str]) -> None:
    """Evaluate as the command line says."""
    args = create_cifar_test_parser().parse_args(argv)
    if not args.checkpoint_path:
        raise UserError("which checkpoint is to be evaluated? give it with --checkpoint_path PATH")
    if not Path(args.checkpoint_path).is_file():
        raise UserError(f"no checkpoint found at '{args.checkpoint_path}'")
    if args.num_meta is None:
        args.num_meta = CIFAR[args.dataset].num_classes
    evaluate(args, RuntimeOptions.from_arguments(args))


def evaluate(args: argparse.Namespace, runtime: RuntimeOptions) -> Summary:
    """Evaluate and print; torch is imported from here on."""
    from longtail.backbones import check_size, create_backbone
    from longtail.losses import create_loss
    from longtail.training import checkpoint
    from longtail.training.assess import assess
    from longtail.training.devices import place
    from longtail.training.execute import prepare
    from longtail.training.plain import PlainTraining
    from longtail_dpa_ei.cifar import load
    from longtail_dpa_ei.logs import prec_line, result_block, test_line

    for line in flag_lines(args):
        print(line)
    path = Path(args.checkpoint_path)
    print(f"checkpoint_path: {path}")
    check_size(args.arch, small=True, title="CIFAR", instead="resnet32")
    content = checkpoint.read(path)
    print("loading test data")
    data = load(args, runtime)
    print(f"{len(data.test)} test images")
    network = create_backbone(args.arch, num_classes=data.num_classes, seed=0)
    recipe = PlainTraining(network, create_loss("ce", class_counts=data.class_counts))
    checkpoint.restore_network(content, path, recipe)
    setting = prepare(runtime)
    place(recipe, setting.device, runtime)
    summary = assess(
        data,
        recipe,
        setting,
        batch_size=100,
        log_interval=100,
        on_batch=lambda report: print(test_line(report), flush=True),
    )
    print(prec_line(summary))
    print(result_block(args.dataset, args.imb_factor, summary))
    finish(args, path, data, summary, content)
    return summary


def finish(args: argparse.Namespace, path: Path, data: LongTailData, summary: Summary, content: dict[str, Any]) -> None:
    """Print the full summary, and write `run.json` and `per_class.csv` beside the checkpoint."""
    from longtail.report.text import summary_text
    from longtail.training.assess import record
    from longtail.training.run_folder import Run

    identity = own_flags(args)
    folder = path.with_name(f"{path.name.removesuffix('.tar').removesuffix('.pth')}_test")
    print(summary_text(summary, data.train.class_names))
    for moved in record(Run(folder, folder, identity=identity), data, summary, path, content):
        print(f"notice: an earlier evaluation was moved to {moved}")
    print(f"every class: {folder / 'per_class.csv'}")
