"""Which frames make a clip: the samplers of the original pipelines, as plain index arithmetic."""

from __future__ import annotations

import math
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
    return stay_inside(offset + np.arange(frames, dtype=np.int64) * stride, total, out_of_bound)


def random_steps(
    frames: int,
    stride: int,
    rng: np.random.Generator,
    *,
    speed: tuple[float, float] = (1.0, 1.0),
    jitter: bool = False,
) -> tuple[np.ndarray, int]:
    """Return a clip's steps from its first frame on, int64 ``[frames]``, and the frames it spans.

    Args:
        frames, stride: of a clip at normal speed.
        rng: what is drawn from it depends on the options; nothing where they are the usual ones.
        speed: range of a factor of the stride, drawn log-uniformly. Below 1 frames may repeat.
        jitter: each frame is a random one of its stride instead of the first.
    """
    step = float(stride)
    if speed != (1.0, 1.0):
        step *= math.exp(rng.uniform(math.log(speed[0]), math.log(speed[1])))
    steps = np.arange(frames) * step
    if jitter:
        steps = steps + rng.random(frames) * step
    return steps.astype(np.int64), math.ceil(frames * step)


def stay_inside(indices: np.ndarray, total: int, out_of_bound: OutOfBound) -> np.ndarray:
    """Return indices (int64, from 0, rising) with those behind the end replaced by others."""
    if out_of_bound == "loop":
        return np.asarray(indices % total)
    inside = indices[indices < total]
    last = inside[-1] if len(inside) else total - 1
    return np.asarray(np.minimum(indices, last))


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


def spread_indices(
    total: int, frames: int, *, short: Literal["stretch", "repeat_last"] = "stretch"
) -> np.ndarray:
    """Return ``frames`` indices, int64, spread from a video's first frame to its last.

    That is pytorchvideo's uniform temporal subsampling (and the slow pathway of ``total`` fast
    frames): evenly spaced numbers rounded down. They are float32 and symmetric, as there; so one
    that is whole in theory may lie just below and give the frame before.

    Args:
        total: frames of the video.
        frames: how many are wanted.
        short: what a video with fewer frames gives: each frame several times (``stretch``), or
            the last one (``repeat_last``, as the original X3D pipeline for UCF50).
    """
    steps = np.arange(frames)
    if short == "repeat_last" and total < frames:
        return np.minimum(steps, total - 1)
    step = np.float32(total - 1) / np.float32(max(frames - 1, 1))
    left = steps.astype(np.float32) * step
    right = np.float32(total - 1) - left[::-1]
    return np.where(steps < (frames + 1) // 2, left, right).astype(np.int64)
