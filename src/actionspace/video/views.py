"""Views: which clips of a video or an event an encoder sees, as data.

A view is one choice of time and crop. Test views are the grid (crops x clips), crops first as in
the original pipelines; train views are random, a pure function of (seed, epoch, sample, view).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from actionspace.errors import VideoError
from actionspace.video import sample as sampling
from actionspace.video.clips import ClipRequest
from actionspace.video.flow import Flow
from actionspace.video.index import FrameIndex
from actionspace.video.transform import (
    Box,
    FrameTransform,
    ResizeMode,
    center_box,
    padded_box,
    random_resized_box,
    three_boxes,
)

#: A nominal frame rate must not make more frames of a video than this (four days at 30 fps).
MAX_FRAMES = 10_000_000

#: At a nominal rate, the frame shown this part of a frame after each tick is taken. An odd number,
#: so that for every usual pair of rates the tick falls well inside one frame or the other and
#: rounded time stamps do not change the choice.
LATE = 0.123


@dataclass(frozen=True)
class Views:
    """How clips are sampled and cropped.

    Attributes:
        frames, stride: frames per clip and the step between them.
        spread: clips of events take ``frames`` frames evenly from the whole event, whatever the
            ``stride``; shorter events repeat their last frame (as the original X3D on UCF50).
        size: side of the square clips, pixels.
        short_side: shorter side of the resized frame that crops are taken from.
        geometry: ``center`` crop, ``three`` crops along the longer side, ``full`` = the whole
            frame squeezed into a square, or ``pad`` = the middle of the frame as it is, with grey
            where it is smaller than ``size``.
        resize: see :class:`FrameTransform`.
        clips: clips spread over each event (event-anchored views only).
        augment: number of random train views; 0 = the test views.
        out_of_bound: ``loop`` wraps round at the end of the event, ``repeat_last`` stays there.
        fps: nominal rate that ``stride`` counts in; None = the video's own frames.
        seed: of the random views.
        flow: clips show optical flow, computed in this way (see :mod:`actionspace.video.flow`; its
            steps are those of ``fps``); None = they show pictures.
        flip: mirror random views half of the time.
        speed, jitter: of random views of events, see :func:`.sample.random_steps`.
    """

    frames: int = 32
    stride: int = 2
    size: int = 224
    short_side: int = 256
    geometry: Literal["center", "three", "full", "pad"] = "center"
    resize: ResizeMode = "exact"
    clips: int = 1
    augment: int = 0
    out_of_bound: sampling.OutOfBound = "loop"
    fps: float | None = None
    seed: int = 0
    flow: str | None = None
    spread: bool = False
    flip: bool = True
    speed: tuple[float, float] = (1.0, 1.0)
    jitter: bool = False

    @property
    def span(self) -> int:
        """Frames from a clip's first to its last, its stride included (of ``fps`` if given)."""
        return self.frames * self.stride

    @property
    def n_views(self) -> int:
        """Views of an event."""
        return self.augment or self.crops * self.clips

    @property
    def n_dense_views(self) -> int:
        """Views of each window of a dense grid; ``clips`` plays no part there."""
        return self.augment or self.crops

    @property
    def crops(self) -> int:
        """Crops of a frame."""
        return 3 if self.geometry == "three" else 1

    @property
    def unusual(self) -> dict[str, Any]:
        """What of the drawing of random views is not as usual, as plain values."""
        options = {"flip": self.flip, "speed": list(self.speed), "jitter": self.jitter}
        usual = {"flip": True, "speed": [1.0, 1.0], "jitter": False}
        return {name: value for name, value in options.items() if value != usual[name]}

    def transform(self, crop: Box | None = None) -> FrameTransform:
        """Return what happens to each frame before clips are cut; ``crop`` as in the manifest."""
        squeezed = self.geometry == "full" and not self.augment
        as_it_is = self.geometry == "pad" and not self.augment
        return FrameTransform(
            short_side=None if squeezed or as_it_is else self.short_side,
            size=self.size if squeezed else None,
            mode=self.resize,
            crop=crop,
            flow=None if self.flow is None else Flow(self.flow, self.fps),
        )

    def requests_for_interval(
        self,
        index: FrameIndex,
        start: float,
        end: float,
        key: Any = None,
        *,
        crop: Box | None = None,
        epoch: int = 0,
        sample: int = 0,
        view: int | None = None,
    ) -> list[ClipRequest]:
        """Return ``n_views`` requests with keys ``(key, view)`` for one event, or one of them.

        The event's frames are treated as a video of their own: offsets are spread (or drawn) over
        them, and a clip longer than the event wraps round or repeats. ``start`` and ``end`` in
        seconds; NaN = the whole video. A point event (``start == end``) is the clip around it.

        Raises:
            VideoError: the event lies behind the end of the video, or crops do not fit.
        """
        native = self._event_frames(index, start, end)
        width, height = self.transform(crop).output_size(index.width, index.height)
        if self.augment:
            return [
                self._random_request(native, width, height, key, (epoch, sample, v))
                for v in (range(self.augment) if view is None else [view])
            ]
        if self.spread:
            clips = [self._spread(native)] * self.clips
        else:
            offsets = sampling.test_offsets(len(native), self.frames, self.stride, self.clips)
            clips = [self._frames(native, int(offset), self.out_of_bound) for offset in offsets]
        boxes = self._boxes(width, height)
        pairs = [(box, frames) for box in boxes for frames in clips]
        requests = [ClipRequest((key, v), frames, box) for v, (box, frames) in enumerate(pairs)]
        return requests if view is None else [requests[view]]

    def requests_dense(
        self,
        index: FrameIndex,
        hop: int,
        *,
        crop: Box | None = None,
        epoch: int = 0,
        sample: int = 0,
    ) -> tuple[list[ClipRequest], np.ndarray]:
        """Return requests with keys ``(row, view)`` and row times ``[N, 2]`` for a whole video.

        Row r covers frames ``[r * hop, r * hop + frames * stride)``, in frames of ``fps`` if that
        is given. The last row may reach behind the end: its frames repeat the last one there and
        its time stops at the end. A video shorter than one clip has one row (wrapped round or
        repeated as in ``out_of_bound``).
        """
        native = self._timeline(index, 0, len(index))
        starts = sampling.dense_windows(len(native), self.frames, self.stride, hop)
        how = self.out_of_bound if len(starts) == 1 else "repeat_last"
        width, height = self.transform(crop).output_size(index.width, index.height)
        requests = []
        for row, start in enumerate(starts.tolist()):
            frames = self._frames(native, start, how)
            for view in range(self.n_dense_views):
                if self.augment:
                    box, flip = self._random_box(width, height, (epoch, sample, view, row))
                    requests.append(ClipRequest((row, view), frames, box, flip, self.size))
                else:
                    requests.append(
                        ClipRequest((row, view), frames, self._boxes(width, height)[view])
                    )
        return requests, self._row_times(index, native, starts)

    def _event_frames(self, index: FrameIndex, start: float, end: float) -> np.ndarray:
        """Return the event's frames, int64: its own, or those of ``fps`` over its length."""
        start = 0.0 if math.isnan(start) else start
        end = index.duration if math.isnan(end) else end
        if start > index.duration or end < 0 or start == index.duration < end:
            raise VideoError(
                f"{index.path}: an event from {start:g} s to {end:g} s lies outside the video, "
                f"which lasts {index.duration:.2f} s. Correct the event or the video."
            )
        if start == end:
            half = self.span / (self.fps or index.fps) / 2
            start, end = max(0.0, start - half), min(index.duration, end + half)
        return self._timeline(index, *index.frames_between(start, end))

    def _timeline(self, index: FrameIndex, first: int, stop: int) -> np.ndarray:
        """Return frame numbers of ``[first, stop)``, resampled to ``fps`` where that is set."""
        if self.fps is None:
            return np.arange(first, stop, dtype=np.int64)
        start, end = index.times[first, 0], index.times[stop - 1, 1]
        count = max(1, round((end - start) * self.fps))
        if count > MAX_FRAMES:
            raise VideoError(
                f"{index.path}: {end - start:.0f} s at {self.fps:g} frames per second are too "
                f"many. Its time stamps are probably broken: re-encode it, or leave fps unset."
            )
        times = start + np.arange(count) / self.fps + LATE / index.fps
        numbers = np.searchsorted(index.times[:, 0], times, "right") - 1
        return np.asarray(np.clip(numbers, first, stop - 1), np.int64)

    def _frames(
        self, native: np.ndarray, offset: int, out_of_bound: sampling.OutOfBound
    ) -> np.ndarray:
        indices = sampling.clip_indices(offset, self.frames, self.stride, len(native), out_of_bound)
        return np.asarray(native[indices])

    def _spread(self, native: np.ndarray) -> np.ndarray:
        indices = sampling.spread_indices(len(native), self.frames, short="repeat_last")
        return np.asarray(native[indices])

    def _row_times(self, index: FrameIndex, native: np.ndarray, starts: np.ndarray) -> np.ndarray:
        stops = np.minimum(starts + self.span, len(native))
        if self.fps is None:
            return np.stack([index.times[starts, 0], index.times[stops - 1, 1]], axis=1)
        ends = np.where(stops == len(native), index.duration, stops / self.fps)
        return np.stack([starts / self.fps, ends], axis=1)

    def _boxes(self, width: int, height: int) -> list[Box | None]:
        if self.geometry == "full":
            return [None]
        if self.geometry == "three":
            return list(three_boxes(width, height, self.size))
        if self.geometry == "pad":
            return [padded_box(width, height, self.size)]
        return [center_box(width, height, self.size)]

    def _random_request(
        self, native: np.ndarray, width: int, height: int, key: Any, draw: tuple[int, int, int]
    ) -> ClipRequest:
        rng = np.random.default_rng((self.seed, *draw))
        frames = self._spread(native) if self.spread else self._random_frames(native, rng)
        box = random_resized_box(width, height, rng)
        flip = bool(rng.random() < 0.5) and self.flip
        return ClipRequest((key, draw[2]), frames, box, flip, self.size)

    def _random_frames(self, native: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        steps, span = sampling.random_steps(
            self.frames, self.stride, rng, speed=self.speed, jitter=self.jitter
        )
        offset = sampling.train_offsets(len(native), span, 1, rng)
        inside = sampling.stay_inside(offset + steps, len(native), self.out_of_bound)
        return np.asarray(native[inside])

    def _random_box(
        self, width: int, height: int, draw: tuple[int, int, int, int]
    ) -> tuple[Box, bool]:
        rng = np.random.default_rng((self.seed, *draw))
        return random_resized_box(width, height, rng), bool(rng.random() < 0.5) and self.flip
