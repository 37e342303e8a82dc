"""Going on with `--start_epoch`, from files of ours or of the paper's script."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from longtail.errors import UserError
from longtail.training import checkpoint
from longtail.training.checkpoint import Progress
from longtail.training.files import read_json
from longtail.training.recipe import Recipe
from longtail.training.run_folder import METRICS, Run
from longtail_lcsl.logs import KEYS, RECORDS, best_log, read_records, train_log
from longtail_lcsl.recipe import LCSL


@dataclass(frozen=True)
class Restart:
    """A run that goes on with a given epoch, from the bare weights in its folder.

    The paper's script kept no momentum, so the optimiser starts with none.

    Args:
        run: the run.
        name: its name.
        done: epochs that count as done.
        dataset, num_classes: what the run is about to train on.
    """

    run: Run
    name: str
    done: int
    dataset: str
    num_classes: int

    def __call__(self, recipe: Recipe, optimiser: torch.optim.Optimizer) -> Progress:
        """Load the student and the teacher, and tell how far the run had come.

        Raises:
            UserError: files are missing or damaged, or belong to another data set or network.
        """
        assert isinstance(recipe, LCSL)
        self._check_data()
        records = self._records()
        scores = [-1.0 if score is None else score for score in records["acc_test"]]
        best = max(scores)
        teacher, student = self.run.best_checkpoint, self._student()
        checkpoint.restore_network(checkpoint.read(teacher), teacher, recipe)
        if best > 0:
            recipe.refresh_teacher(recipe.backbone.state_dict())
        checkpoint.restore_network(checkpoint.read(student), student, recipe)
        return Progress(epoch=self.done, best=best, best_epoch=scores.index(best), log_sizes=self._log_sizes())

    def _check_data(self) -> None:
        path = self.run.log_dir / "args.txt"
        flags: dict[str, Any] = read_json(path) if path.is_file() else {}
        wrong = [
            f"{name} {flags[name]}, not {wanted}"
            for name, wanted in (("dataset", self.dataset), ("nClasses", self.num_classes))
            if flags.get(name, wanted) != wanted
        ]
        if wrong:
            raise UserError(f"{path} tells of a run on other data ({'; '.join(wrong)}); start a new one without --start_epoch")

    def _records(self) -> dict[str, list[float | None]]:
        path = self.run.log_dir / RECORDS
        if not path.is_file():
            raise UserError(
                f"--start_epoch {self.done + 1}: there is no {path}, which tells how the epochs before it went; "
                "start a new run without --start_epoch"
            )
        records = read_records(self.run, self.done)
        if any(len(records[key]) < self.done for key in KEYS):
            known = min(len(records[key]) for key in KEYS)
            raise UserError(f"--start_epoch {self.done + 1}: {path} knows {known} epochs; the next one is {known + 1}")
        return records

    def _student(self) -> Path:
        """The weights after the last epoch done, or else, as the paper's script took, those after the one to be done."""
        numbered = [self.run.numbered_checkpoint(epoch) for epoch in (self.done, self.done + 1)]
        candidates = [path for path in numbered if path is not None]
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            names = " nor ".join(str(path) for path in candidates)
            raise UserError(f"--start_epoch {self.done + 1}: there is neither {names}; only the latest epoch is kept")
        return found

    def _log_sizes(self) -> dict[str, int]:
        """How much of each log is about the epochs done."""
        following = self.done + 1
        return {
            train_log(self.name): self._size(train_log(self.name), lambda line: line.startswith(f"Epoch {following}/"), -1),
            best_log(self.name): self._size(best_log(self.name), lambda line: _best_epoch(line) >= following),
            METRICS: self._size(METRICS, lambda line: _measured_epoch(line) >= self.done),
        }

    def _size(self, name: str, is_later: Any, blank: int = 0) -> int:
        """Bytes before the first line that is later; `blank` is -1 where an empty line belongs to what follows it."""
        path = self.run.log_dir / name
        if not path.is_file():
            return 0
        size = 0
        for line in path.read_bytes().splitlines(keepends=True):
            if is_later(line.decode(errors="replace")):
                return max(0, size + blank)
            size += len(line)
        return size


def _best_epoch(line: str) -> int:
    """The epoch, 1-based, that a line about a new best one names; 0 where it names none."""
    number = line.partition("epoch-")[2].partition(":")[0]
    return int(number) if number.isdecimal() else 0


def _measured_epoch(line: str) -> float:
    """The epoch, 0-based, of a line of `metrics.jsonl`; beyond all of them where a killed run left half a line."""
    try:
        return float(json.loads(line)["epoch"])
    except ValueError:
        return math.inf
