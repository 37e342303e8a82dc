"""From numpy arrays on the host to tensors on the loader's device."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def to_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """The array as a tensor on `device`.

    A copy to a GPU goes through pinned memory, because only then does the host not wait for the device's earlier work. On
    the CPU the tensor shares the memory of a contiguous, writeable array and must not be written to.
    """
    tensor = torch.from_numpy(np.require(array, requirements=("C_CONTIGUOUS", "WRITEABLE")))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def on_host(device: torch.device) -> bool:
    """Whether numpy can work on the tensors of this device."""
    return device.type == "cpu"
