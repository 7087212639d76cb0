"""Which frames make a clip: the samplers of the original pipelines, as plain index arithmetic."""

from __future__ import annotations

from typing import Literal

import numpy as np

OutOfBound = Literal["loop", "repeat_last"]


def test_offsets(total: int, frames: int, stride: int, clips: int = 1) -> np.ndarray:
    """Return ``clips`` evenly spread first frames, int64; all 0 if the video is shorter.

    Offset k is ``floor(average / 2 + k * average)`` with
    ``average = (total - frames * stride + 1) / clips``.
    """
    average = (total - frames * stride + 1) / clips
    if average <= 0:
        return np.zeros(clips, np.int64)
    return (np.arange(clips) * average + average / 2).astype(np.int64)


def train_offsets(
    total: int, frames: int, stride: int, rng: np.random.Generator, clips: int = 1
) -> np.ndarray:
    """Return ``clips`` random first frames, int64: one from each of ``clips`` equal stretches.

    With too few frames for that they are drawn from the whole range and sorted, or spread over
    it; all 0 if the video is shorter than a clip.
    """
    room = total - frames * stride + 1
    if room >= clips:
        stretch = room // clips
        return np.arange(clips) * stretch + rng.integers(0, stretch, size=clips)
    if room <= 0:
        return np.zeros(clips, np.int64)
    if total > max(clips, frames * stride):
        return np.sort(rng.integers(0, room, size=clips))
    return np.around(np.arange(clips) * (room / clips)).astype(np.int64)


def clip_indices(
    offset: int, frames: int, stride: int, total: int, out_of_bound: OutOfBound = "loop"
) -> np.ndarray:
    """Return the ``frames`` indices ``offset, offset + stride, ...`` of a video of ``total``.

    Those behind the end wrap round (``loop``) or repeat the clip's last frame before the end.
    """
    indices = offset + np.arange(frames, dtype=np.int64) * stride
    if out_of_bound == "loop":
        return indices % total
    inside = indices[indices < total]
    return np.minimum(indices, inside[-1] if len(inside) else total - 1)


def segment_indices(total: int, frames: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Return one index from each of ``frames`` equal segments (Something-Something's sampling).

    The middle of each segment, or a random one of it if ``rng`` is given.
    """
    length = (total - 1) / frames
    edges = np.array([round(length * k) for k in range(frames + 1)], np.int64)
    if rng is None:
        return (edges[:-1] + edges[1:]) // 2
    return rng.integers(edges[:-1], edges[1:], endpoint=True)


def dense_windows(total: int, frames: int, stride: int, hop: int) -> np.ndarray:
    """Return the first frames ``0, hop, 2 hop, ...`` of windows that together cover a video.

    The last window may reach behind the end; a video shorter than a window has one. (With a hop
    longer than a window there are gaps, and no window begins behind the end.)
    """
    count = 1 + max(0, -(-(total - frames * stride) // hop))
    starts = np.arange(count, dtype=np.int64) * hop
    return starts[starts < total]
