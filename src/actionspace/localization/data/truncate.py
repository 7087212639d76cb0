"""Random windows of long videos for training, as in ActionFormer (Zhang, Wu and Li, ECCV 2022)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

RandomInt = Callable[[int, int], int]
"""Returns a random whole number between two, both included."""


@dataclass(frozen=True)
class Truncation:
    """How windows are drawn.

    Attributes:
        max_length: rows of the window of a longer video.
        threshold: share of a segment that must lie in the window for it to be kept.
        crop_ratio: of a video that fits, the least and greatest share of rows that is taken; None
            = all of it.
        whole: only windows that cut no segment.
        tries: windows drawn to find one with a segment; the last one is used if none has.
        enlarged: segments are measured against a window that is longer by the offset.
        moments: an event whose middle is in the window is kept as it is, others are not.
    """

    max_length: int
    threshold: float = 0.5
    crop_ratio: tuple[float, float] | None = (0.9, 1.0)
    whole: bool = False
    tries: int = 200
    enlarged: bool = True
    moments: bool = False


@dataclass(frozen=True)
class Window:
    """Rows ``start`` to ``stop`` of a video, and what of its segments lies in them.

    Attributes:
        start, stop: rows.
        segments: float32 ``[M, 2]``, cut to the window, rows from its start.
        kept: int64 ``[M]``, which segments of the video they are.
    """

    start: int
    stop: int
    segments: Tensor
    kept: Tensor


def truncate(
    length: int, segments: Tensor, offset: float, how: Truncation, randint: RandomInt
) -> Window:
    """Draw a window of a video.

    Segments are measured against, and cut to, the window made longer by ``offset`` on both sides:
    its first and last row have seen that much more. (Not so in TriDet: ``enlarged``.)

    Args:
        length: rows of the video, T.
        segments: float32 ``[N, 2]``, in rows; N may be 0.
        offset: rows from the beginning of the video to the centre of its first row.
        how: how windows are drawn.
        randint: where randomness comes from. Numbers are asked for in the original's order: the
            length (only of a video that fits), then the start of each window tried.
    """
    size = _window_length(length, how, randint)
    if size == length:
        return Window(0, length, segments, torch.arange(len(segments)))
    beyond = offset if how.enlarged else 0.0
    for _ in range(how.tries if len(segments) else 1):
        start = randint(0, length - size)
        if how.moments:
            keep = _middle_inside(segments, start, start + size)
            left, right = segments.unbind(1)
            if keep.any():
                break
            continue
        window = torch.tensor([start - beyond, start + size + beyond], dtype=torch.float32)
        left = torch.maximum(segments[:, 0], window[0])
        right = torch.minimum(segments[:, 1], window[1])
        share = (right - left).clamp(min=0) / (segments[:, 1] - segments[:, 0])
        keep = (share >= how.threshold) & (share > 0)
        cut = (share > 0) & (share < 1)
        if keep.any() and not (how.whole and cut.any()):
            break
    kept = keep.nonzero().flatten()
    return Window(start, start + size, torch.stack([left, right], dim=1)[kept] - start, kept)


def _window_length(length: int, how: Truncation, randint: RandomInt) -> int:
    if length > how.max_length:
        return how.max_length
    if how.crop_ratio is None:
        return length
    low, high = (round(share * length) for share in how.crop_ratio)
    return randint(max(low, 1), min(high, length))


def _middle_inside(segments: Tensor, start: int, stop: int) -> Tensor:
    """Return which segments have their middle nearest to a row of the window, bool ``[N]``."""
    nearest = segments.mean(dim=1).round()
    return (nearest >= start) & (nearest < stop)


def keep_inside(segments: Tensor, limit: float, threshold: float) -> tuple[Tensor, Tensor]:
    """Return segments that lie within the features, and which ones they are (int64).

    Videos lack frames at their end: a segment is dropped if less than ``threshold`` of it lies
    before ``limit`` (rows), and cut there otherwise.
    """
    share = (segments[:, 1].clamp(max=limit) - segments[:, 0]) / (segments[:, 1] - segments[:, 0])
    kept = ((share >= threshold) & (share > 0)).nonzero().flatten()
    return segments[kept].clamp(max=limit), kept
