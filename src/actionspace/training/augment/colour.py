"""What becomes of colours. Clips are float32 ``[B, T, 3, H, W]`` of values 0 to 255.

Parameters are tensors ``[B]``, one for each clip and all its frames; statistics (mean grey, least
and largest value, histogram) are of each frame, as in torchvision. The operations and their names
are those of Pillow's ``ImageEnhance`` and ``ImageOps``, which AutoAugment was made with.

Choices between pixels are made by factors 0 and 1: on a CPU ``torch.where`` takes thirty times as
long as a product.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Shares of red, green and blue in the luma of ITU-R BT.601.
LUMA = (0.2989, 0.587, 0.114)


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Return ``f x``, clipped."""
    return (x * _each(factor)).clamp_(0, 255)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Return ``f x + (1 - f) m`` with each frame's mean grey m, clipped."""
    grey = _weighted(x.mean(dim=(3, 4), keepdim=True))
    return _blend(x, grey, factor)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Return ``f x + (1 - f) g`` with each pixel's grey g, clipped."""
    return _blend(x, _weighted(x), factor)


def hue(x: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue by a share of the colour circle, keeping value and saturation (HSV).

    With the least channel m, chroma C and hue h in [0, 6) sixths of a turn, red is m + C times
    ``|h - 3| - 1`` clipped to [0, 1]; green and blue are the same with ``2 - |h - 2|`` and
    ``2 - |h - 4|``.
    """
    red, green, blue = x.unbind(2)
    value = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    chroma = value - least
    safe = chroma.clamp(min=1e-6)
    most_red = _reaches(red, value)
    most_green = _reaches(green, value).mul_(1 - most_red)
    most_blue = 1 - most_red - most_green
    angle = (green - blue).mul_(most_red)
    angle.addcmul_(blue - red, most_green).addcmul_(red - green, most_blue).div_(safe)
    angle.add_(most_green, alpha=2).add_(most_blue, alpha=4)
    angle += 6 * turns[:, None, None, None]
    angle -= (angle / 6).floor_().mul_(6)
    out = torch.empty_like(x)
    for channel, (middle, sign, shift) in enumerate(((3, 1, -1), (2, -1, 2), (4, -1, 2))):
        share = (angle - middle).abs_().mul_(sign).add_(shift).clamp_(0, 1)
        torch.addcmul(least, chroma, share, out=out[:, :, channel])
    return out


def sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """Return ``f x + (1 - f) s``, clipped; s is smoothed by ``[1 1 1; 1 5 1; 1 1 1] / 13``.

    Pixels at the frame's edge stay as they are.
    """
    middle = x[..., 1:-1, 1:-1]
    if not middle.numel():
        return x
    rows = x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]
    smooth = rows[..., :-2] + rows[..., 1:-1]
    smooth += rows[..., 2:]
    smooth.add_(middle, alpha=4).div_(13)
    out = x.clone()
    out[..., 1:-1, 1:-1] = _blend(middle, smooth, factor)
    return out


def posterize(x: Tensor, bits: Tensor) -> Tensor:
    """Keep the ``bits`` (0 to 8) highest bits of each value, rounded to a whole one."""
    step = _each(torch.exp2(8 - bits))
    return x.round().div_(step).floor_().mul_(step)


def solarize(x: Tensor, threshold: Tensor) -> Tensor:
    """Invert values from ``threshold`` on."""
    return torch.lerp(x, 255 - x, _reaches(x, _each(threshold)))


def autocontrast(x: Tensor) -> Tensor:
    """Stretch each channel of a frame to 0 to 255; one of a single value stays as it is."""
    low, high = x.amin(dim=(3, 4), keepdim=True), x.amax(dim=(3, 4), keepdim=True)
    flat = high == low
    scale = torch.where(flat, 1.0, 255 / (high - low))
    return (x - torch.where(flat, 0.0, low)).mul_(scale).clamp_(0, 255)


def equalize(x: Tensor) -> Tensor:
    """Equalise the histogram of each channel of a frame; values are rounded first.

    As in Pillow: with s = (pixels not of the largest value) div 255, value v becomes
    ``(pixels of lower values + s div 2) div s``; s = 0 leaves the channel as it is.
    """
    values = x.round().flatten(3).long()
    histogram = values.new_zeros(*values.shape[:3], 256)
    histogram.scatter_add_(3, values, torch.ones_like(values))
    upto = histogram.cumsum(dim=3)
    largest = values.amax(dim=3, keepdim=True)
    step = (upto[..., -1:] - histogram.gather(3, largest)).div_(255, rounding_mode="floor")
    table = (upto - histogram + step // 2) // step.clamp(min=1)
    table = torch.where(step == 0, torch.arange(256, device=x.device), table.clamp_(max=255))
    return table.to(x.dtype).gather(3, values).view_as(x)


def _weighted(x: Tensor) -> Tensor:
    """Return the grey of ``[B, T, 3, H, W]``: ``[B, T, 1, H, W]``."""
    red, green, blue = x.unbind(2)
    grey = (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
    return grey.unsqueeze(2)


def _blend(x: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    f = _each(factor)
    return (x * f).add_(other * (1 - f)).clamp_(0, 255)


def _reaches(x: Tensor, y: Tensor) -> Tensor:
    """Return 1.0 where ``x >= y`` and 0.0 elsewhere."""
    return torch.ge(x, y, out=torch.empty_like(x))


def _each(parameter: Tensor) -> Tensor:
    """Return a parameter ``[B]`` as ``[B, 1, 1, 1, 1]``."""
    return parameter[:, None, None, None, None]
