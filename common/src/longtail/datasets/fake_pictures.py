"""Pictures that show their class: two colours in one of four patterns, shifted at random, under noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from longtail.datasets.base import Indices

# Colours lie in [44, 212), brightness in [-12, 12), noise in [-32, 32): no sum leaves a byte.
_DARKEST, _BRIGHTEST, _SHIFT, _NOISE = 44, 212, 12, 32


def pictures(labels: Indices, side: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """One picture per label, uint8, shape (N, 3, side, side), RGB.

    Colours and pattern depend on the label alone, not on how many classes there are. They survive flips, crops and changes of
    scale, as the training augmentations make them.

    Args:
        labels: int64, shape (N,).
        side: in pixels, at least 4.
        rng: draws shifts, brightness and noise.
    """
    out = np.empty((len(labels), 3, side, side), dtype=np.uint8)
    for first in range(0, len(labels), 512):
        block = slice(first, first + 512)
        _draw(labels[block], rng, out[block])
    return out


def _draw(labels: Indices, rng: np.random.Generator, out: npt.NDArray[np.uint8]) -> None:
    count, _, side, _ = out.shape
    brightness = rng.integers(-_SHIFT, _SHIFT, (count, 1, 1))
    first, second = np.moveaxis((_colours(labels) + brightness - _NOISE).astype(np.uint8), 1, 0)[..., None, None]
    # Arithmetic modulo 256 throughout: several times faster than choosing between two colours pixel by pixel.
    np.multiply(_patterns(labels, side, rng)[:, None], second - first, out=out)
    out += first
    out += np.frombuffer(rng.bytes(out.size), dtype=np.uint8).reshape(out.shape) & (2 * _NOISE - 1)


def _colours(labels: Indices) -> npt.NDArray[np.float64]:
    """Two colours for each label, shape (N, 2, 3): points of a sequence that fills six dimensions evenly from its start.

    Additive recurrence with the powers of 1/g, where g is the root of x^7 = x + 1 (a golden ratio for six dimensions).
    """
    g = 1.1127756842787055
    steps = g ** -np.arange(1.0, 7.0)
    unit = (0.5 + (labels[:, None] + 1) * steps) % 1.0
    return np.reshape(_DARKEST + unit * (_BRIGHTEST - _DARKEST), (-1, 2, 3))


def _patterns(labels: Indices, side: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """1 where the second colour goes, shape (N, side, side): bars across, bars upright, checks or a grid, by label modulo 4."""
    shift = rng.integers(0, side, (2, len(labels), 1))
    bars = ((np.arange(side) + shift) // (side // 4) % 2).astype(np.uint8)
    rows, columns = bars[0][:, :, None], bars[1][:, None, :]
    out = np.empty((len(labels), side, side), dtype=np.uint8)
    kind = labels % 4
    out[kind == 0] = rows[kind == 0]
    out[kind == 1] = columns[kind == 1]
    out[kind == 2] = rows[kind == 2] ^ columns[kind == 2]
    out[kind == 3] = rows[kind == 3] | columns[kind == 3]
    return out
