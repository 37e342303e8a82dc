"""Pixel operations on batches, equal to Pillow's on every image.

Images are uint8, shape (B, H, W, 3), contiguous; a parameter has one entry for each image, shape (B,), on the host. Every
function returns new images. The arithmetic repeats Pillow's: where Pillow truncates, these do; intermediate results are
integers that float32 holds exactly, or take the same roundings in the same order, so that CPU and GPU agree to the bit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.loading.rows import per_image
from longtail.loading.transfer import to_device

Numbers = npt.NDArray[Any]
"""A parameter for every image, shape (B,)."""


def _lines(images: Tensor) -> Tensor:
    """The images as lines of interleaved bytes, (B, H, 3 W): long inner loops instead of loops over three channels."""
    return images.view(images.shape[0], images.shape[1], -1)


def _to_bytes(values: Tensor) -> Tensor:
    """Truncated to uint8; by way of int32, because that is twice as fast on a CPU and has one meaning everywhere."""
    return values.to(torch.int32).to(torch.uint8)


def invert(images: Tensor) -> Tensor:
    """255 - v."""
    return images.bitwise_not()


def posterize(images: Tensor, bits: Numbers) -> Tensor:
    """The highest `bits` bits of every value."""
    masks = ~((1 << (8 - bits.astype(np.int64))) - 1) & 255
    return _lines(images).bitwise_and(per_image(masks, images, torch.uint8)).view_as(images)


def solarize(images: Tensor, thresholds: Numbers) -> Tensor:
    """Values from the threshold on, inverted."""
    lines = _lines(images)
    # compared as int16: a threshold of 256 leaves everything as it is, and an integer meets it where it meets its ceiling
    inverted = lines.to(torch.int16) >= per_image(np.ceil(thresholds), images, torch.int16)
    return inverted.view(torch.uint8).neg().bitwise_xor_(lines).view_as(images)


def autocontrast(images: Tensor) -> Tensor:
    """Each channel stretched so that its values span 0 to 255."""
    batch, height, width, _ = images.shape
    pixels = images.view(batch, height * width, 3)
    low, high = (bound.to(torch.float64) for bound in (pixels.amin(1), pixels.amax(1)))
    flat = high <= low
    scale = torch.where(flat, 1.0, torch.full_like(low, 255).div(torch.where(flat, 1.0, high - low)))
    offset = torch.where(flat, 0.0, -low * scale)
    table = torch.arange(256, dtype=torch.float64, device=images.device) * scale[..., None] + offset[..., None]
    return _look_up(_to_bytes(table.clamp_(0, 255)), _histogram_bins(images)).view_as(images)


def equalize(images: Tensor) -> Tensor:
    """Each channel's histogram made as flat as Pillow makes it."""
    batch = len(images)
    bins = _histogram_bins(images)
    counts = torch.zeros(batch * 3 * 256, dtype=torch.int32, device=images.device)
    counts.scatter_add_(0, bins, torch.ones(1, dtype=torch.int32, device=images.device).expand(len(bins)))
    counts = counts.view(batch, 3, 256)
    brightest = images.view(batch, -1, 3).amax(1).to(torch.int64).unsqueeze(-1)
    step = (counts.sum(-1, keepdim=True) - counts.gather(-1, brightest)) // 255
    below = counts.cumsum(-1) - counts
    levels = (step // 2 + below) // step.clamp(min=1)
    unchanged = torch.arange(256, device=images.device).expand_as(levels)
    table = torch.where(step > 0, levels.clamp_(max=255), unchanged)
    return _look_up(table.to(torch.uint8), bins).view_as(images)


def _histogram_bins(images: Tensor) -> Tensor:
    """The bin of every value, flat, when every channel of every image has 256 bins of its own."""
    batch, height, width, _ = images.shape
    channel = torch.arange(0, 768, 256, device=images.device).repeat(height * width)
    image = torch.arange(0, batch * 768, 768, device=images.device)
    return images.view(batch, -1).to(torch.int64).add_(channel).add_(image[:, None]).view(-1)


def _look_up(table: Tensor, bins: Tensor) -> Tensor:
    return table.reshape(-1).index_select(0, bins)


def brightness(images: Tensor, factors: Numbers) -> Tensor:
    """Blended with black: 0 is black, 1 the image."""
    values = _lines(images).to(torch.float32).mul_(per_image(factors, images, torch.float32))
    return _to_bytes(values.clamp_(0, 255)).view_as(images)


def contrast(images: Tensor, factors: Numbers) -> Tensor:
    """Blended with the mean of the image's luminance: 0 is one grey, 1 the image."""
    count = images.shape[1] * images.shape[2]
    total = luminance(images).to(torch.int64).sum((1, 2))
    mean = (2 * total + count) // (2 * count)
    return _blend(mean.to(torch.float32).view(-1, 1, 1), images, factors)


def saturation(images: Tensor, factors: Numbers) -> Tensor:
    """Blended with the image's luminance: 0 is grey, 1 the image."""
    return _blend(_lines(_three_channels(luminance(images))), images, factors)


def sharpness(images: Tensor, factors: Numbers) -> Tensor:
    """Blended with a smoothed image: 0 is smooth, 1 the image, more is sharper."""
    lines = _lines(images).to(torch.float32)
    centre = lines[:, 1:-1, 3:-3]
    column = lines[:, :-2] + lines[:, 1:-1] + lines[:, 2:]
    # a 3 x 3 kernel of ones with 5 in the middle; sums of thirteenths never end in a half, so float32 rounds them safely
    total = (column[..., :-6] + column[..., 3:-3]).add_(column[..., 6:]).add_(centre * 4)
    smooth = lines.clone()
    smooth[:, 1:-1, 3:-3] = total.add_(6.5).mul_(1 / 13).floor_()
    return _blend(smooth, images, factors)


def _blend(degenerate: Tensor, images: Tensor, factors: Numbers) -> Tensor:
    """`degenerate` + factor * (image - `degenerate`), in float32 and in this order, clipped and truncated."""
    difference = _lines(images).to(torch.float32).sub_(degenerate)
    values = difference.mul_(per_image(factors, images, torch.float32)).add_(degenerate)
    return _to_bytes(values.clamp_(0, 255)).view_as(images)


def luminance(images: Tensor) -> Tensor:
    """ITU-R 601 luma in Pillow's fixed point, rounded: float32 that holds integers, shape (B, H, W)."""
    red, green, blue = _planes(images)
    return (red * 19595).add_(green * 38470).add_(blue * 7471).add_(32768).mul_(2.0**-16).floor_()


def grayscale(images: Tensor) -> Tensor:
    """The luminance in all three channels."""
    return _to_bytes(_three_channels(luminance(images)))


def _planes(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Red, green and blue as float32, shape (B, H, W) each, contiguous."""
    red, green, blue = images.permute(3, 0, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).unbind(0)
    return red, green, blue


def _three_channels(plane: Tensor) -> Tensor:
    images = plane.new_empty((*plane.shape, 3))
    for channel in range(3):
        images[..., channel] = plane
    return images


def rotate_hue(images: Tensor, shifts: Numbers) -> Tensor:
    """The hue turned by `shifts` 255ths of the colour circle, by way of Pillow's eight-bit HSV.

    Args:
        images: see the module.
        shifts: integers; only their value modulo 256 counts.
    """
    hue, saturation, value = _to_hsv(images)
    hue = hue.add_(per_image(shifts, images, torch.int32)).bitwise_and_(255).view(-1)
    result = torch.empty_like(images)
    for channel, shares in enumerate(_hue_shares(images.device)):
        kept = 1 - saturation * shares.index_select(0, hue).view_as(saturation)
        result[..., channel] = _to_bytes(kept.mul_(value).add_(0.5))
    return result


def _to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue in 0..255 (int32), saturation in 255ths from 0 to 1 (float32) and value in 0..255 (float32), shape (B, H, W)."""
    red, green, blue = _planes(images)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    if_red, if_green, if_blue = green - blue, (blue - red).add_(_SECTOR), (red - green).add_(2 * _SECTOR)
    # weights 0 and 1 select exactly, and several times as fast as torch.where
    not_red, not_green = (value - red).clamp_(max=1), (value - green).clamp_(max=1)
    difference = torch.lerp(if_red, torch.lerp(if_green, if_blue, not_green), not_red)
    entry = (chroma * 511).add_(difference).add_(255).to(torch.int32)
    hue = _hue_table(images.device).index_select(0, entry.view(-1)).to(torch.int32).view_as(entry)
    steps = (chroma / value.clamp(min=1)).mul_(255).floor_()
    return hue, steps.div_(torch.full((), 255.0, device=images.device)), value


_SECTOR = 256 * 511
"""Entries of the hue table for one sector: chroma 0..255 by difference -255..255."""


@lru_cache(maxsize=4)
def _hue_table(device: torch.device) -> Tensor:
    """The eight-bit hue by sector, chroma and difference: uint8, flat.

    The sector says which channel is largest (red, green, blue); the difference is between the two others, the next one in the
    circle minus the one before. One of these two is the smallest, so that chroma and difference determine both.
    """
    chroma = np.arange(256, dtype=np.float32)[:, None]
    difference = np.arange(-255, 256, dtype=np.float32)[None, :]
    # 1 is the distance of the smallest channel from the largest; this is the third channel's
    distance = (np.maximum(chroma - np.abs(difference), 0) / np.maximum(chroma, 1)).astype(np.float64)
    turn = np.where(difference >= 0, 1 - distance, distance - 1)
    sixths = np.stack([(first + turn).astype(np.float32) for first in (0, 2, 4)]).astype(np.float64)
    circle = np.mod(sixths / 6 + 1, 1).astype(np.float32).astype(np.float64)
    return to_device(np.where(chroma > 0, np.floor(circle * 255), 0).astype(np.uint8).reshape(-1), device)


@lru_cache(maxsize=4)
def _hue_shares(device: torch.device) -> Tensor:
    """The share of the saturation that each channel loses at each of 256 hues: float32, shape (3, 256)."""
    sector, rising = np.divmod(np.arange(256) * 6.0 / 255.0, 1.0)
    rising = rising.astype(np.float32)
    falling = (1.0 - rising.astype(np.float64)).astype(np.float32)
    none, all_ = np.zeros_like(rising), np.ones_like(rising)
    # red from sector to sector; green is the same two sectors later, blue four
    red = np.stack((none, rising, all_, all_, falling, none))
    return to_device(np.stack([red[(sector.astype(np.int64) - shift) % 6, np.arange(256)] for shift in (0, 2, 4)]), device)
