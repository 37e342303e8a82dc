"""Pixel operations on batches, equal to Pillow's on every image.

Images are uint8, shape (B, H, W, 3), contiguous; a parameter has one entry for each image, shape (B,), on the host. Every
function on images returns new ones. The arithmetic repeats Pillow's: where Pillow truncates, these do; intermediate results are
integers that float32 holds exactly, or take the same roundings in the same order, so that CPU and GPU agree to the bit.

What needs the luminance works on *planes*: red, green and blue apart, shape (3, B, H, W), float32 that holds bytes. Taking
images apart and putting them together costs as much as an operation, so that a sequence of operations stays on planes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from longtail.loading import transfer
from longtail.loading.rows import per_image
from longtail.loading.transfer import to_device

Numbers = npt.NDArray[Any]
"""A parameter for every image, shape (B,)."""


def _lines(images: Tensor) -> Tensor:
    """The images as lines of interleaved bytes, (B, H, 3 W): long inner loops instead of loops over three channels."""
    return images.view(images.shape[0], images.shape[1], -1)


def _to_bytes(values: Tensor) -> Tensor:
    """Values in [0, 256), truncated to uint8."""
    if transfer.on_host(values.device):  # torch's conversion takes two to six times as long as numpy's
        return torch.from_numpy(values.numpy().astype(np.uint8))
    return values.to(torch.int32).to(torch.uint8)


def to_planes(images: Tensor) -> Tensor:
    """The images' planes."""
    return images.permute(3, 0, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)


def to_images(planes: Tensor) -> Tensor:
    """The images that have these planes."""
    return _interleaved(_to_bytes(planes))


def _interleaved(planes: Tensor) -> Tensor:
    images = planes.new_empty((*planes.shape[1:], 3))
    for channel, plane in enumerate(planes):
        images[..., channel] = plane
    return images


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
    return to_images(contrast_planes(to_planes(images), factors))


def saturation(images: Tensor, factors: Numbers) -> Tensor:
    """Blended with the image's luminance: 0 is grey, 1 the image."""
    return to_images(saturate_planes(to_planes(images), factors))


def brighten_planes(planes: Tensor, factors: Numbers) -> Tensor:
    """As `brightness`, in place."""
    return planes.mul_(per_image(factors, planes, torch.float32)).clamp_(0, 255).floor_()


def contrast_planes(planes: Tensor, factors: Numbers) -> Tensor:
    """As `contrast`, in place."""
    count = planes.shape[2] * planes.shape[3]
    total = luminance(planes).sum((1, 2), keepdim=True, dtype=torch.float64)
    # means are multiples of 1 / count: another quarter of that, and no rounded division takes a half for less
    mean = total.mul_(1 / count).add_(0.5 + 0.25 / count).floor_()
    return _blend_into(planes, mean.to(torch.float32), factors).floor_()


def saturate_planes(planes: Tensor, factors: Numbers) -> Tensor:
    """As `saturation`, in place."""
    return _blend_into(planes, luminance(planes), factors).floor_()


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
    return _to_bytes(_blend_into(_lines(images).to(torch.float32), degenerate, factors)).view_as(images)


def _blend_into(values: Tensor, degenerate: Tensor, factors: Numbers) -> Tensor:
    """`degenerate` + factor * (value - `degenerate`), in this order, cut off at 0 and 255, in place."""
    return values.sub_(degenerate).mul_(per_image(factors, values, torch.float32)).add_(degenerate).clamp_(0, 255)


def luminance(planes: Tensor) -> Tensor:
    """ITU-R 601 luma in Pillow's fixed point of 16 bits, rounded: float32 that holds bytes, shape (B, H, W)."""
    red, green, blue = planes.unbind(0)
    # every intermediate result is a multiple of 2 ** -16 below 256, which float32 holds exactly
    luma = red * (19595 / 65536)
    return luma.add_(green, alpha=38470 / 65536).add_(blue, alpha=7471 / 65536).add_(0.5).floor_()


def grayscale(images: Tensor) -> Tensor:
    """The luminance in all three channels."""
    grey = _to_bytes(luminance(to_planes(images)))
    return _interleaved(grey.expand(3, *grey.shape))


def rotate_hue(images: Tensor, shifts: Numbers) -> Tensor:
    """The hue turned by `shifts` 255ths of the colour circle, by way of Pillow's eight-bit HSV.

    Args:
        images: see the module.
        shifts: integers; only their value modulo 256 counts.
    """
    return to_images(rotate_hue_planes(to_planes(images), shifts))


def rotate_hue_planes(planes: Tensor, shifts: Numbers) -> Tensor:
    """As `rotate_hue`, in place."""
    hue, saturation, value = _to_hsv(planes)
    hue = hue.add_(per_image(shifts, planes, torch.int32)).bitwise_and_(255).view(-1)
    for plane, shares in zip(planes, _hue_shares(planes.device), strict=True):
        torch.sub(1, saturation * shares.index_select(0, hue).view_as(saturation), out=plane)
    return planes.mul_(value).add_(0.5).floor_()


def _to_hsv(planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue in 0..255 (int32), saturation in 255ths from 0 to 1 (float32) and value in 0..255 (float32), shape (B, H, W)."""
    red, green, blue = planes.unbind(0)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    if_red, if_green, if_blue = green - blue, (blue - red).add_(_SECTOR), (red - green).add_(2 * _SECTOR)
    # weights 0 and 1 select exactly, and several times as fast as torch.where
    not_red, not_green = (value - red).clamp_(max=1), (value - green).clamp_(max=1)
    difference = torch.lerp(if_red, torch.lerp(if_green, if_blue, not_green), not_red)
    entry = (chroma * 511).add_(difference).add_(255).to(torch.int32)
    hue = _hue_table(planes.device).index_select(0, entry.view(-1)).to(torch.int32).view_as(entry)
    steps = (chroma / value.clamp(min=1)).mul_(255).floor_()
    return hue, steps.div_(torch.full((), 255.0, device=planes.device)), value


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
