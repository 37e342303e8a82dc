"""`test.py`: evaluate a checkpoint, one of ours or one that the paper's authors published."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.launch import relaunch
from longtail.training.runtime import RuntimeOptions, own_flags
from longtail_cmo.experiments import EXPERIMENTS
from longtail_cmo.flags import create_parser, run_name
from longtail_cmo.training import load, make_network

if TYPE_CHECKING:
    from longtail.datasets.base import LongTailData
    from longtail.metrics import Summary
    from longtail.training.recipe import Recipe

DESCRIPTION = "Evaluate a checkpoint on the test set of --dataset (CMO, Park et al., CVPR 2022)."


def console() -> None:
    """Run as a script."""
    run_command(main)


def main(argv: list[str]) -> int | None:
    """Evaluate as the command line says; the exit code, where other processes did it."""
    args = create_parser(DESCRIPTION, None).parse_args(argv)
    if not args.resume:
        raise UserError("which checkpoint is to be evaluated? give it with --resume PATH")
    if not Path(args.resume).is_file():
        raise UserError(f"no checkpoint found at '{args.resume}'")
    code = relaunch(args.gpu, args.device)
    if code is None:
        evaluate(args, RuntimeOptions.from_arguments(args))
    return code


def evaluate(args: argparse.Namespace, runtime: RuntimeOptions) -> Summary:
    """Evaluate and print; torch is imported from here on."""
    from longtail.training import checkpoint
    from longtail.training.assess import assess
    from longtail.training.devices import place
    from longtail.training.execute import prepare
    from longtail.training.meter_lines import evaluation_line, result_line
    from longtail_cmo.logs import groups_line

    experiment = EXPERIMENTS[args.dataset]
    args.arch = args.arch or experiment.arch
    path = Path(args.resume)
    content = checkpoint.read(path)
    # the training set's class counts define the loss and the shot groups
    data = load(experiment, args, runtime, only_tested=True)
    recipe = create_recipe(args, data)
    checkpoint.restore_network(content, path, recipe)
    setting = prepare(runtime, gpu=args.gpu, workers=args.workers)
    place(recipe, setting.device, runtime)
    say = print if setting.ranks.is_first else lambda *_: None
    say(f"=> creating model '{args.arch}'")
    say(f"=> loaded checkpoint '{path}' (best_acc1 {_percent(content.get('best_acc1'))})")
    summary = assess(
        data,
        recipe,
        setting,
        batch_size=args.batch_size,
        log_interval=args.print_freq,
        on_batch=lambda report: print(evaluation_line(report), flush=True),
    )
    say(result_line(summary))
    say(groups_line(summary))
    if setting.ranks.is_first:
        _finish(args, data, summary, content)
    return summary


def create_recipe(args: argparse.Namespace, data: LongTailData) -> Recipe:
    """The network and the loss that is shown; `DRW` means its second phase, which is `CBReweight`."""
    from longtail.losses import create_loss
    from longtail.training.plain import ClassWeights, PlainTraining
    from longtail_cmo.method import LOSSES
    from longtail_cmo.stage import head_of

    network = make_network(EXPERIMENTS[args.dataset], args.arch, data.num_classes, head_of(args.loss_type), seed=0)
    counts = data.class_counts
    loss = create_loss(LOSSES[args.loss_type], class_counts=counts)
    ClassWeights("none" if args.train_rule == "None" else "reweight", counts, deferral=0).apply(loss, epoch=0)
    return PlainTraining(network, loss)


def _percent(accuracy: Any) -> str:
    return "unknown" if accuracy is None else f"{float(accuracy):.3f}"


def _finish(args: argparse.Namespace, data: LongTailData, summary: Summary, content: dict[str, Any]) -> None:
    """Print the full summary and write `run.json` and `per_class.csv`."""
    from longtail.report.text import summary_text
    from longtail.training.assess import record
    from longtail.training.run_folder import Run

    identity = own_flags(args)
    folder = Path(args.root_log) / f"{run_name(args)}_test"
    print(summary_text(summary, data.train.class_names))
    for moved in record(Run(folder, folder, identity=identity), data, summary, Path(args.resume), content):
        print(f"notice: an earlier evaluation was moved to {moved}")
    print(f"every class: {folder / 'per_class.csv'}")
