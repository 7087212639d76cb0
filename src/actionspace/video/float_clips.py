"""Scaling and cropping finished clips of floats, as pytorchvideo and torchvision do it.

:mod:`actionspace.video.transform` does the same to frames of bytes, each once, before clips are cut
from them; there sizes and values are rounded otherwise. Arrays are ``[..., H, W]``.
"""

from __future__ import annotations

import numpy as np

from actionspace.errors import VideoError


def scale_short_side(clip: np.ndarray, short: int) -> np.ndarray:
    """Resize bilinearly, without antialias, so that the shorter side is ``short`` pixels.

    The other side is rounded down.
    """
    height, width = clip.shape[-2:]
    by = short / min(height, width)
    new_height, new_width = (
        short if side == min(height, width) else int(side * by) for side in (height, width)
    )
    return _interpolate(_interpolate(clip, new_height, -2), new_width, -1)


def center_crop(clip: np.ndarray, size: int, fill: float = 0.0) -> np.ndarray:
    """Return the middle ``size`` x ``size`` pixels; a smaller side is padded with ``fill``.

    Odd margins are cut with half a pixel rounded to the even side, and padded with the greater half
    behind. In a normalised clip a ``fill`` of 0 is the mean colour.
    """
    missing = [max(0, size - side) for side in clip.shape[-2:]]
    edges = [(0, 0)] * (clip.ndim - 2) + [(m // 2, m - m // 2) for m in missing]
    clip = np.pad(clip, edges, constant_values=fill)
    y, x = (round((side - size) / 2) for side in clip.shape[-2:])
    return clip[..., y : y + size, x : x + size]


def third_crop(clip: np.ndarray, size: int, which: int) -> np.ndarray:
    """Return one of three crops along the longer side: 0 first, 1 middle, 2 last.

    Raises:
        VideoError: the clip is smaller than ``size``.
    """
    height, width = clip.shape[-2:]
    if size > min(height, width):
        raise VideoError(
            f"A crop of {size} x {size} does not fit in a clip of {width} x {height} pixels. "
            f"Scale it to a shorter side of at least {size} first."
        )
    y, x = (-(-(side - size) // 2) for side in (height, width))
    if height > width:
        y = (0, y, height - size)[which]
    else:
        x = (0, x, width - size)[which]
    return clip[..., y : y + size, x : x + size]


def _interpolate(clip: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Interpolate linearly along an axis; pixel centres lie at half integers."""
    old = clip.shape[axis]
    if length == old:
        return clip
    position = np.maximum((np.arange(length) + 0.5) * (old / length) - 0.5, 0.0)
    low = position.astype(np.int64)
    weight = (position - low).astype(np.float32)
    weight = weight.reshape((-1,) + (1,) * (-1 - axis))
    high = np.minimum(low + 1, old - 1)
    mixed: np.ndarray = clip.take(low, axis) * (1 - weight)
    mixed += clip.take(high, axis) * weight
    return mixed
