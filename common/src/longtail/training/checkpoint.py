"""Checkpoints: one dictionary in the shape of the LDAM family's scripts, with what an exact continuation needs beside it."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from longtail.backbones import load_backbone_weights
from longtail.errors import UserError
from longtail.training.files import write_atomically
from longtail.training.recipe import Recipe

FORMAT = 1
_BACKBONE = "backbone."


@dataclass
class Progress:
    """How far a run has come; all of it goes into the checkpoint.

    Args:
        epoch: epochs completed, so also the 0-based epoch to go on with.
        step: batches done of that epoch.
        best: the selection score of the best evaluation so far, a fraction, or None before the first.
        best_epoch: its 0-based epoch.
        best_result, last_result: the test summaries of the best and the latest evaluation, as dictionaries.
        meters: running sums of the training epoch that is under way.
        log_sizes: bytes of each log file, by name; None where the checkpoint is not of this project.
    """

    epoch: int = 0
    step: int = 0
    best: float | None = None
    best_epoch: int | None = None
    best_result: dict[str, Any] | None = None
    last_result: dict[str, Any] | None = None
    meters: Tensor | None = None
    log_sizes: dict[str, int] | None = None


def pack(recipe: Recipe, optimiser: torch.optim.Optimizer, progress: Progress, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint, which `torch.load` reads with `weights_only=True`.

    Keys: `epoch` (the next epoch, 0-based), `state_dict` (the network's, under the originals' names), `best_acc1` (percent),
    `optimizer`, and `longtail`: everything else.
    """
    state = recipe.state_dict()
    return {
        "epoch": progress.epoch,
        "state_dict": {name.removeprefix(_BACKBONE): value for name, value in state.items() if name.startswith(_BACKBONE)},
        "best_acc1": 100 * (progress.best or 0.0),
        "optimizer": optimiser.state_dict(),
        "longtail": {
            "format": FORMAT,
            "recipe": {name: value for name, value in state.items() if not name.startswith(_BACKBONE)},
            "progress": dict(vars(progress)),
            "identity": dict(identity),
        },
    }


def save(content: Mapping[str, Any], *paths: Path) -> None:
    """Write the content of a checkpoint to each path, atomically."""
    if paths:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        for path in paths:
            write_atomically(path, buffer.getvalue())


def load_plain(path: Path, *, allowed: Sequence[type] = ()) -> Any:
    """What a file of `torch.save` holds, onto the CPU, if that is plain data: tensors, numbers, numpy's among them, texts.

    Args:
        path: of the file.
        allowed: further classes that it may hold; making one with any attributes must be harmless.

    Raises:
        UserError: no file, a damaged one, or one that holds more, for reading it could run a program.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint found at '{path}'")
    try:
        with torch.serialization.safe_globals([*_numpy_numbers(), *allowed]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, OSError, ValueError) as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named is not None:
            raise UserError(f"{path} holds {named[1]}, which is no plain data: reading it could run a program") from error
        raise UserError(f"{path} is not a readable checkpoint: {_why_unreadable(error)}") from error


def _why_unreadable(error: Exception) -> str:
    """Why PyTorch could not read a file; its own words are about its internals, and advise to trust the file."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is damaged, cut off, or of another kind"


def _numpy_numbers() -> list[Any]:
    """What pickles of numpy's numbers name; reading them runs no code of the file."""
    scalar = np.float64(0).__reduce__()[0]
    # numpy 2 moved the function, and published files are older than that
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [np.dtype, *(type(np.dtype(each)) for each in ("float64", "float32", "int64")), *((scalar, name) for name in names)]


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours or of an original script, onto the CPU; a bare `state_dict` becomes the only entry of one.

    Raises:
        UserError: no file, a damaged one, one that holds more than plain data, or one without a `state_dict`.
    """
    content = load_plain(path)
    if isinstance(content, dict) and content and all(isinstance(value, Tensor) for value in content.values()):
        content = {"state_dict": dict(content)}
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(f"{path} is not a checkpoint: it has no 'state_dict'")
    ours = content.get("longtail")
    if ours is not None and ours.get("format") != FORMAT:
        raise UserError(f"{path} has checkpoint format {ours.get('format')}, this version reads format {FORMAT}")
    return content


def read_weights(path: Path) -> dict[str, Tensor]:
    """The network's weights in a file: a checkpoint's `state_dict`, the `model` of MAE and timm, or the file as it is.

    Raises:
        UserError: no file, a damaged one, one that holds more than plain data, or one without weights.
    """
    content = load_plain(path)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    weights = {name: value for name, value in content.items() if isinstance(value, Tensor)} if isinstance(content, dict) else {}
    if not weights:
        raise UserError(f"{path} holds no weights of a network")
    return weights


def restore_network(content: Mapping[str, Any], path: Path, recipe: Recipe) -> None:
    """Load the network of a checkpoint, ours or an original script's, into a recipe.

    Raises:
        UserError: the checkpoint belongs to another network.
    """
    try:
        load_backbone_weights(recipe.backbone, content["state_dict"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def restore(content: Mapping[str, Any], path: Path, recipe: Recipe, optimiser: torch.optim.Optimizer) -> Progress:
    """Load a checkpoint into a recipe and its optimiser, and return how far it had come.

    A file of an original script holds the network's weights, the next epoch and the best accuracy; the optimiser then starts
    with empty momentum, as it did there.

    Raises:
        UserError: the checkpoint belongs to another network or another method.
    """
    restore_network(content, path, recipe)
    ours = content.get("longtail")
    if ours is not None:
        missing, unexpected = recipe.load_state_dict(ours["recipe"], strict=False)
        lacking = [name for name in missing if not name.startswith(_BACKBONE)]
        if lacking or unexpected:
            raise UserError(f"{path} was written by another method: {', '.join([*lacking, *unexpected][:3])} do not match")
    if "optimizer" in content:
        _restore_optimiser(optimiser, content["optimizer"], path)
    if ours is not None:
        return Progress(**ours["progress"])
    return Progress(epoch=int(content.get("epoch", 0)), best=float(content.get("best_acc1", 0.0)) / 100)


def _restore_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any], path: Path) -> None:
    """Load momentum and the like; the learning rate and other settings stay as the command line has them."""
    settings = [{name: value for name, value in group.items() if name != "params"} for group in optimiser.param_groups]
    try:
        optimiser.load_state_dict(state)
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} holds the state of another optimiser: {error}") from error
    for group, kept in zip(optimiser.param_groups, settings, strict=True):
        for name in [*group]:
            if name != "params" and name not in kept:
                del group[name]
        group.update(kept)
