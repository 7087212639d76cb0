"""The sound of a video: decoded to one channel, and what is heard while a clip is seen.

Times are seconds from the video's first frame, as everywhere; zeros stand for what lies outside the
sound track.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Generator, Iterator, Sequence
from typing import Any, cast

import av
import numpy as np
from av.audio.frame import AudioFrame

from actionspace.errors import VideoError
from actionspace.video.clips import Clip, ClipRequest, Policy, needs
from actionspace.video.index import FrameIndex, frame_index
from actionspace.video.logmel import LogMel, columns
from actionspace.video.reader import DECODE_ERRORS, Reader, Stopwatch
from actionspace.video.sweep import SweepStats

#: Seconds by which stamps may miss the count of samples before silence is put in (or sound cut).
SLACK = 0.05


def read_sound(
    path: str | os.PathLike[str], rate: int, *, time_limit: float | None = None
) -> np.ndarray:
    """Return the first sound track of a video, float32 ``[S]``, mono, from its first frame on.

    Raises:
        VideoError: the file cannot be opened, has no sound, or its sound is damaged.
    """
    watch, stats = Stopwatch(path, time_limit), SweepStats()
    pieces = list(_samples(frame_index(path, watch=watch), rate, watch, stats))
    if stats.damage:
        raise VideoError(f"{path}: {stats.damage}. Re-encode the file.")
    return np.concatenate([np.zeros(0, np.float32), *pieces])


def sound_clips(
    path: str | os.PathLike[str],
    requests: Sequence[ClipRequest],
    of: LogMel,
    *,
    index: FrameIndex | None = None,
    policy: Policy = "raise",
    watch: Stopwatch | None = None,
    stats: SweepStats | None = None,
) -> Iterator[Clip]:
    """Yield what is heard while each clip is seen: float32 ``[2 * mels]``, mean and deviation.

    A clip is heard from the start of its first to the end of its last frame: the columns whose
    middle lies there, or at least the one before the clip's middle. Order, policy and statistics
    are those of :func:`actionspace.video.clips.iter_clips`; boxes and flips mean nothing here.
    Sound that ends up to a second (or 5 %) before the pictures goes on as silence.

    Raises:
        VideoError: the file cannot be opened or has no sound, a request is outside it, or (but
            for ``partial``) it is damaged.
    """
    watch = watch or Stopwatch(path)
    stats = stats if stats is not None else SweepStats()
    index = index or frame_index(path, watch=watch)
    last, _ = needs(requests, len(index), index)
    order = np.lexsort((np.arange(len(requests)), last))
    first = np.array([requests[i].frames.min() for i in order], np.int64)
    windows = _windows(index.times[first, 0], index.times[last[order], 1], of)
    clips = _pool(_all_columns(index, of, watch, stats), windows)
    try:
        for position, vector in zip(order.tolist(), clips, strict=False):
            stats.converted += 1
            with watch.paused():
                yield Clip(requests[position].key, vector)
    finally:
        clips.close()  # and with it the file
    stats.dropped = [requests[i].key for i in order[stats.converted :]]
    if stats.damage and policy != "partial":
        raise VideoError(
            f"{path}: {stats.damage}. Re-encode or replace the file, or use policy 'partial' to "
            f"take what can be read."
        )


def _windows(starts: np.ndarray, ends: np.ndarray, of: LogMel) -> np.ndarray:
    """Return first and stop column of each span of seconds, ``[N, 2]``; none is empty."""
    middle = ((starts + ends) / 2 * of.rate / of.hop).astype(np.int64)
    low, high = (np.ceil(t * of.rate / of.hop - 1e-6).astype(np.int64) for t in (starts, ends))
    return np.stack([np.where(low < high, low, middle), np.maximum(high, middle + 1)], axis=1)


def _pool(blocks: Iterator[np.ndarray], windows: np.ndarray) -> Generator[np.ndarray]:
    """Yield mean and deviation over each window of columns; stop where the columns do.

    Columns are kept only as long as a window to come begins before their end.
    """
    oldest = np.minimum.accumulate(windows[::-1, 0])[::-1]
    held, offset = next(blocks, np.zeros((0, 1), np.float32)), 0
    for (start, stop), needed in zip(windows.tolist(), oldest.tolist(), strict=True):
        drop = max(0, min(needed - offset, len(held)))
        parts, length = [held[drop:]], len(held) - drop
        offset += drop
        while offset + length < stop:
            block = next(blocks, None)
            if block is None:
                return
            parts.append(block)
            length += len(block)
        held = np.concatenate(parts)
        heard = held[start - offset : stop - offset].astype(np.float64)
        yield np.concatenate([heard.mean(axis=0), heard.std(axis=0)]).astype(np.float32)


def _all_columns(
    index: FrameIndex, of: LogMel, watch: Stopwatch, stats: SweepStats
) -> Iterator[np.ndarray]:
    """Yield the spectrogram of a video, up to its last picture, in blocks ``[n, mels]``."""
    yield from columns(_to_the_end(_samples(index, of.rate, watch, stats), index, of, stats), of)


def _to_the_end(
    pieces: Iterator[np.ndarray], index: FrameIndex, of: LogMel, stats: SweepStats
) -> Iterator[np.ndarray]:
    """Yield the samples, then silence up to the end of the pictures if little is missing."""
    count = 0
    for piece in pieces:
        count += len(piece)
        yield piece
    missing = index.duration - count / of.rate
    if missing > max(1.0, 0.05 * index.duration):
        ends = f"the sound ends at {count / of.rate:.2f} s of {index.duration:.2f} s"
        stats.damage = "; ".join(filter(None, [stats.damage, ends]))
    elif missing > 0:
        yield np.zeros(math.ceil(missing * of.rate), np.float32)


def _samples(
    index: FrameIndex, rate: int, watch: Stopwatch, stats: SweepStats
) -> Iterator[np.ndarray]:
    """Yield mono float32 samples without a gap, the first at the time of the first picture."""
    with _SoundReader(index.path, watch=watch) as reader:
        unit = reader.container.streams.video[0].time_base or 1
        start = 0.0 if index.by_count else float(index.pts[0] * unit)
        resampler, position = av.AudioResampler("flt", "mono", rate), 0
        for frame in itertools.chain(cast("Iterator[AudioFrame]", reader.frames()), [None]):
            try:
                found = [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame)]
            except DECODE_ERRORS:
                reader.bad_frames += 1
                continue
            samples = np.concatenate([np.zeros(0, np.float32), *found])
            stamp = None if frame is None else frame.time
            late = 0 if stamp is None else round((stamp - start) * rate) - position
            if abs(late) > SLACK * rate or position == 0:
                samples = np.concatenate([np.zeros(max(late, 0), np.float32), samples])
                samples = samples[max(-late, 0) :]
            position += len(samples)
            stats.decoded = reader.decoded
            stats.damage = "; ".join(filter(None, [index.damage, reader.damage]))
            if len(samples):
                yield samples


class _SoundReader(Reader):
    """A reader over the first sound track of a file."""

    def _choose(self) -> Any:
        if not self.container.streams.audio:
            raise VideoError(
                f"{self.path}: has no sound track. Leave it out, or use an encoder of pictures; "
                f"`actionspace fuse` takes the other predictions where one has nothing to say."
            )
        return self.container.streams.audio[0]
