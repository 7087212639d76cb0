"""Which rows each video of a manifest gets, and the clips that make them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from actionspace.errors import UsageError
from actionspace.features.assembly import Rows
from actionspace.features.content import content_hash
from actionspace.features.fingerprint import video_key
from actionspace.video import sample as sampling
from actionspace.video.clips import ClipRequest
from actionspace.video.index import FrameIndex
from actionspace.video.transform import Box
from actionspace.video.views import Views

if TYPE_CHECKING:
    from actionspace.events.table import Events

Interval = tuple[float, float]


@dataclass(frozen=True)
class Source:
    """A video of the manifest, before it is opened."""

    video: str
    """Its manifest path."""
    path: Path
    """The file."""
    crop: Box | None
    """Part of the frame to use."""
    intervals: tuple[Interval, ...] | None
    """Distinct event intervals in seconds, rising, NaN last; ``None`` for a dense grid."""

    def key(self) -> tuple[str, str]:
        """Return the name of its features and the content hash (reads the file if not cached).

        Raises:
            VideoError: the file is missing or cannot be read.
        """
        content = content_hash(self.path)
        return video_key(content, self.crop, self.intervals), content


def sources(events: Events, rows: str) -> Iterator[Source]:
    """Yield each video of a manifest; with ``rows="events"`` only those that have events."""
    from actionspace.events.columns import parse_crop

    for video, its_events in events.by_video():
        name = str(video["video"])
        crop = parse_crop(video["crop"], f"{name}: crop")
        intervals = None
        if rows == "events":
            kept = its_events[its_events["status"] == "event"]
            pairs = kept[["start", "end"]].to_numpy(dtype=np.float64)
            if not len(pairs):
                continue
            # NaN differs from itself: sort and drop doubles by bytes that compare.
            distinct = np.unique(np.nan_to_num(pairs, nan=np.inf), axis=0)
            distinct[np.isinf(distinct)] = np.nan
            intervals = tuple((float(s), float(e)) for s, e in distinct)
        yield Source(name, events.path(name), crop, intervals)


@dataclass(frozen=True)
class Grid:
    """Where the rows of every video are: a dense grid, or the manifest's events."""

    views: Views
    rows: Literal["dense", "events"]
    hop: int
    """Frames between dense rows (of ``views.fps`` if that is set)."""

    @classmethod
    def of(cls, views: Views, rows: str, hop: int | None) -> Grid:
        """Check the options; ``hop`` defaults to half of what a clip spans.

        Raises:
            UsageError: an option is not possible.
        """
        if rows not in ("dense", "events"):
            raise UsageError(f"rows='{rows}' is neither 'dense' nor 'events'.")
        if hop is not None and rows == "events":
            raise UsageError("hop= belongs to rows='dense'; event rows have no grid.")
        hop = max(1, views.span // 2) if hop is None else hop
        if hop < 1:
            raise UsageError(f"hop is {hop}; expected at least 1 frame.")
        return cls(views, "dense" if rows == "dense" else "events", hop)

    @property
    def n_views(self) -> int:
        """Views per row."""
        return self.views.n_dense_views if self.rows == "dense" else self.views.n_views

    def count(self, frames: int) -> int:
        """Return the clips of a video of ``frames`` frames (of ``views.fps`` if that is set)."""
        views = self.views
        starts = sampling.dense_windows(max(frames, 1), views.frames, views.stride, self.hop)
        return len(starts) * self.n_views

    def as_dict(self) -> dict[str, Any]:
        """Return what of this belongs into a fingerprint."""
        v = self.views
        clip = {name: getattr(v, name) for name in ("frames", "stride", "size", "short_side")}
        how = {name: getattr(v, name) for name in ("geometry", "resize", "out_of_bound", "fps")}
        chosen = {"clips": v.clips} if self.rows == "events" else {"hop": self.hop}
        drawn = {"augment": v.augment, "seed": v.seed} | v.unusual if v.augment else {}
        special = {name: on for name in ("flow", "spread") if (on := getattr(v, name))}
        return clip | how | chosen | drawn | special | {"rows": self.rows, "views": self.n_views}

    def lay_out(
        self, source: Source, key: str, content: str, index: FrameIndex
    ) -> tuple[Rows, list[ClipRequest]]:
        """Return the rows of one video and its clips, keyed by position and in encoding order.

        Encoding order is that of the clips' last frames, in which a sweep completes them.

        Raises:
            VideoError: an event lies outside the video, or crops do not fit.
        """
        draw = int(key[:8], 16)  # random views differ from video to video
        if source.intervals is None:
            asked, times = self.views.requests_dense(index, self.hop, crop=source.crop, sample=draw)
        else:
            asked, times = self._events(source, source.intervals, index, draw)
        slots = np.array(
            [row * self.n_views + view for row, view in (r.key for r in asked)], np.int64
        )
        order = np.lexsort((slots, np.array([r.frames.max() for r in asked])))
        requests = [replace(asked[i], key=position) for position, i in enumerate(order.tolist())]
        meta: dict[str, Any] = {
            "content": content,
            "crop": None if source.crop is None else list(source.crop),
            "duration": index.duration,
            "fps": index.fps,
            "frames": len(index),
        }
        if index.damage:
            meta["partial"] = index.damage
        return Rows(key, slots[order], np.asarray(times), self.n_views, meta), requests

    def _events(
        self, source: Source, intervals: tuple[Interval, ...], index: FrameIndex, draw: int
    ) -> tuple[list[ClipRequest], np.ndarray]:
        asked = []
        for row, (start, end) in enumerate(intervals):
            asked += self.views.requests_for_interval(
                index, start, end, key=row, crop=source.crop, sample=draw + row
            )
        times = np.array(intervals, dtype=np.float64).reshape(-1, 2)
        return asked, np.where(np.isnan(times), [0.0, index.duration], times)
