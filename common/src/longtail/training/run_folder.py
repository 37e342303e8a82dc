"""One execution and its folders: where logs and checkpoints go, and that no earlier run is lost."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from longtail import notes
from longtail.errors import UserError
from longtail.training.files import AppendedFile, make_folder, read_json, write_atomically, write_json

RUN_JSON = "run.json"
METRICS = "metrics.jsonl"
PER_CLASS = "per_class.csv"


@dataclass(frozen=True)
class CheckpointNames:
    """What the checkpoint files of a paper are called.

    Args:
        last, best: file names, below the folder of the checkpoints.
        numbered: a pattern with `{epoch}` (1-based) or `{index}` (0-based), written every `every` epochs; None writes none.
        only_latest: of the numbered files the last one alone is kept.
        content: makes what best and numbered files hold from the content of a checkpoint; None leaves it as it is.
    """

    last: str = "ckpt.pth.tar"
    best: str = "ckpt.best.pth.tar"
    numbered: str | None = None
    every: int = 20
    only_latest: bool = False
    content: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None


class Run:
    """The folders of one run, and the files in them that every method has.

    Args:
        log_dir: logs, `run.json`, `metrics.jsonl`, `per_class.csv`.
        checkpoint_dir: checkpoints; may be the same folder.
        identity: whatever must agree for a checkpoint to be continued (options, data set, seed), as plain data.
        names: names of the checkpoint files.
    """

    def __init__(
        self, log_dir: Path, checkpoint_dir: Path, *, identity: Mapping[str, Any], names: CheckpointNames | None = None
    ) -> None:
        self.log_dir = log_dir
        self.checkpoint_dir = checkpoint_dir
        self.identity = json.loads(json.dumps(dict(identity)))
        self.names = names or CheckpointNames()
        self._logs: dict[str, AppendedFile] = {}
        self._kept_sizes: dict[str, int] | None = None
        self._record: dict[str, Any] = {}

    @property
    def last_checkpoint(self) -> Path:
        """The file that the run continues from."""
        return self.checkpoint_dir / self.names.last

    @property
    def best_checkpoint(self) -> Path:
        """The file of the selected epoch."""
        return self.checkpoint_dir / self.names.best

    def numbered_checkpoint(self, epoch: int) -> Path | None:
        """The file of its own that this 1-based epoch gets, or None where it gets none."""
        names = self.names
        if names.numbered is None or epoch < 1 or epoch % names.every:
            return None
        return self.checkpoint_dir / names.numbered.format(epoch=epoch, index=epoch - 1)

    def owns(self, checkpoint: Path) -> bool:
        """Whether a checkpoint lies among those of this run."""
        return self.checkpoint_dir.resolve() in checkpoint.resolve().parents

    def is_there(self) -> bool:
        """Whether the folder holds an earlier execution of this very run, with a checkpoint."""
        return self.last_checkpoint.is_file() and self._earlier_identity() in (None, self.identity)

    def can_continue(self) -> bool:
        """Whether an earlier execution of this very run left a checkpoint.

        Raises:
            UserError: the folder's run had other options, so that continuing it would mix two runs.
        """
        if not self.last_checkpoint.is_file():
            return False
        earlier = self._earlier_identity()
        if earlier is not None and earlier != self.identity:
            differing = sorted(key for key in {*earlier, *self.identity} if earlier.get(key) != self.identity.get(key))
            shown = ", ".join(f"{key} was {earlier.get(key)!r} and is {self.identity.get(key)!r}" for key in differing[:3])
            raise UserError(f"{self.log_dir} holds a run with other options ({shown}); give those, or start a new run")
        return True

    def _earlier_identity(self) -> dict[str, Any] | None:
        record = self.log_dir / RUN_JSON
        return read_json(record).get("identity") if record.is_file() else None

    def begin(self, *, keep_logs: Mapping[str, int] | None, details: Mapping[str, Any]) -> list[Path]:
        """Make the folders and write `run.json`; a new run moves what an earlier one left to a numbered folder beside it.

        Args:
            keep_logs: None for a new run; on resuming, how many bytes of each log belong to the checkpoint.
            details: what `run.json` tells besides command, identity and versions.

        Returns:
            The folders that earlier runs were moved to.

        Raises:
            UserError: a folder cannot be made or written to.
        """
        moved = self._set_aside() if keep_logs is None else []
        files = (self.last_checkpoint, self.best_checkpoint, self.checkpoint_dir / (self.names.numbered or self.names.last))
        for folder in (self.log_dir, *dict.fromkeys(file.parent for file in files)):
            make_folder(folder)
        self._kept_sizes = None if keep_logs is None else dict(keep_logs)
        self._record = {
            "format": 1,
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "appended_options": os.environ.get("LONGTAIL_ADDOPTS", ""),
            "identity": self.identity,
            **details,
            "versions": _versions(),
            "git_commit": _git_commit(),
            "finished": False,
        }
        write_json(self.log_dir / RUN_JSON, self._record)
        notes.leave(notes.RUN, str(self.log_dir))
        return moved

    def finish(self, results: Mapping[str, Any]) -> None:
        """Complete `run.json` with the final results."""
        self._record = {**self._record, "finished": True, "results": dict(results)}
        write_json(self.log_dir / RUN_JSON, self._record)

    def log(self, name: str) -> AppendedFile:
        """The log of this name; on resuming, with what its run had written before the checkpoint."""
        if name not in self._logs:
            size = 0 if self._kept_sizes is None else self._kept_sizes.get(name, 0)
            self._logs[name] = AppendedFile(self.log_dir / name, size)
        return self._logs[name]

    def log_sizes(self) -> dict[str, int]:
        """Bytes of each log so far, for the checkpoint."""
        return {**(self._kept_sizes or {}), **{name: log.size for name, log in self._logs.items()}}

    def record_metrics(self, values: Mapping[str, Any]) -> None:
        """Add one line to `metrics.jsonl`."""
        self.log(METRICS).append(json.dumps(dict(values), allow_nan=False) + "\n")

    def write_per_class(self, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Write `per_class.csv`; None becomes an empty field."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        write_atomically(self.log_dir / PER_CLASS, text.getvalue().encode())

    def _set_aside(self) -> list[Path]:
        occupied = [
            folder for folder in dict.fromkeys((self.log_dir, self.checkpoint_dir)) if folder.is_dir() and any(folder.iterdir())
        ]
        if not occupied:
            return []
        number = 1
        while any(_numbered(folder, number).exists() for folder in (self.log_dir, self.checkpoint_dir)):
            number += 1
        moved = []
        for folder in occupied:
            try:
                moved.append(folder.rename(_numbered(folder, number)))
            except OSError as error:
                raise UserError(f"cannot move the earlier run out of {folder}: {error.strerror or error}") from error
        return moved


def _numbered(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}~{number}")


def _versions() -> dict[str, str]:
    names = [each for each in ("longtail-common", "torch", "torchvision", "timm", "numpy", "pillow") if _installed(each)]
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _git_commit() -> str | None:
    """The commit of the checkout that this code runs from, with `+` where it was changed; None where it is installed."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", here.name], capture_output=True, check=True, timeout=10)
        described = subprocess.run(
            [*git, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
