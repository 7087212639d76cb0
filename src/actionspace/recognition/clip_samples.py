"""Clips of labelled events, decoded while training: random views that no cache can hold."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from actionspace.features.grid import Source, sources
from actionspace.recognition import data as manifest
from actionspace.recognition.columns import JointTargets
from actionspace.video.clips import iter_clips
from actionspace.video.index import FrameIndex, frame_index
from actionspace.video.loader import patience
from actionspace.video.reader import Stopwatch
from actionspace.video.views import Views

if TYPE_CHECKING:
    from actionspace.events.table import Events

#: Frames of all frame indexes that are kept, 32 bytes each: 350 hours at 25 frames per second.
INDEXED_FRAMES = 2**25


class ClipSamples:
    """One clip per event, another view in each epoch: epoch e sees view e mod V.

    With ``views.augment`` the views are random, and the same ones that ``extract`` cuts of the same
    manifest with the same views: what is learnt on a store of V views is learnt from the same
    pixels here, and the other way round. Set it to the number of epochs to see no view twice.
    Without, the test views are taken in turn.

    Attributes:
        owner: int64 ``[N]``, position in ``events.rows`` of the event of each sample.
    """

    def __init__(
        self,
        events: Events,
        views: Views,
        column: manifest.Column,
        targets: manifest.Targets | JointTargets,
        *,
        evaluate: bool = False,
        time_limit: float | None = None,
    ) -> None:
        """Find the labelled events; no video is opened yet.

        Args:
            events: the manifest.
            views: how clips are cut.
            column: head column that is learnt, or several.
            targets: the classes.
            evaluate: every view of every event is a sample, the same in each epoch.
            time_limit: seconds a clip may take, reading the file once included; None = two minutes,
                more for a big file.
        """
        labelled = np.flatnonzero(manifest.use(events, column))
        each = views.n_views if evaluate else 1
        self.owner = np.repeat(labelled, each)
        self._view = np.tile(np.arange(each), len(labelled)) if evaluate else None
        self._events, self._views, self._time_limit = events, views, time_limit
        self._targets = torch.from_numpy(targets.of(events, column))
        self._sources = {source.video: source for source in sources(events, "events")}
        self._videos = events.rows["video"].to_numpy(dtype=object)
        self._times = events.rows[["start", "end"]].to_numpy(dtype=np.float64)
        self._indexes = _Indexes(INDEXED_FRAMES)
        self._draws: dict[str, tuple[int, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.owner)

    def name(self, index: int) -> str:
        """Return the video of a sample and where in it."""
        return manifest.event_name(self._events, int(self.owner[index]))

    def load(self, index: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Decode a clip: uint8 ``[T, H, W, 3]`` RGB, and its target (int64, or bool ``[C]``).

        Raises:
            VideoError: the video is missing or damaged, takes too long, or lacks the event.
        """
        event, views = int(self.owner[index]), self._views
        source = self._sources[self._videos[event]]
        start, end = self._times[event].tolist()
        watch = Stopwatch(source.path, self._time_limit or patience(source.path))
        frames = self._indexes.get(source.path, watch)
        view = epoch % views.n_views if self._view is None else int(self._view[index])
        sample = self._draw(source, start, end)
        request = views.requests_for_interval(
            frames, start, end, crop=source.crop, sample=sample, view=view
        )
        transform = views.transform(source.crop)
        [clip] = iter_clips(source.path, request, transform, index=frames, watch=watch)
        return torch.from_numpy(clip.frames), self._targets[event]

    def collate(self, samples: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Return clips uint8 ``[B, T, H, W, 3]`` and targets int64 ``[B]`` or bool ``[B, C]``."""
        clips, targets = zip(*samples, strict=True)
        return torch.stack(clips), torch.stack(targets)

    def _draw(self, source: Source, start: float, end: float) -> int:
        """Return the number that random views of an event hang on, as in ``features.grid``."""
        if not self._views.augment:
            return 0
        if source.video not in self._draws:
            number = int(source.key()[0][:8], 16)
            self._draws[source.video] = number, np.array(source.intervals)
        number, intervals = self._draws[source.video]
        wanted = np.array([start, end])
        same = (intervals == wanted) | (np.isnan(intervals) & np.isnan(wanted))
        return number + int(np.flatnonzero(same.all(axis=1))[0])


class _Indexes:
    """Frame indexes of the files used last, as many as hold ``limit`` frames together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[Path, FrameIndex] = OrderedDict()
        self._frames = 0
        self._lock = threading.Lock()

    def get(self, path: Path, watch: Stopwatch) -> FrameIndex:
        """Return the frame index of a file, reading the file if it is not kept."""
        with self._lock:
            if path in self._kept:
                self._kept.move_to_end(path)
                return self._kept[path]
        index = frame_index(path, watch=watch)
        with self._lock:
            if path not in self._kept:
                self._kept[path] = index
                self._frames += len(index)
            while self._frames > self._limit and len(self._kept) > 1:
                self._frames -= len(self._kept.popitem(last=False)[1])
        return index
