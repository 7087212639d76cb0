"""Geometry of frames: boxes, sizes, resizing and normalisation, in plain numpy.

Boxes are ``(x, y, width, height)`` in pixels. The rules (rounding, order of crops) are those of
the original Video Swin / UAS pipelines, so that their checkpoints see what they were trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np

from actionspace.errors import VideoError
from actionspace.video.flow import Flow

Box = tuple[int, int, int, int]
ResizeMode = Literal[
    "exact",
    "fast",
    "pil_bilinear",
    "pil_bicubic",
    "tv_bilinear",
    "tv_bicubic",
    "float_bilinear",
    "float_bicubic",
]

#: The mean colour of Kinetics (0.45), which is 0 in clips normalised by it, to half a grey level.
GREY = 115
#: No movement, in optical flow stored as bytes.
STILL = 128

#: Fixed-point steps of an interpolation weight, as in OpenCV.
_ONE = 2048


class Random(Protocol):
    """The two draws that random views need; ``numpy.random.Generator`` has them."""

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        """Return ``size`` floats in [low, high)."""

    def integers(self, low: int, high: int) -> int:
        """Return an integer in [low, high)."""


@dataclass(frozen=True)
class FrameTransform:
    """What happens to each frame once, whatever clips it is in: crop, then resize.

    Attributes:
        short_side: resize so that the shorter side has this length, keeping the shape.
        size: squeeze to ``size`` x ``size`` instead. With neither the size stays.
        mode: ``exact`` = full-size RGB, then :func:`resize_bilinear`, as the original pipelines;
            ``fast`` = scaled (area-averaged) by the decoder's own converter; the others = full-size
            RGB, then as processors of published encoders do it, see :mod:`.resize`.
        crop: part of the frame to use, as shown (after rotation), before resizing.
        flow: give the optical flow between the resized pictures instead of them.
    """

    short_side: int | None = None
    size: int | None = None
    mode: ResizeMode = "fast"
    crop: Box | None = None
    flow: Flow | None = None

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        """Return ``(width, height)`` after the transform of a ``width`` x ``height`` frame.

        Raises:
            VideoError: the crop does not lie in the frame.
        """
        if self.crop is not None:
            x, y, w, h = self.crop
            if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
                raise VideoError(
                    f"The crop x,y,w,h = {x},{y},{w},{h} does not lie inside a frame of "
                    f"{width} x {height} pixels. Correct the crop column of the videos table."
                )
            width, height = w, h
        if self.size is not None:
            return self.size, self.size
        if self.short_side is not None:
            if self.mode in ("exact", "fast"):
                return rescale_size(width, height, self.short_side)
            short = min(width, height)
            return width * self.short_side // short, height * self.short_side // short
        return width, height


def rescale_size(width: int, height: int, short: int) -> tuple[int, int]:
    """Return the size whose shorter side is ``short``, each side rounded half up."""
    scale = short / min(width, height)
    return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))


def center_box(width: int, height: int, size: int) -> Box:
    """Return the ``size`` x ``size`` box in the middle of a frame (rounded to the top left)."""
    _require_room(width, height, size)
    return (width - size) // 2, (height - size) // 2, size, size


def padded_box(width: int, height: int, size: int) -> Box:
    """Return the ``size`` x ``size`` box in the middle, which may reach beyond the frame.

    Margins are rounded as in torchvision's centre crop: where a frame is too large to the even
    side, where it is too small with the greater half behind.
    """
    x, y = (
        round((side - size) / 2) if side > size else -((size - side) // 2)
        for side in (width, height)
    )
    return x, y, size, size


def three_boxes(width: int, height: int, size: int) -> list[Box]:
    """Return three boxes along the longer side: left, right, middle (or top, bottom, middle).

    As in the original, the second starts at twice the (rounded down) half margin, so with an odd
    margin it leaves out the last column.
    """
    _require_room(width, height, size)
    if min(width, height) != size:
        raise VideoError(
            f"Three crops of {size} need a frame whose shorter side is {size}, not "
            f"{width} x {height}. Set short_side = size."
        )
    dx, dy = (width - size) // 2, (height - size) // 2
    return [(k * dx, k * dy, size, size) for k in (0, 2, 1)]


def random_resized_box(
    width: int,
    height: int,
    rng: Random,
    *,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
    attempts: int = 10,
) -> Box:
    """Return a random box covering a share ``area`` of the frame, of an ``aspect`` (w / h).

    The aspect is drawn log-uniformly. After ``attempts`` boxes that do not fit, the square in the
    middle with the frame's shorter side is returned.
    """
    ratios = np.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1]), size=attempts))
    areas = rng.uniform(*area, size=attempts) * (width * height)
    ws = np.round(np.sqrt(areas * ratios)).astype(int)
    hs = np.round(np.sqrt(areas / ratios)).astype(int)
    for w, h in zip(ws.tolist(), hs.tolist(), strict=True):
        if 0 < w <= width and 0 < h <= height:
            x = int(rng.integers(0, width - w + 1))
            return x, int(rng.integers(0, height - h + 1)), w, h
    return center_box(width, height, min(width, height))


def crop_resize(frame: np.ndarray, box: Box | None, size: int | None, flip: bool) -> np.ndarray:
    """Return ``box`` of a frame ``[H, W, C]``, resized to a square and mirrored if asked.

    Two channels are optical flow: what moved to the right moves to the left in the mirror. (Its
    vectors stay as long as they are when the box is resized, as in the original pipelines.)
    """
    if box is not None:
        frame = _cut(frame, box)
    if size is not None:
        frame = resize_bilinear(frame, size, size)
    if not flip:
        return frame
    mirrored = frame[:, ::-1]
    if mirrored.shape[2] == 2:
        mirrored = np.stack([255 - mirrored[..., 0], mirrored[..., 1]], axis=-1)
    return mirrored


def _cut(frame: np.ndarray, box: Box) -> np.ndarray:
    """Return a box of a frame, grey (or still, where it is flow) where it reaches beyond."""
    x, y, w, h = box
    height, width = frame.shape[:2]
    inside = frame[max(y, 0) : y + h, max(x, 0) : x + w]
    if inside.shape[:2] == (h, w):
        return inside
    rows, columns = (max(-y, 0), max(y + h - height, 0)), (max(-x, 0), max(x + w - width, 0))
    fill = STILL if frame.shape[2] == 2 else GREY
    return np.pad(inside, (rows, columns, (0, 0)), constant_values=fill)


def resize_bilinear(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize uint8 ``[H, W, C]`` bilinearly without antialias, as OpenCV's INTER_LINEAR does.

    Pixel centres at half integers, edges repeated, weights in steps of 1/2048, rounded to uint8.
    Only the four neighbours of each output pixel are read, so shrinking costs little.
    """
    h, w = image.shape[:2]
    if (w, h) == (width, height):
        return image
    pixels = np.ascontiguousarray(image).reshape(-1, image.shape[2])
    taps, fx, fy = _taps(w, h, width, height)
    a, b, c, d = (pixels.take(tap, axis=0).astype(np.int32) for tap in taps)
    top = _mix(a, b, fx)
    bottom = _mix(c, d, fx)
    for row, weight in ((top, _ONE - fy), (bottom, fy)):
        row >>= 4
        row *= weight
        row >>= 16
    top += bottom
    top += 2
    top >>= 2
    return top.astype(np.uint8).reshape(height, width, -1)


def _mix(left: np.ndarray, right: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return ``left * (2048 - weight) + right * weight`` in ``left``'s memory."""
    right -= left
    right *= weight
    left *= _ONE
    left += right
    return left


@lru_cache(maxsize=64)
def _taps(
    w: int, h: int, width: int, height: int
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return flat indices of the four neighbours and the weights of the second of each pair."""
    x0, x1, fx = _axis(w, width)
    y0, y1, fy = _axis(h, height)
    taps = [(y[:, None] * w + x[None, :]).ravel() for y in (y0, y1) for x in (x0, x1)]
    return taps, np.tile(fx, height)[:, None], np.repeat(fy, width)[:, None]


def _axis(length: int, out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    position = (np.arange(out) + 0.5) * (length / out) - 0.5
    low = np.floor(position).astype(np.int64)
    weight = np.where((low < 0) | (low >= length - 1), 0.0, position - low)
    low = np.clip(low, 0, length - 1)
    return low, np.minimum(low + 1, length - 1), np.rint(weight * _ONE).astype(np.int32)


def normalize(clip: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Return uint8 ``[T, H, W, 3]`` as float32 ``[3, T, H, W]``, ``(x - mean) / std`` (0-255)."""
    x = clip.astype(np.float32)
    x -= np.asarray(mean, np.float32)
    x *= (1.0 / np.asarray(std, np.float64)).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(x, -1, 0))


def _require_room(width: int, height: int, size: int) -> None:
    if size > min(width, height):
        raise VideoError(
            f"A crop of {size} x {size} does not fit in a frame of {width} x {height} pixels. "
            f"Set short_side to at least {size}."
        )
