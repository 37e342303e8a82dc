"""Post-hoc logit adjustment: predictions for other shares of the classes than those that were learnt."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.errors import UserError

if TYPE_CHECKING:
    from longtail.training.trained import TrainedRun

Shares = npt.NDArray[np.float64]
"""Shares of the classes, float64, shape (C,), >= 0, with sum 1."""

Prior: TypeAlias = "str | Path | Mapping[str, float] | Sequence[float]"
"""What tells shares: `uniform`, `train` (those of the training images), a file, or shares or counts themselves, by class or in
the order of the classes. They are divided by their sum. A file is JSON, or CSV with lines `class,share`, below a header or
without one."""

_GIVEN = "the shares given"


@dataclass(frozen=True)
class Adjustment:
    """From the class prior that logits have learnt to the one that they are to answer for.

    Menon et al., Long-tail Learning via Logit Adjustment, ICLR 2021 (arXiv 2007.07314), equation 9, with any target in place of
    the uniform one.

    Args:
        source, target: what the two are called.
        source_shares, target_shares: of the classes. One that the target has none of is never predicted.
        is_assumed: nobody has stated the source; it follows from the loss.
    """

    source: str
    target: str
    source_shares: Shares
    target_shares: Shares
    is_assumed: bool = False

    @property
    def shift(self) -> Tensor:
        """log target - log source, float32, shape (C,): what is added to the logits."""
        with np.errstate(divide="ignore"):
            return torch.from_numpy(np.log(self.target_shares) - np.log(self.source_shares)).float()

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {
            "target_prior": self.target,
            "source_prior": self.source,
            "target_shares": self.target_shares.tolist(),
            "source_shares": self.source_shares.tolist(),
        }

    def __str__(self) -> str:
        """In a line for a person."""
        text = f"logits + log prior of {self.target} - log prior of {self.source}"
        if self.is_assumed:
            text += ", which they are taken to have learnt"
        if np.array_equal(self.source_shares, self.target_shares):
            text += "; this changes nothing"
        return text + (", see --source-prior" if self.is_assumed else "")


def adjustment(run: TrainedRun, target: Prior, source: Prior | None = None) -> Adjustment:
    """What makes a run's logits answer for the class prior `target`.

    Args:
        run: with classes and class counts.
        target: the prior of the images to come.
        source: the prior that the logits have learnt; None takes the recipe's `learnt_prior`.

    Raises:
        UserError: a prior cannot be read, its classes are not the run's, the source gives a class no share, or nobody knows it.
    """
    if source is None and run.reading is not None:
        raise UserError(f"for which prior the reading {run.reading!r} predicts is not known; name it (--source-prior)")
    learnt = run.recipe.learnt_prior if source is None else source
    from_shares, to_shares = prior_shares(learnt, run), prior_shares(target, run)
    if not (from_shares > 0).all():
        name = run.class_names[int(from_shares.argmin())]
        raise UserError(
            f"the prior that the logits have learnt, {_called(learnt)}, gives class {name!r} no share, so that nothing can be "
            "taken out of its logit"
        )
    return Adjustment(_called(learnt), _called(target), from_shares, to_shares, is_assumed=source is None)


def _called(prior: Prior) -> str:
    return str(prior) if isinstance(prior, str | Path) else _GIVEN


def prior_shares(prior: Prior, run: TrainedRun) -> Shares:
    """The shares of a run's classes that a prior tells.

    Raises:
        UserError: no such file, or its classes are not the run's.
    """
    if isinstance(prior, str) and prior == "uniform":
        return np.full(len(run.class_names), 1 / len(run.class_names))
    if isinstance(prior, str) and prior == "train":
        return np.asarray(run.class_counts / run.class_counts.sum(), dtype=np.float64)
    where = _called(prior)
    given = _by_class(_read(Path(prior).expanduser()) if isinstance(prior, str | Path) else prior, where, run.class_names)
    missing = [each for each in run.class_names if each not in given]
    unknown = [each for each in given if each not in run.class_names]
    if missing or unknown:
        what = f"no share of class {missing[0]!r}" if missing else f"a class {unknown[0]!r} that the run does not know"
        raise UserError(f"{where}: {what}; a prior needs exactly the run's {len(run.class_names)} classes")
    shares = np.array([_number(given[each], each, where) for each in run.class_names])
    if not shares.sum() > 0:
        raise UserError(f"{where}: all shares are 0")
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"a prior is uniform, train, or a JSON or CSV file; there is no file {path}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text) if path.suffix.lower() == ".json" else _table(text)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is neither JSON nor a CSV of lines `class,share`: {error}") from error


def _table(text: str) -> dict[str, str]:
    """The rows, without a header."""
    shares: dict[str, str] = {}
    rows = csv.reader(io.StringIO(text, newline=""))
    for row in filter(None, rows):
        if len(row) < 2:
            raise ValueError(f"line {rows.line_num} has one column")
        name = row[0].strip()
        if name in shares:
            raise ValueError(f"line {rows.line_num} names class {name!r} again")
        shares[name] = row[1]
        if rows.line_num == 1 and not _is_number(row[1]):
            del shares[name]
    return shares


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _by_class(given: Any, where: str, class_names: Sequence[str]) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    if not isinstance(given, list | tuple | np.ndarray):
        raise UserError(f"{where}: a prior maps each class to its share, or lists the shares")
    if len(given) != len(class_names):
        raise UserError(f"{where}: {len(given)} shares, the run has {len(class_names)} classes")
    return dict(zip(class_names, given, strict=True))


def _number(value: Any, name: str, where: str) -> float:
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = math.nan
    if not (math.isfinite(share) and share >= 0):
        raise UserError(f"{where}: the share of class {name!r} is a number of at least 0, got {value!r}")
    return share
