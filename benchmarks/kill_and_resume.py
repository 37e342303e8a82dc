"""Kill a training run with SIGKILL at random moments, continue it each time, and compare with a run that never stopped.

    python benchmarks/kill_and_resume.py --root DIR [--kills 10] [--epochs 8] [--steps 20]

Runs `cifar_train.py` (BS + CMO on CIFAR-100-LT, shortened) twice: once whole, once killed `--kills` times and continued with
`--resume-auto`. The final weights, optimiser state and logged results must be equal to the bit; exit code 1 where they are not.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

SCRIPT = Path(__file__).parents[1] / "methods" / "cmo" / "cifar_train.py"
NAME = "cifar100_resnet32_BS_None_CMO_0.01_0_0.5_0"


def command(args: argparse.Namespace, folder: Path, *more: str) -> list[str]:
    """The training command with its outputs below `folder`."""
    paper = [
        "--dataset",
        "cifar100",
        "--loss_type",
        "BS",
        "--epochs",
        str(args.epochs),
        "--data_aug",
        "CMO",
        "--root",
        args.root,
    ]
    where = ["--root_log", str(folder / "log"), "--root_model", str(folder / "checkpoint")]
    ours = ["--fit-schedule", "--max-steps", str(args.steps), "--checkpoint-every", "3", *more]
    return [sys.executable, str(SCRIPT), *paper, *where, *ours]


def killed_run(args: argparse.Namespace, folder: Path, chance: random.Random) -> int:
    """Start, kill, continue, until the run has been killed often enough and then ends by itself; returns the kills."""
    log = folder / "log" / NAME / "log_train.csv"
    kills = 0
    while True:
        process = subprocess.Popen(
            command(args, folder, "--resume-auto", "--print_freq", "1"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if kills < args.kills:
            lines = _lines(log)
            while process.poll() is None and _lines(log) < lines + 1:  # it has started to train
                time.sleep(0.02)
            _wait(process, chance.uniform(0.0, args.longest))
        if process.poll() is None and kills < args.kills:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            print(f"killed {kills}: {_lines(log)} batches were logged", flush=True)
            continue
        _, error = process.communicate()
        if process.returncode:
            sys.exit(error.decode())
        return kills


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


def outcome(folder: Path) -> dict[str, Any]:
    """What must not differ: the last checkpoint but for the sizes of logs (they hold times), and all logged results."""
    checkpoint = torch.load(folder / "checkpoint" / NAME / "ckpt.pth.tar", weights_only=True)
    checkpoint["longtail"]["progress"].pop("log_sizes")
    lines = [json.loads(line) for line in (folder / "log" / NAME / "metrics.jsonl").read_text().splitlines()]
    return {"checkpoint": checkpoint, "results": [{key: line[key] for key in line if key != "train_seconds"} for line in lines]}


def same(first: Any, second: Any) -> bool:
    """Equal to the bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def main() -> None:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder of the CIFAR-100 pickles")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20, help="batches of an epoch")
    parser.add_argument("--longest", type=float, default=6.0, help="longest time from the first new batch to the kill, seconds")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Path(folder) / "whole", Path(folder) / "parts"
        subprocess.run(command(args, whole), check=True, stdout=subprocess.DEVNULL)
        kills = killed_run(args, parts, random.Random(args.seed))
        equal = same(outcome(whole), outcome(parts))
    print(f"{kills} kills, {args.epochs} epochs of {args.steps} batches: {'equal to the bit' if equal else 'DIFFERENT'}")
    if not equal or kills < args.kills:
        sys.exit(1)


if __name__ == "__main__":
    main()
