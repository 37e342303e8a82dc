"""`test.py`: evaluate a checkpoint of `train.py`, ours or the paper's."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.launch import relaunch
from longtail.training.runtime import RuntimeOptions
from longtail_dpa_ei.experiments import LARGE
from longtail_dpa_ei.flags import create_large_test_parser, flag_lines

if TYPE_CHECKING:
    from longtail.metrics import Summary


def console() -> None:
    """Run as a script."""
    run_command(main)


def main(argv: list[str]) -> int | None:
    """Evaluate as the command line says; the exit code, where other processes did it."""
    args = create_large_test_parser().parse_args(argv)
    if not args.loading_path:
        raise UserError("which checkpoint is to be evaluated? give it with --loading_path PATH")
    if not Path(args.loading_path).is_file():
        raise UserError(f"no checkpoint found at '{args.loading_path}'")
    if args.no_cuda and args.device == "auto":
        args.device = "cpu"
    code = relaunch(args.gpu, args.device)
    if code is None:
        evaluate(args, RuntimeOptions.from_arguments(args))
    return code


def evaluate(args: argparse.Namespace, runtime: RuntimeOptions) -> Summary:
    """Evaluate and print; torch is imported from here on."""
    from longtail.distributed import ranks
    from longtail.losses import create_loss
    from longtail.training.assess import assess
    from longtail.training.checkpoint import load_plain
    from longtail.training.devices import place
    from longtail.training.execute import prepare
    from longtail.training.plain import PlainTraining
    from longtail_dpa_ei.evaluation import finish
    from longtail_dpa_ei.large import load
    from longtail_dpa_ei.logs import prec_line, test_line
    from longtail_dpa_ei.stage1 import create_network

    say = print if ranks().is_first else lambda *_: None
    for line in flag_lines(args):
        say(line)
    path = Path(args.loading_path)
    data = load(LARGE[args.dataset], args, runtime, only_tested=True)
    recipe = PlainTraining(create_network(path, data.num_classes, args.seed), create_loss("ce", class_counts=data.class_counts))
    setting = prepare(runtime, gpu=args.gpu, workers=args.workers)
    place(recipe, setting.device, runtime)
    summary = assess(
        data,
        recipe,
        setting,
        batch_size=args.test_batch_size,
        log_interval=args.print_freq,
        on_batch=lambda report: print(test_line(report), flush=True),
    )
    if setting.ranks.is_first:
        print(f"{prec_line(summary)}\nAccuracy:  {100 * summary.accuracy:.3f}")
        finish(args, path, data, summary, load_plain(path))
    return summary
