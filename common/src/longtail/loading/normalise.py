"""From bytes to what a network sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from longtail.loading.rows import blocks


class Normalise:
    """Bytes scaled to [0, 1], shifted and scaled by channel: float32, equal to torchvision's ToTensor and Normalize to the bit.

    Args:
        mean, std: of each channel, for values in [0, 1].
        device: where the images are.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(f"mean and std have three entries, and std is positive; got {tuple(mean)} and {tuple(std)}")
        self._mean = torch.tensor(mean, dtype=torch.float32, device=device)
        self._std = torch.tensor(std, dtype=torch.float32, device=device)
        # a tensor, because a GPU multiplies by the rounded reciprocal of a plain number instead of dividing
        self._white = torch.tensor(255.0, device=device)
        self._by_value: tuple[Tensor, Tensor] = self._mean, self._std

    def __call__(self, images: Tensor) -> Tensor:
        """The normalised images.

        Args:
            images: uint8, shape (B, H, W, 3), contiguous.

        Returns:
            float32, shape (B, 3, H, W), `channels_last` in memory.
        """
        mean, std = self._tiled(images.shape[1] * images.shape[2])
        values = torch.empty(images.shape, dtype=torch.float32, device=images.device)
        for block in blocks(images, np.arange(len(images))):
            span = slice(int(block[0]), int(block[-1]) + 1)
            # converted first: a division that converts makes a copy that has to be found room for
            values[span].flatten(1).copy_(images[span].flatten(1)).div_(self._white).sub_(mean).div_(std)
        return values.permute(0, 3, 1, 2)

    def _tiled(self, pixels: int) -> tuple[Tensor, Tensor]:
        """Mean and std for every value of an image: broadcasting over three channels only would be several times slower."""
        if len(self._by_value[0]) != 3 * pixels:
            self._by_value = self._mean.repeat(pixels), self._std.repeat(pixels)
        return self._by_value
