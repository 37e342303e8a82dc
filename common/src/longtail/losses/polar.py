"""Vectors as lengths and directions, for the losses that work on angles."""

from __future__ import annotations

import torch
from torch import Tensor


def lengths_and_directions(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """The L2 length of each vector, shape (..., 1), and the vector divided by it, shape (..., D).

    Lengths neither overflow nor underflow where the vector itself does not. The zero vector has length 0 and direction 0; its
    direction passes gradients on at the order of one, where dividing by a tiny epsilon would multiply them by its inverse.

    Args:
        vectors: shape (..., D), float32 or float64.
    """
    largest = vectors.detach().abs().amax(dim=-1, keepdim=True)
    # A constant factor that the division below takes out again: neither direction nor gradient depends on it.
    unit = torch.where(largest < torch.finfo(vectors.dtype).tiny, torch.ones_like(largest), largest)
    scaled = vectors / unit
    lengths = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
    # At least 1, unless the vector is zero.
    return unit * lengths, scaled / lengths.clamp_min(0.5)
