"""Every configuration of CADEL with its script for two steps on fake data: does it run, how long, with how much memory.

    python benchmarks/cadel_rehearsal.py [--only ViT] [--data FOLDER] [--options "--device cpu --batch_size 2"]

Stage two follows the stage one whose networks it judges. The fake data have all classes, so the networks have their published
size; checkpoints, of up to 4 GB a run, are deleted as soon as nothing needs them. Memory is the most that the process had in
RAM, GPUs not included. The exit code is 1 if a command failed, and its output is then printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from longtail.datasets.fake import write_fake
from longtail.testing import link_scripts
from longtail_cadel.config_files import published_configs
from longtail_cadel.config_loading import load_config
from longtail_cadel.experiments import DATA_SETS, model_dirs

METHOD = Path(__file__).parents[1] / "methods" / "cadel"
LAST_LINES = 15
TWO_STEPS = "--max-epochs 1 --max-steps 2 --batch_size 2 --num_workers 0"


@dataclass(frozen=True)
class Rehearsal:
    """A command and the folder that it writes into."""

    cfg: str
    script: str
    log_dir: str
    model_dir: str | None

    @property
    def trains(self) -> bool:
        """Whether it is stage one."""
        return self.model_dir is None

    def follows(self, other: Rehearsal) -> bool:
        """Whether it judges the networks that the other one trains."""
        folders = [] if self.model_dir is None else model_dirs(self.model_dir)
        return other.trains and any(Path(each) == Path(other.log_dir) for each in folders)


def script_of(layout: str, *, trains: bool) -> str:
    """The README's script for a network."""
    name = {"vit": "main_ViT", "places": "main_CNN_Places365"}.get(layout, "main_CNN")
    return f"{name}.py" if trains else f"{name}_PC.py"


def rehearsals(only: str) -> Iterator[Rehearsal]:
    """Those whose file has `only` in its path; each stage two comes after its stage one."""
    found = []
    for path in published_configs():
        config = load_config(path)
        trains = config.model_dir is None
        script = script_of(config.layout, trains=trains)
        found.append(Rehearsal(f"./{path}", script, config.training_opt.log_dir, config.model_dir))
    for first in (each for each in found if each.trains and only in each.cfg):
        yield first
        # two files of stage one may write into one folder; the last of them is what stage two finds
        if not any(other.trains and other.log_dir == first.log_dir for other in found[found.index(first) + 1 :]):
            yield from (each for each in found if each.follows(first))


def make_data(folder: Path) -> None:
    """Fake data sets where the paper's commands look for them."""
    for each in DATA_SETS.values():
        write_fake(each.lists, folder / each.name, largest_class=6, test_per_class=1)


def rehearse(each: Rehearsal, folder: Path, options: str) -> tuple[int, float, float, str]:
    """Exit code, seconds, peak of the process's memory in GiB, and what it said."""
    command = [sys.executable, each.script, "--cfg", each.cfg, *(["--no_pretrained"] if each.trains else [])]
    environment = {**os.environ, "LONGTAIL_ADDOPTS": f"{TWO_STEPS} {options}"}
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        said.seek(0)
        return process.returncode, seconds, usage.ru_maxrss / 2**20, said.read()


def main() -> None:
    """Rehearse and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="files with this in their path; stage two comes with its stage one"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep the fake data in this folder, or take them from there")
    parser.add_argument("--options", default="", metavar="OPTIONS", help=f"appended to {TWO_STEPS!r}")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = link_scripts(METHOD, Path(temporary))
        data = folder / "data" if args.data is None else args.data.resolve()
        make_data(data)
        if args.data is not None:
            (folder / "data").symlink_to(data)
        failed = print_table(folder, args.only, args.options)
    sys.exit(int(failed))


def print_table(folder: Path, only: str, options: str) -> bool:
    """Rehearse one command after the other; whether one of them failed."""
    failures = []
    print(f"{'configuration':54} {'script':24} {'result':9} {'seconds':>7} {'GiB':>5}")
    for each in rehearsals(only):
        if each.trains:
            shutil.rmtree(folder / "logs", ignore_errors=True)
        code, seconds, memory, said = rehearse(each, folder, options)
        result = "ok" if code == 0 else f"failed {code}"
        print(f"{each.cfg.removeprefix('./'):54} {each.script:24} {result:9} {seconds:7.0f} {memory:5.1f}", flush=True)
        if code:
            failures.append(f"\n{each.script} --cfg {each.cfg}\n" + "\n".join(said.splitlines()[-LAST_LINES:]))
    shutil.rmtree(folder / "logs", ignore_errors=True)
    print("\n".join(failures))
    return bool(failures)


if __name__ == "__main__":
    main()
