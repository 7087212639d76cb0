"""What becomes of the colours of 8-bit pictures, to the level that Pillow gives.

Frames are float32 ``[T, 3, H, W]`` of whole numbers 0 to 255, and so are results: :mod:`.colour`
keeps fractions, here each operation ends with 8 bits, as where a picture was handed from one
operation of Pillow's ``ImageEnhance`` and ``ImageFilter`` to the next. All frames share one
parameter, statistics are of each frame.

Blurred is with three boxes one after another in each direction, whose variances add up to the
Gaussian's; they are wider than a whole number of pixels, the outermost ones counting in part
(Gwosdek et al., *Theoretical foundations of Gaussian convolution by extended box filtering*, 2011).
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

#: Shares of red, green and blue in the luma of ITU-R BT.601, in 65,536ths.
_LUMA = (19595.0, 38470.0, 7471.0)
_BOXES = 3


def brightness(x: Tensor, factor: float) -> Tensor:
    """Return ``f x``."""
    return (x * factor).clamp_(0, 255).floor_()


def contrast(x: Tensor, factor: float) -> Tensor:
    """Return ``m + f (x - m)`` with each frame's mean grey m, rounded."""
    mean = _grey(x).mean(dim=(1, 2, 3), keepdim=True, dtype=torch.float64)
    return _blend((mean + 0.5).floor_().to(x.dtype), x, factor)


def saturation(x: Tensor, factor: float) -> Tensor:
    """Return ``g + f (x - g)`` with each pixel's grey g."""
    return _blend(_grey(x), x, factor)


def hue(x: Tensor, turns: float) -> Tensor:
    """Turn the hue by a share of the colour circle, in 255ths, keeping value and saturation (HSV).

    Hue and saturation are whole numbers in between: colours move a little also where ``turns`` is
    0. With value v, saturation s and hue h in [0, 6) sixths of a turn, a channel is v (1 - s c);
    c is 1 less ``|h - 3| - 1`` clipped to [0, 1] for red (see :func:`.colour.hue`).
    """
    red, green, blue = x.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    place = _reaches(red, green).mul_(2).add_(_reaches(green, blue)).mul_(2)
    place.add_(_reaches(red, blue)).mul_(256).add_(value).sub_(least).mul_(256)
    place.add_(value, alpha=2).add_(least).sub_(red).sub_(green).sub_(blue)
    hues, saturations = (torch.from_numpy(table).to(x.device) for table in _tables())
    hue = hues.index_select(0, place.int().flatten()).int()
    of_both = (value - least).mul_(256).add_(value).int().flatten()
    spread = saturations.index_select(0, of_both).view_as(value).mul_(value)
    out = torch.empty_like(x)
    for channel, table in enumerate(_lacking(int(turns * 255) % 256)):
        lacks = torch.from_numpy(table).to(x.device).index_select(0, hue).view_as(value)
        torch.addcmul(value, spread, lacks, value=-1, out=out[:, channel])
    return out.round_()


def blur(x: Tensor, radius: float) -> Tensor:
    """Blur by a Gaussian of standard deviation ``radius`` pixels; edges are repeated outwards."""
    variance = radius**2 / _BOXES
    whole = int((math.sqrt(12 * variance + 1) - 1) // 2)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    part /= 6 * (variance - (whole + 1) ** 2)
    for axis in (-1, -2):
        for _ in range(_BOXES):
            x = _box(x, whole, part, axis)
    return x


def _box(x: Tensor, whole: int, part: float, axis: int) -> Tensor:
    """Average over ``whole`` neighbours either way, and over ``part`` of the next ones."""
    length, reach = x.shape[axis], whole + 1
    edges = (reach, reach, 0, 0) if axis == -1 else (0, 0, reach, reach)
    wide = functional.pad(x, edges, "replicate")
    near = [wide.narrow(axis, reach + by, length) for by in range(-reach, reach + 1)]
    share = 1 / (2 * (whole + part) + 1)
    total = near[1] * share
    for one in near[2:-1]:
        total.add_(one, alpha=share)
    for one in (near[0], near[-1]):
        total.add_(one, alpha=share * part)
    return total.round_()


def _grey(x: Tensor) -> Tensor:
    red, green, blue = x.unbind(1)
    grey = (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
    return grey.add_(32768).mul_(1 / 65536).floor_().unsqueeze(1)


def _blend(ground: Tensor, x: Tensor, factor: float) -> Tensor:
    return (x - ground).mul_(factor).add_(ground).clamp_(0, 255).floor_()


def _reaches(x: Tensor, y: Tensor) -> Tensor:
    """Return 1.0 where ``x >= y`` and 0.0 elsewhere (faster than booleans on a CPU)."""
    return torch.ge(x, y, out=torch.empty_like(x))


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return hue (uint8) and saturation (float32, a share), both of 8 bits.

    Hue is at ``256 (256 k + c) + d``, with chroma c, the largest value less the middle one d, and
    k = 4 (red >= green) + 2 (green >= blue) + (red >= blue); saturation at ``256 c + v``, with the
    largest value v. Precision is Pillow's, step by step: as a level of hue is up to six levels of a
    channel, the last bit matters.
    """
    number = np.arange(256, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = number / number[:, None]  # float32, some of the steps after it float64
        wide = share.astype(np.float64)
    none = np.zeros_like(wide)
    angles = (  # blue > green > red; -; green first, red last; green, blue; blue, green; red, blue
        *(4 + wide - 1, none, 2 + 1 - wide, 2 + wide - 1),
        *(4 + 1 - wide, share - 1, none, 1 - share),
    )
    turn = np.stack([angle.astype(np.float32) for angle in angles]).astype(np.float64)
    turn = np.fmod(turn / 6 + 1, 1, where=np.isfinite(turn), out=np.zeros_like(turn))
    hues = (turn.astype(np.float32).astype(np.float64) * 255).clip(0, 255).astype(np.uint8)
    hues[:, 0] = 0
    saturation = np.nan_to_num(share.T.astype(np.float64), posinf=0).clip(0, 1)
    return hues.ravel(), (np.floor(saturation * 255) / 255).astype(np.float32).ravel()


@functools.lru_cache(512)
def _lacking(shift: int) -> np.ndarray:
    """Return by hue, after a shift, how much of the saturation red, green and blue lack."""
    h = (np.arange(256) + shift) % 256 * 6 / 255
    red = np.clip(np.abs(h - 3) - 1, 0, 1)
    green, blue = np.clip(2 - np.abs(h - 2), 0, 1), np.clip(2 - np.abs(h - 4), 0, 1)
    return (1 - np.stack([red, green, blue])).astype(np.float32)
