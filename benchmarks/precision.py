"""What bfloat16 costs in accuracy: the same runs in float32 and in bf16, paired by seed, judged after the last epoch.

    python benchmarks/precision.py [--method cmo] [--data digits] [--root DIR] [--backbone resnet20] [--epochs 30] [--seeds 5]

The embedded digits take about ten seconds a run; any data set of `longtail train` will do. The spread is the sample standard
deviation over seeds, that of the difference is of the paired differences.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

from longtail.cli.jobs import Job, Source, run_job
from longtail.metrics import ShotThresholds
from longtail.training.method import load_method
from longtail.training.run_folder import Run
from longtail.training.runtime import RuntimeOptions


def main() -> None:
    """Run the pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="cmo")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--root", default="data")
    parser.add_argument("--backbone", default="resnet20")
    parser.add_argument("--imbalance-factor", type=float, default=0.02)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.025)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    scores: dict[str, list[float]] = {"float32": [], "bf16": []}
    for seed in range(args.seeds):
        for precision, found in scores.items():
            found.append(accuracy(args, seed, precision))
        print(f"seed {seed}: " + ", ".join(f"{name} {100 * found[-1]:.2f}" for name, found in scores.items()), flush=True)
    differences = [low - full for low, full in zip(scores["bf16"], scores["float32"], strict=True)]
    for name, values in {**scores, "bf16 - float32": differences}.items():
        print(f"{name:<16}{100 * statistics.mean(values):8.2f} ± {100 * statistics.stdev(values):.2f}")


def accuracy(args: argparse.Namespace, seed: int, precision: str) -> float:
    """The test accuracy of one run after its last epoch."""
    method = load_method(args.method)
    runtime = RuntimeOptions(device="cpu", precision=precision, select="last", eval_every=args.epochs, progress="none")
    source = Source(args.data, args.imbalance_factor)
    options = method.options(epochs=args.epochs, batch_size=args.batch_size, lr=args.lr)
    job = Job(method, options, source, args.backbone, seed, runtime, ShotThresholds())
    with tempfile.TemporaryDirectory() as folder:
        _, results = run_job(
            job,
            source.load(args.root, runtime),
            lambda _, identity: Run(Path(folder), Path(folder), identity=identity),
            lambda _: [],
        )
    return float(results["last"]["accuracy"])


if __name__ == "__main__":
    main()
