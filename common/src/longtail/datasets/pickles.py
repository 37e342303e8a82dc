"""The pickles of the CIFAR archives: read without trusting them, written byte-compatible.

The archives were made with Python 2 (protocol 2, byte strings, one numpy array). A pickle is a program; this reader runs only
the three calls by which such an array is described, and even those never reach numpy: they fill the small classes below.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

ByteArray = npt.NDArray[np.uint8]
"""uint8, shape (N, D)."""
Content = Mapping[str, "str | int | Sequence[int] | Sequence[str] | ByteArray"]


class _Dtype:
    """Stands in for `numpy.dtype`; knows one type."""

    def __init__(self, code: bytes, *_: object) -> None:
        if code != b"u1":
            raise pickle.UnpicklingError(f"array of type {code!r}, only uint8 is expected")

    def __setstate__(self, state: object) -> None:
        """The byte order and the like: without meaning for bytes."""


class _Array:
    """Stands in for `numpy.ndarray`; keeps shape and bytes."""

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Dtype, bool, bytes]) -> None:
        _, shape, dtype, fortran_order, content = state
        if type(dtype) is not _Dtype or fortran_order or type(content) is not bytes:
            raise pickle.UnpicklingError("not an array of plain bytes")
        self.array: ByteArray = np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _reconstruct(*_: object) -> _Array:
    return _Array()


# What the archives name, and what they get instead.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _Dtype,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR archive contains")
        return _ALLOWED[module, name]


def read_pickle(file: BinaryIO) -> dict[str, Any]:
    """The dictionary in a Python 2 pickle of strings, integers, lists and at most uint8 arrays.

    Strings, keys included, come back as `str`, lists of them as lists of `str`, arrays read-only.

    Raises:
        pickle.UnpicklingError: for a pickle that is damaged or contains anything else.
    """
    try:
        content = _Unpickler(file, encoding="bytes").load()
        return {key.decode("latin1"): _plain(value) for key, value in content.items()}
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle can fail in any operation: IndexError, KeyError, MemoryError, ...
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.array if isinstance(value, _Array) else value


def write_pickle(content: Content) -> bytes:
    """The pickle (Python 2 form, protocol 2) of a dictionary of strings, integers, lists of either, and uint8 arrays.

    Today's `pickle` cannot write Python 2 byte strings, which readers of the archives rely on; a few opcodes by hand can.
    """
    out = io.BytesIO()
    out.write(b"\x80\x02}(")
    for key, value in content.items():
        out.write(_string(key.encode("latin1")))
        _write_value(out, value)
    out.write(b"u.")
    return out.getvalue()


def _write_value(out: io.BytesIO, value: str | int | Sequence[int] | Sequence[str] | ByteArray) -> None:
    if isinstance(value, np.ndarray):
        _write_array(out, value)
    elif isinstance(value, (str, int)):
        out.write(_scalar(value))
    else:
        out.write(b"](" + b"".join(_scalar(item) for item in value) + b"e")


def _write_array(out: io.BytesIO, array: ByteArray) -> None:
    if array.dtype != np.uint8:
        raise ValueError(f"only uint8 arrays can be written, got {array.dtype}")
    shape = b"(" + b"".join(_scalar(int(side)) for side in array.shape) + b"t"
    dtype = b"cnumpy\ndtype\n(" + _string(b"u1") + _scalar(0) + _scalar(1) + b"tR"
    dtype_state = b"(" + _scalar(3) + _string(b"|") + b"NNN" + _scalar(-1) + _scalar(-1) + _scalar(0) + b"tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + _scalar(0) + b"t" + _string(b"b") + b"tR"
    out.write(empty + b"(" + _scalar(1) + shape + dtype + dtype_state + b"\x89T" + struct.pack("<i", array.nbytes))
    out.write(np.ascontiguousarray(array).data)
    out.write(b"tb")


def _scalar(value: str | int) -> bytes:
    return _string(value.encode("latin1")) if isinstance(value, str) else b"J" + struct.pack("<i", value)


def _string(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value
