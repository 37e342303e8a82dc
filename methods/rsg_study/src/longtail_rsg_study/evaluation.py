"""`imagenet_lt_test.py`: evaluate the best epoch of a run, one of ours or of the study's own script."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.launch import relaunch
from longtail.training.runtime import RuntimeOptions, own_flags
from longtail_rsg_study.flags import create_test_parser, dataset_name

if TYPE_CHECKING:
    from longtail.datasets.base import LongTailData
    from longtail.metrics import Summary
    from longtail.training.recipe import Recipe

BEST = "ckpt.best.pth.tar"


def console() -> None:
    """Run as a script."""
    run_command(main)


def main(argv: list[str]) -> int | None:
    """Evaluate as the command line says; the exit code, where other processes did it."""
    args = create_test_parser().parse_args(argv)
    trained = Trained.find(args)
    code = None if args.gpu is None else relaunch(args.gpu, args.device)
    if code is None:
        evaluate(args, RuntimeOptions.from_arguments(args), trained)
    return code


@dataclass(frozen=True)
class Trained:
    """Where a run of the training script left what a test needs.

    Args:
        log_dir: folder with its arguments.
        checkpoint: its best epoch.
    """

    log_dir: Path
    checkpoint: Path

    @classmethod
    def find(cls, args: argparse.Namespace) -> Trained:
        """The run of `--model_dir`.

        Raises:
            UserError: it is not there.
        """
        logs, checkpoints = Path(args.log_dir), Path(args.checkpoint_dir)
        found = cls(logs / args.model_dir, checkpoints / args.model_dir / BEST)
        if found.is_there():
            return found
        folders = sorted(each for each in logs.iterdir() if each.is_dir()) if logs.is_dir() else []
        runs = [each.name for each in folders if cls(each, checkpoints / each.name / BEST).is_there()]
        there = "\n".join(["there are:", *(f"  {name}" for name in runs)]) if runs else "there is none yet"
        missing = found.checkpoint if found.has_arguments() else f"args.json in {found.log_dir}"
        raise UserError(
            f"no run --model_dir {args.model_dir}: there is no {missing}.\nOf runs in {logs} and {checkpoints} {there}"
        )

    def is_there(self) -> bool:
        """Whether both files are."""
        return self.has_arguments() and self.checkpoint.is_file()

    def has_arguments(self) -> bool:
        """Whether the run's arguments are there, in one of the two forms."""
        return any((self.log_dir / name).is_file() for name in ("args.json", "args.pkl"))

    def network(self) -> Network:
        """What the run trained.

        Raises:
            UserError: its arguments cannot be read, or do not say it.
        """
        from longtail_rsg_study.logs import read_arguments

        arguments = read_arguments(self.log_dir)
        try:
            arch, classes, cosine = str(arguments["arch"]), int(arguments["cls_num"]), bool(arguments["norm_out"])
            return Network(arch, classes, cosine, int(arguments.get("input_size", 224)), str(arguments.get("data_dir", "")))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"the arguments of the run in {self.log_dir} are incomplete or damaged: {error}") from error


@dataclass(frozen=True)
class Network:
    """What a run trained.

    Args:
        arch: of the backbone.
        classes: number of classes.
        cosine: whether the classifier is cosines.
        input_size: side of the images in pixels.
        data_dir: the data set that it learned from; empty where that is unknown.
    """

    arch: str
    classes: int
    cosine: bool
    input_size: int
    data_dir: str


def evaluate(args: argparse.Namespace, runtime: RuntimeOptions, trained: Trained) -> Summary:
    """Evaluate, print and write; torch is imported from here on."""
    from longtail.training import checkpoint
    from longtail.training.assess import assess
    from longtail.training.devices import place
    from longtail.training.execute import prepare
    from longtail_rsg_study.data import shown, thresholds

    network = trained.network()
    content = checkpoint.read(trained.checkpoint)
    data = load(args, runtime, network)
    recipe = create_recipe(network, data)
    restore(recipe, content, trained.checkpoint)
    setting = prepare(runtime, gpu=args.gpu, workers=args.workers)
    place(recipe, setting.device, runtime)
    groups = thresholds(dataset_name(args.data_dir), data.class_counts.tolist())
    if setting.ranks.is_first:
        say_notices(args, data, network)
    summary = assess(
        data,
        recipe,
        setting,
        batch_size=args.batch_size,
        thresholds=groups,
        shown=shown(data, setting, batch_size=args.batch_size),
    )
    if setting.ranks.is_first:
        finish(args, trained, data, summary, content)
    return summary


def load(args: argparse.Namespace, runtime: RuntimeOptions, network: Network) -> LongTailData:
    """The data set to test on.

    Raises:
        UserError: it is not there or not in order, or has another number of classes than the run's.
    """
    from longtail_rsg_study import data

    found = data.load(args.data_dir, input_size=network.input_size, on_bad_image=runtime.on_bad_image, only_tested=True)
    if found.num_classes != network.classes:
        learned = f", learned on {network.data_dir}" if network.data_dir else ""
        raise UserError(
            f"--data_dir {args.data_dir} has {found.num_classes} classes, and the run --model_dir {args.model_dir} tells "
            f"{network.classes} apart{learned}: give the data set and the run that belong together"
        )
    return found


def create_recipe(network: Network, data: LongTailData) -> Recipe:
    """The run's network; RSG and margin heads belong to training alone."""
    from longtail.backbones import create_backbone
    from longtail.losses import create_loss
    from longtail.training.plain import PlainTraining

    head = "cosine" if network.cosine else "linear"
    backbone = create_backbone(network.arch, num_classes=network.classes, head=head, seed=0)
    return PlainTraining(backbone, create_loss("ce", class_counts=data.class_counts))


def restore(recipe: Recipe, content: dict[str, Any], path: Path) -> None:
    """Load the network of a checkpoint, which may hold more: the study's own keep the margin heads.

    Raises:
        UserError: something of the network is not in it.
    """
    from longtail.backbones import load_matching_weights

    try:
        loaded = load_matching_weights(recipe.backbone, content["state_dict"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    lacking = [*loaded.missing, *loaded.misshapen]
    if lacking:
        raise UserError(
            f"{path} is a checkpoint of another network than the run's arguments say: {', '.join(lacking[:3])} differ"
        )
    if loaded.surplus:
        print(f"notice: not used of {path}: {', '.join(loaded.surplus[:3])}", file=sys.stderr)


def say_notices(args: argparse.Namespace, data: LongTailData, network: Network) -> None:
    """Tell what the numbers may not mean."""
    from longtail_rsg_study.data import MINI_IMAGENET, is_descending

    name, learned = dataset_name(args.data_dir), dataset_name(network.data_dir or args.data_dir)
    if name != learned:
        print(f"notice: the run learned on {learned}, and is tested on {name}", file=sys.stderr)
    if name != MINI_IMAGENET and not is_descending(data.class_counts.tolist()):
        print(
            f"notice: the classes of {name} do not fall in size; for the bounds of many and low they are sorted",
            file=sys.stderr,
        )


def finish(args: argparse.Namespace, trained: Trained, data: LongTailData, summary: Summary, content: dict[str, Any]) -> None:
    """Print the study's line and write `test.log`; then the full summary, `run.json` and `per_class.csv`."""
    from longtail.report.text import summary_text
    from longtail.training.assess import record
    from longtail.training.files import write_atomically
    from longtail.training.run_folder import Run
    from longtail_rsg_study.logs import TEST_LOG, shots_line

    line = shots_line(summary)
    print(line)
    write_atomically(trained.log_dir / TEST_LOG, line.encode())
    print(summary_text(summary, data.train.class_names))
    folder = trained.log_dir / "test"
    for moved in record(Run(folder, folder, identity=own_flags(args)), data, summary, trained.checkpoint, content):
        print(f"notice: an earlier evaluation was moved to {moved}")
    print(f"every class: {folder / 'per_class.csv'}")
