"""Fixtures of the loading tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class _NoReading(TorchDispatchMode):
    """Fails on operations whose result the host would have to wait for, if it came from a GPU."""

    READING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "bincount", "is_nonzero")

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = operation.overloadpacket.__name__
        assert not name.startswith(self.READING), f"{name} makes the host wait for the device"
        return operation(*args, **(kwargs or {}))


@pytest.fixture
def no_waiting(monkeypatch) -> AbstractContextManager[None]:
    """A context in which reading a tensor's values on the host fails."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a tensor's values were brought to the host")

    @contextmanager
    def context() -> Iterator[None]:
        with monkeypatch.context() as patch, _NoReading():
            patch.setattr(torch.Tensor, "numpy", refuse)
            patch.setattr(torch.Tensor, "tolist", refuse)
            yield

    return context()
