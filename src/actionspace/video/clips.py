"""Clips cut from one sweep: frames that several clips share are decoded and resized once."""

from __future__ import annotations

import heapq
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from actionspace.errors import VideoError
from actionspace.video.flow import flow_pictures, frames_for
from actionspace.video.flow_folder import stored_flow
from actionspace.video.frame_folder import is_flow_folder
from actionspace.video.index import FrameIndex, frame_index
from actionspace.video.reader import Stopwatch
from actionspace.video.sweep import SweepStats, sweep
from actionspace.video.transform import Box, FrameTransform, crop_resize

Policy = Literal["raise", "skip", "partial"]


@dataclass(frozen=True, eq=False)
class ClipRequest:
    """A clip to cut.

    Attributes:
        key: anything; comes back with the clip.
        frames: int64 ``[T]`` frame numbers, in any order, repeats allowed.
        box: part of the transformed frame, None = all of it.
        flip: mirror left and right.
        size: resize the box to ``size`` x ``size``, None = leave it.
    """

    key: Any
    frames: np.ndarray
    box: Box | None = None
    flip: bool = False
    size: int | None = None


@dataclass(frozen=True, eq=False)
class Clip:
    """A finished clip: the request's key and uint8 frames ``[T, H, W, 3]``, RGB.

    Optical flow has two channels; of sound, which has no frames, there is one float32 vector (see
    :mod:`actionspace.video.audio`).
    """

    key: Any
    frames: np.ndarray


def iter_clips(
    path: str | os.PathLike[str],
    requests: Sequence[ClipRequest],
    transform: FrameTransform,
    *,
    index: FrameIndex | None = None,
    policy: Policy = "raise",
    threads: int = 1,
    time_limit: float | None = None,
    watch: Stopwatch | None = None,
    stats: SweepStats | None = None,
) -> Iterator[Clip]:
    """Yield the requested clips of one file, ordered by their last frame, then as requested.

    The file is read once. A resized frame is kept until no later clip needs it, so memory holds
    the frames of the clips that are open at a time, however long the video is.

    ``policy`` says what to do with a damaged file (one that ends early, has packets that cannot
    be decoded or lacks wanted frames): ``raise`` an error, ``skip`` = stop there quietly, or
    ``partial`` = give every clip whose frames all come. ``stats.damage`` then says what was
    wrong, ``stats.dropped`` which clips are left out. ``time_limit`` is in seconds of work on
    this file, not counting the consumer's.

    Raises:
        VideoError: the file cannot be opened, a request is outside it, the time is up, or (with
            ``raise``) it is damaged.
    """
    stats = stats if stats is not None else SweepStats()
    watch = watch or Stopwatch(path, time_limit)
    try:
        index = index or frame_index(path, watch=watch)
        for clip in _cut(requests, transform, index, policy, threads, watch, stats):
            with watch.paused():
                yield clip
    except VideoError as e:
        if policy == "raise":
            raise
        stats.damage = str(e)


def _cut(
    requests: Sequence[ClipRequest],
    transform: FrameTransform,
    index: FrameIndex,
    policy: Policy,
    threads: int,
    watch: Stopwatch,
    stats: SweepStats,
) -> Iterator[Clip]:
    _check_boxes(requests, transform.output_size(index.width, index.height), index)
    last, needed_until = needs(requests, len(index), index)
    wanted = np.flatnonzero(needed_until >= 0)
    pending = np.lexsort((np.arange(len(requests)), last))  # by last frame, then as requested
    done = 0
    held: dict[int, np.ndarray] = {}
    expiry: list[tuple[int, int]] = []
    frames = _pictures(wanted, transform, index, threads, watch, stats)
    try:
        for number, picture in frames:
            _refuse(stats, policy, index)
            held[number] = picture
            heapq.heappush(expiry, (int(needed_until[number]), number))
            while done < len(pending) and last[pending[done]] <= number:
                request = requests[pending[done]]
                done += 1
                if all(frame in held for frame in request.frames.tolist()):
                    yield _assemble(request, held)
                else:
                    stats.dropped.append(request.key)
            while expiry and expiry[0][0] <= number:
                del held[heapq.heappop(expiry)[1]]
    finally:
        frames.close()  # and with it the file
        stats.dropped += [requests[i].key for i in pending[done:]]
    _refuse(stats, policy, index)


def _pictures(
    wanted: np.ndarray,
    transform: FrameTransform,
    index: FrameIndex,
    threads: int,
    watch: Stopwatch,
    stats: SweepStats,
) -> Generator[tuple[int, np.ndarray]]:
    """Sweep over the wanted frames, or over their flow."""
    if is_flow_folder(index.path):
        return stored_flow(index, wanted, transform, threads, watch, stats)
    flow, total = transform.flow, len(index)
    frames = sweep(
        index.path,
        wanted if flow is None else frames_for(wanted, total),
        transform=transform,
        index=index,
        threads=threads,
        watch=watch,
        stats=stats,
    )
    return frames if flow is None else flow_pictures(frames, wanted, total, flow, index.fps)


def needs(
    requests: Sequence[ClipRequest], total: int, index: FrameIndex
) -> tuple[np.ndarray, np.ndarray]:
    """Return each request's last frame and, per frame of the video, until when it is needed.

    Raises:
        VideoError: a request asks for a frame outside the video.
    """
    last = np.empty(len(requests), np.int64)
    needed_until = np.full(total, -1, np.int64)
    for i, request in enumerate(requests):
        frames = request.frames
        if not len(frames) or frames.min() < 0 or frames.max() >= total:
            raise VideoError(
                f"{index.path}: clip {request.key!r} asks for frames outside 0 to {total - 1}, or "
                f"for none. Check the event's times against the video's duration "
                f"({index.duration:.2f} s)."
            )
        last[i] = frames.max()
        needed_until[frames] = np.maximum(needed_until[frames], last[i])
    return last, needed_until


def _check_boxes(requests: Sequence[ClipRequest], size: tuple[int, int], index: FrameIndex) -> None:
    for box in {request.box for request in requests if request.box is not None}:
        x, y, w, h = box
        if x < 0 or y < 0 or w < 1 or h < 1 or x + w > size[0] or y + h > size[1]:
            raise VideoError(
                f"{index.path}: the box x,y,w,h = {x},{y},{w},{h} does not lie inside the resized "
                f"frame of {size[0]} x {size[1]} pixels."
            )


def _refuse(stats: SweepStats, policy: Policy, index: FrameIndex) -> None:
    if stats.damage and policy != "partial":
        raise VideoError(
            f"{index.path}: {stats.damage}. Re-encode or replace the file, or use policy "
            f"'partial' to take what can be read."
        )


def _assemble(request: ClipRequest, held: dict[int, np.ndarray]) -> Clip:
    numbers = request.frames.tolist()
    views = {n: crop_resize(held[n], request.box, request.size, request.flip) for n in set(numbers)}
    first = views[numbers[0]]
    clip = np.empty((len(numbers), *first.shape), first.dtype)
    for t, number in enumerate(numbers):
        clip[t] = views[number]
    return Clip(request.key, clip)
