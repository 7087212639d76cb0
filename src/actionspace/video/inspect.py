"""What a video file is and whether it can be relied on: facts, exact frame count, verdict."""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from actionspace.errors import VideoError
from actionspace.video.index import FrameIndex, frame_index
from actionspace.video.reader import Reader, Stopwatch

Verdict = Literal["ok", "partial", "bad"]


@dataclass(frozen=True)
class VideoInfo:
    """Facts about the first video stream of a file.

    Attributes:
        path: as given.
        codec, pix_fmt: the decoder's and the pixel format's name in FFmpeg.
        width, height: pixels as stored, before ``rotation``.
        fps: mean rate the container states, 0 if it states none.
        frames: frames that decode (``exact``) or that are stored.
        duration: seconds from the start of the first to the end of the last frame.
        audio_streams: number of sound tracks.
        rotation: degrees counter-clockwise that make the picture upright (-180 to 180).
        vfr: the frame rate varies.
        min_dt, max_dt: shortest and longest step between frames as they come, seconds; NaN for
            fewer than two.
        start: stamp of the first frame, seconds.
        keyframes: frames at which decoding can start.
        verdict: ``ok``, ``partial`` (some of it can be used) or ``bad`` (nothing can).
        reason: why it is not ``ok``.
    """

    path: str
    codec: str = ""
    width: int = 0
    height: int = 0
    pix_fmt: str = ""
    fps: float = 0.0
    frames: int = 0
    duration: float = 0.0
    audio_streams: int = 0
    rotation: int = 0
    vfr: bool = False
    min_dt: float = float("nan")
    max_dt: float = float("nan")
    start: float = 0.0
    keyframes: int = 0
    verdict: Verdict = "ok"
    reason: str = ""


def inspect(
    path: str | os.PathLike[str],
    *,
    exact: bool = True,
    threads: int = 0,
    time_limit: float | None = None,
) -> VideoInfo:
    """Look at a video file; a bad file is a verdict with a reason, never an exception.

    ``exact`` decodes every frame to count it and to find damage; else the packets are counted,
    which is as good for a sound file and many times faster. ``threads`` are the decoder's (0 =
    its choice).
    """
    watch = Stopwatch(path, time_limit)
    try:
        index = frame_index(path, watch=watch)
        with Reader(path, threads=threads, watch=watch) as reader:
            return _look(os.fspath(path), reader, index, exact)
    except VideoError as e:
        return VideoInfo(os.fspath(path), verdict="bad", reason=str(e))


def _look(path: str, reader: Reader, index: FrameIndex, exact: bool) -> VideoInfo:
    stream, context = reader.stream, reader.stream.codec_context
    unit = float(stream.time_base or 1)
    steps = np.diff(index.times[:, 0])
    info = VideoInfo(
        path,
        codec=context.name,
        width=context.width,
        height=context.height,
        pix_fmt=context.pix_fmt or "",
        fps=float(stream.average_rate or 0),
        frames=len(index),
        duration=index.duration,
        audio_streams=len(reader.container.streams.audio),
        rotation=(index.rotation + 180) % 360 - 180,
        start=0.0 if index.by_count else float(index.pts[0]) * unit,
        keyframes=len(index.keyframes),
    )
    damage = index.damage
    if exact:
        frames, stamps = _decode_all(reader)
        info = replace(info, frames=frames)
        steps = np.diff(stamps) * unit
        damage = damage or reader.damage
        if not damage and frames < len(index):
            damage = f"corrupt: {frames} of {len(index)} stored frames can be decoded"
    if len(steps):
        low, high = float(steps.min()), float(steps.max())
        info = replace(info, vfr=_varies(steps, unit), min_dt=low, max_dt=high)
    if damage:
        info = replace(info, verdict="partial" if info.frames else "bad", reason=damage)
    return info


def _decode_all(reader: Reader) -> tuple[int, np.ndarray]:
    """Return the number of frames and the stamps of those that have one, as they come."""
    stamps = array("q")
    for frame in reader.frames():
        if frame.pts is not None:
            stamps.append(frame.pts)
    return reader.decoded, np.frombuffer(stamps, np.int64)


def _varies(steps: np.ndarray, unit: float) -> bool:
    """Tell a varying frame rate from one that a container with coarse time rounds.

    Matroska stores milliseconds: steps of 33 and 34 ms are a constant 30 frames per second.
    """
    spread = float(steps.max() - steps.min())
    return spread > max(0.05 * float(np.median(steps)), 1.5 * min(unit, 1e-3))
