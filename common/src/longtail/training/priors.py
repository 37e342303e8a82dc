"""Post-hoc logit adjustment: predictions for other shares of the classes than those that were learnt."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.errors import UserError
from longtail.losses import BalancedSoftmax, LogitAdjustment
from longtail.training.trained import TrainedRun

Prior = npt.NDArray[np.float64]
"""Shares of the classes, float64, shape (C,), >= 0, with sum 1."""


def adjustment(source: Prior, target: Prior) -> Tensor:
    """log target - log source, float32, shape (C,): what, added to logits that learnt `source`, makes them answer for `target`.

    Menon et al., Long-tail Learning via Logit Adjustment, ICLR 2021 (arXiv 2007.07314), equation 9, with any target in place of
    the uniform one. A class that the target has none of is never predicted.

    Raises:
        UserError: a class has no share in the source.
    """
    if not (source > 0).all():
        raise UserError(
            "the prior that the logits have learnt gives a class no share, so that nothing can be taken out of its logits"
        )
    with np.errstate(divide="ignore"):
        return torch.from_numpy(np.log(target) - np.log(source)).float()


def learnt_prior(run: TrainedRun) -> str:
    """The prior that a run's logits have learnt: `uniform` where the loss takes the training set's out, otherwise `train`."""
    losses = (BalancedSoftmax, LogitAdjustment)
    return "uniform" if any(isinstance(each, losses) for each in run.recipe.modules()) else "train"


def prior_named(name: str, run: TrainedRun) -> Prior:
    """Shares of a run's classes.

    Args:
        name: `uniform`, `train` (shares of the training images), or a file: JSON (an object from class to share or count, or a
            list in the order of the classes) or CSV (a header and lines `class,share`). What it holds is divided by its sum.
        run: with classes and class counts.

    Raises:
        UserError: no such file, or its classes are not the run's.
    """
    if name == "uniform":
        return np.full(len(run.class_names), 1 / len(run.class_names))
    if name == "train":
        return np.asarray(run.class_counts / run.class_counts.sum(), dtype=np.float64)
    path = Path(name).expanduser()
    if not path.is_file():
        raise UserError(f"a prior is uniform, train, or a file; there is no file {name}")
    given = _read(path, run)
    missing = [each for each in run.class_names if each not in given]
    unknown = [each for each in given if each not in run.class_names]
    if missing or unknown:
        what = (
            f"has no share of class {missing[0]!r}" if missing else f"names a class {unknown[0]!r} that the run does not know"
        )
        raise UserError(f"{path} {what}; it needs exactly the run's {len(run.class_names)} classes")
    shares = np.array([_number(given[each], each, path) for each in run.class_names])
    if not shares.sum() > 0:
        raise UserError(f"{path}: all shares are 0")
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def _read(path: Path, run: TrainedRun) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            content = json.loads(text)
        else:
            rows = [row for row in csv.reader(text.splitlines()[1:]) if row]
            content = {row[0].strip(): row[1] for row in rows}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, IndexError, csv.Error) as error:
        raise UserError(f"{path} is neither JSON nor a CSV with a header and lines `class,share`: {error}") from error
    if isinstance(content, list):
        if len(content) != len(run.class_names):
            raise UserError(f"{path} has {len(content)} shares, the run has {len(run.class_names)} classes")
        return dict(zip(run.class_names, content, strict=True))
    if not isinstance(content, dict):
        raise UserError(f"{path} holds neither an object from class to share nor a list of shares")
    return content


def _number(value: Any, name: str, path: Path) -> float:
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = math.nan
    if not (math.isfinite(share) and share >= 0):
        raise UserError(f"{path}: the share of class {name!r} is a number of at least 0, got {value!r}")
    return share
