"""The frame index: when every frame of a file is shown, and where decoding may start.

It is read from the packets alone, without decoding (but for one frame, which tells the true size
and the rotation), so it costs little more than reading the file.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from actionspace.errors import VideoError
from actionspace.video.reader import Reader, Stopwatch

#: Seconds by which a frame's middle may lie before a border and still count as on it: flow of every
#: second frame has its middles where odd frames begin, and rounding must not choose between them.
_TIE = 1e-6


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """What one pass over the packets tells about the frames, in presentation order.

    Attributes:
        path: the file.
        times: ``[N, 2]`` float64, start and end of each frame in seconds from the first one.
        pts: ``[N]`` int64, presentation stamps in the stream's own unit; how frames are told apart.
        keyframes: ``[K]`` int64, the frames at which decoding can start.
        by_count: frames are told apart by counting decoded ones, because their stamps cannot be
            trusted (AVI with B-frames, missing or repeated stamps).
        fps: mean frames per second.
        width, height: pixels of a frame as shown, after ``rotation``.
        rotation: quarter turns in degrees counter-clockwise that make the stored frame upright.
        damage: why there are fewer frames than the file promises, or "".
    """

    path: Path
    times: np.ndarray
    pts: np.ndarray
    keyframes: np.ndarray
    by_count: bool
    fps: float
    width: int
    height: int
    rotation: int = 0
    damage: str = ""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def duration(self) -> float:
        """Seconds from the start of the first to the end of the last frame."""
        return float(self.times[-1, 1])

    @cached_property
    def _middles(self) -> np.ndarray:
        return np.asarray(self.times.mean(axis=1))

    def frame_at(self, time: float) -> int:
        """Return the frame shown at ``time`` seconds (the first or last one if outside)."""
        return int(np.clip(np.searchsorted(self.times[:, 0], time, "right") - 1, 0, len(self) - 1))

    def frames_between(self, start: float, end: float) -> tuple[int, int]:
        """Return ``(first, stop)`` of the frames whose middle lies in ``[start, end)``.

        The middle, so that times rounded in an annotation file still give the same frames. Never
        empty: an interval shorter than a frame gives the frame shown at its middle.
        """
        borders = np.array([start, end]) - _TIE
        first, stop = (int(i) for i in np.searchsorted(self._middles, borders))
        if first < stop:
            return first, stop
        nearest = self.frame_at((start + end) / 2)
        return nearest, nearest + 1


def frame_index(
    path: str | os.PathLike[str], *, time_limit: float | None = None, watch: Stopwatch | None = None
) -> FrameIndex:
    """Index the frames of the first video stream of ``path``.

    Raises:
        VideoError: the file cannot be opened, holds no video or not one decodable frame, or takes
            longer than ``time_limit`` seconds.
    """
    with Reader(path, watch=watch or Stopwatch(path, time_limit)) as reader:
        return _index(reader)


def _index(reader: Reader) -> FrameIndex:
    stream = reader.stream
    listed, shown = _list_packets(reader)
    pts, unique = listed.pts, listed.stamped and len(np.unique(listed.pts)) == len(listed.pts)
    # AVI has no presentation stamps: with B-frames the ones its decoder gives are out of order.
    reordered = bool((np.diff(pts) < 0).any()) or bool(stream.codec_context.has_b_frames)
    by_count = not unique or (reordered and reader.container.format.name == "avi")
    order = np.argsort(pts, kind="stable") if unique else np.arange(len(pts))
    if not by_count and shown.pts is not None and shown.pts in pts:
        # What comes before the first frame shown hangs on a key frame that is not there.
        order = order[np.searchsorted(pts[order], shown.pts) :]
    pts, last = pts[order], int(listed.durations[order[-1]])
    times = _times(pts, last, stream.time_base, stream.average_rate, unique)
    width, height, rotation = _shown_size(shown)
    return FrameIndex(
        path=reader.path,
        times=times,
        pts=pts if unique else np.arange(len(pts)),
        keyframes=np.union1d(0, [] if by_count else np.flatnonzero(listed.keys[order])).astype(int),
        by_count=by_count,
        fps=len(times) / max(float(times[-1, 1]), 1e-9),
        width=width,
        height=height,
        rotation=rotation,
        damage=_shortfall(reader, listed.count, pts, times) or reader.damage,
    )


@dataclass(frozen=True, eq=False)
class _Listed:
    """The packets that become frames, in stored order; ``count`` is that of all packets."""

    pts: np.ndarray
    durations: np.ndarray
    keys: np.ndarray
    stamped: bool
    count: int


def _list_packets(reader: Reader) -> tuple[_Listed, VideoFrame]:
    """Return the packets and the first frame, for which no more are decoded than needed."""
    pts, durations, keys = array("q"), array("q"), array("b")
    stamped, count = True, 0
    shown: VideoFrame | None = None
    codec = reader.stream.codec_context.name
    for packet in reader.packets():
        count += 1
        if shown is None:
            shown = next(reader.decode(packet), None)
        if _presented(packet, codec):
            stamped &= packet.pts is not None
            pts.append(packet.pts or 0)
            durations.append(packet.duration or 0)
            keys.append(packet.is_keyframe)
    shown = shown or next(reader.decode(None), None)
    if shown is None or not pts:
        raise VideoError(
            f"{reader.path}: not one frame can be decoded"
            f"{f' ({reader.damage})' if reader.damage else ''}. Copy it again or re-encode it."
        )
    listed = _Listed(
        pts=np.frombuffer(pts, np.int64),
        durations=np.frombuffer(durations, np.int64),
        keys=np.frombuffer(keys, np.int8),
        stamped=stamped,
        count=count,
    )
    return listed, shown


def _presented(packet: Packet[VideoStream], codec: str) -> bool:
    """Tell whether a packet becomes a frame that is shown."""
    if packet.is_discard:  # before the start of an edit list
        return False
    # VP8's hidden reference frames are packets of their own; bit 4 of the header is "show".
    return codec not in ("vp8", "libvpx") or bool(memoryview(packet)[0] & 0x10)


def _times(
    pts: np.ndarray, last: int, unit: Fraction | None, rate: Fraction | None, stamped: bool
) -> np.ndarray:
    """Return ``[N, 2]`` seconds from the first frame; ``last`` is the last frame's duration."""
    n = len(pts)
    if stamped and unit:
        starts = (pts - pts[0]).astype(np.float64) * float(unit)
        length = last * float(unit)
    else:
        starts = np.arange(n) / float(rate or 25)
        length = 0.0
    if length <= 0:
        length = float(np.median(np.diff(starts))) if n > 1 else 1 / float(rate or 25)
    return np.stack([starts, np.append(starts[1:], starts[-1] + length)], axis=1)


def _shown_size(frame: VideoFrame) -> tuple[int, int, int]:
    rotation = round(frame.rotation / 90) * 90 % 360
    width, height = frame.width, frame.height
    return (height, width, rotation) if rotation % 180 else (width, height, rotation)


def _shortfall(reader: Reader, packets: int, pts: np.ndarray, times: np.ndarray) -> str:
    """Say how much less there is than the container promises, or "".

    Containers are not exact, so what is missing must be some frames and a few per cent.
    """
    stream, container = reader.stream, reader.container
    end = float(times[-1, 1])
    frame = end / len(times)
    # Frames that AVI dropped have no packet but do take up time.
    there = max(packets, round(end * float(stream.average_rate or 0)))
    if stream.frames - there > max(3, 0.02 * stream.frames):
        return f"incomplete: {there} of {stream.frames} frames are there"
    if stream.duration and stream.time_base:
        promised, slack = float(stream.duration * stream.time_base), max(3 * frame, 0.02 * end)
        end += max(0.0, float(pts[0] - (stream.start_time or 0)) * float(stream.time_base))
    elif container.duration:  # of the longest track, which may be sound: be generous
        promised, slack = container.duration / av.time_base, max(3 * frame, 1 + 0.05 * end)
    else:
        return ""
    if promised - end <= slack:
        return ""
    return f"incomplete: frames end at {end:.2f} s of {promised:.2f} s"
