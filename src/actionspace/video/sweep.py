"""One pass over a file that gives every wanted frame once, decoding no frame twice.

Where key frames are far apart (250 frames is x264's default), a handful of frames costs as much
by seeking as decoding everything; so the plan reads on unless a seek really skips something.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from actionspace.errors import VideoError
from actionspace.video.convert import Converter
from actionspace.video.index import FrameIndex, frame_index
from actionspace.video.reader import Reader, Stopwatch
from actionspace.video.transform import FrameTransform

#: A seek throws away the decoder's queue and fills it again: it must skip more than this.
SEEK_COST = 16


@dataclass(frozen=True)
class Stretch:
    """Decode from frame ``start`` (a key frame) on until the last of ``wanted`` has come."""

    start: int
    wanted: np.ndarray


@dataclass(frozen=True)
class Plan:
    """The stretches to decode, in order; one that starts at 0 is a sweep from the beginning."""

    stretches: tuple[Stretch, ...]

    @property
    def frames(self) -> int:
        """Frames that will be decoded."""
        return sum(int(s.wanted[-1]) + 1 - s.start for s in self.stretches)

    @property
    def seeks(self) -> int:
        """Stretches that begin with a seek."""
        return sum(s.start > 0 for s in self.stretches)


@dataclass
class SweepStats:
    """What a sweep did, filled in while it runs.

    Attributes:
        planned: frames the plan decodes at most.
        decoded: frames that came out of the decoder; it may leave out what nobody needs.
        converted: frames turned into RGB and resized; each wanted frame once.
        seeks: seeks done.
        missing: wanted frames that never came.
        disorder: frames whose stamps go backwards.
        dropped: keys of clips that were left out for that (filled in by ``iter_clips``).
        damage: what went wrong, in words, "" if nothing.
    """

    planned: int = 0
    decoded: int = 0
    converted: int = 0
    seeks: int = 0
    missing: int = 0
    disorder: int = 0
    damage: str = ""
    dropped: list[Any] = field(default_factory=list)


def plan(index: FrameIndex, wanted: Iterable[int] | np.ndarray) -> Plan:
    """Decide from the key frames where to decode on and where to seek.

    Raises:
        VideoError: a wanted frame is outside the video.
    """
    frames = np.unique(
        np.fromiter(wanted, np.int64) if not isinstance(wanted, np.ndarray) else wanted
    )
    if not len(frames):
        return Plan(())
    if frames[0] < 0 or frames[-1] >= len(index):
        raise VideoError(
            f"{index.path}: frame {frames[0] if frames[0] < 0 else frames[-1]} is asked for, but "
            f"the video has frames 0 to {len(index) - 1}."
        )
    key = index.keyframes[np.searchsorted(index.keyframes, frames, "right") - 1]
    skipped = key[1:] - (frames[:-1] + 1)
    cuts = np.flatnonzero(skipped > SEEK_COST) + 1
    starts = key[np.concatenate([[0], cuts])]
    if starts[0] <= SEEK_COST:
        starts[0] = 0
    return Plan(
        tuple(
            Stretch(int(start), part)
            for start, part in zip(starts, np.split(frames, cuts), strict=True)
        )
    )


def sweep(
    path: str | os.PathLike[str],
    wanted: Iterable[int] | np.ndarray,
    *,
    transform: FrameTransform,
    index: FrameIndex | None = None,
    threads: int = 1,
    time_limit: float | None = None,
    watch: Stopwatch | None = None,
    stats: SweepStats | None = None,
) -> Generator[tuple[int, np.ndarray]]:
    """Yield ``(frame number, uint8 [H, W, 3] RGB)`` for each wanted frame once, in order.

    Frames that cannot be decoded are left out; ``stats`` then counts them and says why.
    ``threads`` are the decoder's (0 = its choice) and do not change the pixels.

    Raises:
        VideoError: the file cannot be opened, a frame is outside it, or the time is up.
    """
    watch = watch or Stopwatch(path, time_limit)
    stats = stats if stats is not None else SweepStats()
    index = index or frame_index(path, watch=watch)
    todo = plan(index, wanted)
    stats.planned = todo.frames
    stats.damage = index.damage
    if not todo.stretches:
        return
    convert = Converter(index, transform)
    with Reader(path, threads=threads, watch=watch) as reader:
        for stretch in todo.stretches:
            for number, frame in _stretch(reader, index, stretch, stats):
                picture = convert(frame)
                stats.converted += 1
                _account(stats, reader, index)
                with watch.paused():
                    yield number, picture
        _account(stats, reader, index)


def _stretch(
    reader: Reader, index: FrameIndex, stretch: Stretch, stats: SweepStats
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield a stretch's wanted frames, rising; count in ``stats`` those that do not come."""
    wanted, todo = stretch.wanted, 0
    for number, frame in _numbered(reader, index, stretch, stats):
        position = int(wanted.searchsorted(number))
        if position < todo or position >= len(wanted) or wanted[position] != number:
            if number > wanted[-1]:
                break
            continue
        stats.missing += position - todo
        todo = position + 1
        yield number, frame
        if todo == len(wanted):
            return
    stats.missing += len(wanted) - todo


def _numbered(
    reader: Reader, index: FrameIndex, stretch: Stretch, stats: SweepStats
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield decoded frames with their number from ``stretch.start`` on."""
    if index.by_count:
        yield from enumerate(reader.frames())
        return
    if stretch.start == 0:
        yield from _pts_numbers(reader, index, stretch, stats)
        return
    key = int(np.searchsorted(index.keyframes, stretch.start))
    # Containers differ in what they land on, those without an index (MPEG-TS) land too late, and
    # some key frames are none (intra refresh): so look where it landed, and go further back.
    for target in (stretch.wanted[0], stretch.start, index.keyframes[max(0, key - 1)], 0):
        reader.seek(int(index.pts[target]))
        stats.seeks += 1
        numbered = _pts_numbers(reader, index, stretch, stats)
        first = next(numbered, None)
        if first is not None and (first[0] <= stretch.wanted[0] or target == 0):
            yield first
            yield from numbered
            return


def _pts_numbers(
    reader: Reader, index: FrameIndex, stretch: Stretch, stats: SweepStats
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield frames with the number that belongs to their stamp, leaving out strangers."""
    last, previous, wanted = len(index) - 1, -1, index.pts[stretch.wanted]

    def needed(pts: int) -> bool:
        return bool(wanted[min(wanted.searchsorted(pts), len(wanted) - 1)] == pts)

    for frame in reader.frames(needed):
        if frame.pts is None:
            continue
        number = min(int(index.pts.searchsorted(frame.pts)), last)
        if index.pts[number] != frame.pts:
            continue
        if number <= previous:
            stats.disorder += 1
        previous = number
        yield number, frame


def _account(stats: SweepStats, reader: Reader, index: FrameIndex) -> None:
    stats.decoded = reader.decoded
    parts = [index.damage, reader.damage]
    if stats.missing:
        parts.append(f"{stats.missing} wanted frame(s) cannot be decoded")
    if stats.disorder:
        parts.append(f"the time stamps of {stats.disorder} frame(s) go backwards")
    stats.damage = "; ".join(dict.fromkeys(part for part in parts if part))
