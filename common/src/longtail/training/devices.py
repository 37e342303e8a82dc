"""Where and in which precision a run computes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

import torch

from longtail.distributed import ranks
from longtail.errors import UserError
from longtail.loading.base import Batch
from longtail.training.launch import in_words, is_launched
from longtail.training.runtime import RuntimeOptions


def choose_device(name: str, *, gpu: int | Sequence[int] | None = None) -> torch.device:
    """The device of this process for `--device NAME` and a paper's `--gpu`; several processes take one GPU each.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:N`; all but `auto` and `cuda` override `gpu`.
        gpu: ids of GPUs, one for each process of this machine; on a machine without CUDA it warns and the CPU is used.

    Raises:
        UserError: no such device, or none for this process.
    """
    gpus = (gpu,) if isinstance(gpu, int) else tuple(gpu or ())
    asked = f"--device {name}"
    if gpus and name == "auto" and not torch.cuda.is_available():
        if ranks().is_first and not is_launched():
            print(f"warning: {in_words(gpus)} was given but there is no CUDA device; running on the CPU", file=sys.stderr)
        return torch.device("cpu")
    if gpus and name in ("auto", "cuda") and torch.cuda.is_available():
        asked, name = in_words(gpus), f"cuda:{_own(gpus)}"
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"--device {name}: no such device; use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UserError(f"{asked}: there is no CUDA device here; use --device cpu")
        index = ranks().local_rank if device.index is None else device.index
        if not 0 <= index < torch.cuda.device_count():
            raise UserError(f"{asked}: this machine has {torch.cuda.device_count()} CUDA device(s)")
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    elif device.type not in ("cpu", "mps"):
        raise UserError(f"--device {name}: no such device; use auto, cpu, cuda or cuda:N")
    return device


def _own(gpus: Sequence[int]) -> int:
    place = ranks().local_rank
    if is_launched():
        return place
    if place >= len(gpus):
        raise UserError(f"{in_words(gpus)}: no GPU for process {place + 1} of this machine; name one for each, or leave it out")
    return gpus[place]


def make_exact(device: torch.device) -> None:
    """Ask every library for the same bits each time."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True, warn_only=True)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """The context in which forward passes run."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def place(module: torch.nn.Module, device: torch.device, options: RuntimeOptions) -> None:
    """Move a module to its device and memory format, in place."""
    if options.channels_last:
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    else:
        module.to(device=device)


def in_memory_format(batch: Batch, options: RuntimeOptions) -> Batch:
    """The batch with its images in the memory format of the run; loaders yield channels_last."""
    if options.channels_last:
        return batch
    partner = None if batch.partner is None else in_memory_format(batch.partner, options)
    return batch._replace(images=batch.images.contiguous(), partner=partner)
