"""Every random draw of a run, as a pure function of a seed and a key.

No generator lives from one step to the next. Whoever needs random numbers names a *stream* ("augment", "order", ...) and
the place in the run (epoch, step, ...), and gets a fresh generator that depends on nothing else. A resumed run therefore needs
no saved generator state, and the number of worker processes or ranks changes nothing.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch


def _word(stream: str) -> int:
    """The stream's name as 32 bits: stable over processes and versions, unlike `hash`."""
    return int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=4).digest(), "little")


@dataclass(frozen=True)
class Randomness:
    """The source of all random draws of one run.

    Args:
        seed: the training seed, a non-negative integer. The seed of a long-tailed split is a different thing and never comes
            from here.
    """

    seed: int

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"a seed is a non-negative integer, got {self.seed}")

    def sequence(self, stream: str, *key: int) -> np.random.SeedSequence:
        """The seed sequence of (seed, stream, key); all generators below start from one of these."""
        return np.random.SeedSequence(self.seed, spawn_key=(_word(stream), *key))

    def generator(self, stream: str, *key: int) -> np.random.Generator:
        """A numpy generator (PCG64) for the stream at this key, for example `generator("order", epoch)`."""
        return np.random.Generator(np.random.PCG64(self.sequence(stream, *key)))

    def legacy(self, stream: str, *key: int) -> np.random.RandomState:
        """A generator with numpy's legacy distributions, where a paper's draws are defined by them."""
        return np.random.RandomState(np.random.MT19937(self.sequence(stream, *key)))

    def integer(self, stream: str, *key: int) -> int:
        """One integer in [0, 2**63), to seed another library with."""
        return int(self.sequence(stream, *key).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def torch_generator(self, stream: str, *key: int, device: str = "cpu") -> torch.Generator:
        """A torch generator for the stream at this key."""
        import torch

        return torch.Generator(device=device).manual_seed(self.integer(stream, *key))


def python_shuffle(seed: int) -> Callable[[npt.NDArray[np.int64]], None]:
    """What `random.shuffle` does to arrays, call after call, once `random.seed(seed)` was called; for published splits only.

    Python's global generator stays untouched. All other draws come from `Randomness`.
    """
    generator = random.Random(seed)

    def shuffle(array: npt.NDArray[np.int64]) -> None:
        items = array.tolist()
        generator.shuffle(items)
        array[:] = items

    return shuffle


@contextmanager
def lend_global_generators() -> Iterator[Callable[[int], None]]:
    """Lends Python's and numpy's global generators to a library that draws from no others; afterwards they are as before.

    One thread at a time: these generators belong to the whole process.

    Yields:
        A function that seeds both of them with an integer in [0, 2**32). What is drawn before its first call is left to chance.
    """

    def seed(value: int) -> None:
        random.seed(value)
        np.random.seed(value)

    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield seed
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
