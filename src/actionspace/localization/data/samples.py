"""From events and features to samples: a manifest, or anyone's own ``module:function``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from actionspace.errors import DataError, StoreError, UsageError, did_you_mean
from actionspace.events.labels import split_labels
from actionspace.events.uncounted import uncounted_time
from actionspace.features.joined import Source
from actionspace.features.resample import every, fixed_length
from actionspace.localization.data.sample import (
    PaddedLength,
    Sample,
    SampleBatch,
    collate,
    make_sample,
)
from actionspace.localization.data.truncate import RandomInt, Truncation, keep_inside, truncate

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.localization.network.points_config import Moment

log = logging.getLogger("actionspace")


@dataclass(frozen=True)
class RowOptions:
    """Which rows of the features the network gets.

    Attributes:
        every: keep each so-many-th.
        length: then rescale to this number of rows; None = as many as there are.
    """

    every: int = 1
    length: int | None = None


class FeatureSamples:
    """Videos with their events, one sample each: whole, or with ``train`` a random window.

    Which window is a function of (seed, epoch, sample). Rows to ignore are no events; their time,
    and what lies outside of labelled spans, does not count.

    Attributes:
        videos: the manifest's videos that have features.
        classes: names in the order of the class numbers.
        left_out: videos the extraction skipped, with its reason.
    """

    def __init__(
        self,
        events: Events,
        features: Source,
        classes: Sequence[str],
        padded: PaddedLength,
        *,
        column: str = "label",
        rows: RowOptions | None = None,
        train: Truncation | None = None,
        inside: bool | Literal["begun"] = False,
        at: Moment | None = None,
        seed: int = 0,
    ) -> None:
        """Find the videos and their events; no features are read yet.

        Args:
            events: the manifest.
            features: a store, a directory of other people's features, or a join.
            classes: names in the order of their numbers; a single one takes every label, so that
                it learns when anything happens.
            padded: the length to which a batch is padded, from that of its longest sample.
            column: head column that is learnt.
            rows: which rows are used.
            train: how random windows are drawn; None = whole videos.
            inside: of training videos, cut events at the end of the features and drop those of
                which too little lies inside (as the originals on ActivityNet), or of which nothing
                does (``begun``, as TriDet on HACS).
            at: learn this moment of events; None = their segments, and no point events.
            seed: of the windows.

        Raises:
            StoreError: a video has neither features nor a reason for having none.
            DataError: a label is none of the classes, an event ends before it starts.
        """
        if features.rows != "dense":
            raise StoreError(
                f"{features!r} holds the views of labelled events; localization needs rows over "
                f"whole videos. Extract with rows=dense."
            )
        self.classes = list(classes)
        self._features, self._padded, self._options = features, padded, rows or RowOptions()
        self._train, self._inside, self._at, self._seed = train, inside, at, seed
        self._outlines: dict[int, Sample] = {}
        skipped = features.skipped()
        names = [str(v) for v in events.videos["video"]]
        self.videos = [v for v in names if v in features]
        lacking = [v for v in names if v not in features]
        self.left_out = {v: skipped[v] for v in lacking if v in skipped}
        unknown = [v for v in lacking if v not in skipped]
        if unknown:
            raise StoreError(
                f"{len(unknown)} of {len(names)} videos have no features in {features!r}; the "
                f"first is '{unknown[0]}'.{did_you_mean(unknown[0], features.videos())} Extract "
                f"them, or leave them out of the manifest."
            )
        if self.left_out:
            log.warning(f"{len(self.left_out)} videos that were skipped have no features.")
        self._events = _targets(events, self.classes, column, points=at is not None)
        self._uncounted = uncounted_time(events)
        lasting = zip(events.videos["video"], events.videos["duration"], strict=True)
        self._duration = {str(v): float(d) for v, d in lasting}

    def __len__(self) -> int:
        return len(self.videos)

    def name(self, index: int) -> str:
        """Return the video of a sample."""
        return self.videos[index]

    def load(self, index: int, epoch: int) -> Sample:
        """Read the features of a sample.

        Raises:
            StoreError: they are damaged, hold NaN, or are not evenly spaced.
        """
        return self._cut(self.whole(index), self._random(index, epoch))

    def draw(self, index: int, randint: RandomInt) -> Sample:
        """Read a sample whose window is drawn with ``randint``, see :func:`.truncate.truncate`."""
        return self._cut(self.whole(index), randint)

    def outline(self, index: int, epoch: int | None = None) -> Sample:
        """Return a sample as :meth:`load` does, without values: features are ``[0, T]``.

        Its features are read the first time only. Without an epoch it is the whole video.
        """
        if index not in self._outlines:
            self.whole(index)
        sample = self._outlines[index]
        return sample if epoch is None else self._cut(sample, self._random(index, epoch))

    def _random(self, index: int, epoch: int) -> RandomInt:
        random = np.random.default_rng((self._seed, epoch, index))
        return lambda low, high: int(random.integers(low, high, endpoint=True))

    def _cut(self, sample: Sample, randint: RandomInt) -> Sample:
        if self._train is None:
            return sample
        segments, labels, offset = sample.segments, sample.labels, sample.grid.offset
        if self._inside:
            begun = self._inside == "begun"
            limit = len(sample) + (0.0 if begun else offset)
            segments, kept = keep_inside(segments, limit, 0.0 if begun else self._train.threshold)
            labels = labels[kept]
        window = truncate(len(sample), segments, offset, self._train, randint)
        return sample.cut(window.start, window.stop, window.segments, labels[window.kept])

    def whole(self, index: int) -> Sample:
        """Read a video with all its rows and events."""
        video, rows = self.videos[index], self._options
        found = every(self._features.get(video), rows.every)
        if rows.length is not None:
            found = fixed_length(found, rows.length)
        dim = self._features.dim
        if found.features.ndim == 2 and found.features.shape[1] != dim:
            raise StoreError(
                f"'{video}' has {found.features.shape[1]} numbers in a row, the features of the "
                f"other videos have {dim}: they are of another make, or transposed "
                f"(files.transpose=true)."
            )
        seconds, labels = self._events.get(video, _NONE)
        duration = self._duration[video]
        if duration != duration:
            duration = float(found.meta.get("duration") or duration)
        end = duration if duration == duration else float(found.times[-1, 1])
        whole = np.isnan(seconds).any(axis=1, keepdims=True)
        spans = np.where(whole, [[0.0, end]], seconds)
        if self._at in ("start", "end"):
            spans = spans[:, [0, 0] if self._at == "start" else [1, 1]]
        uncounted = self._uncounted.get(video)
        sample = make_sample(video, found, spans, labels, duration, uncounted)
        bare = sample.features.new_empty(0, len(sample))
        self._outlines[index] = replace(sample, features=bare)
        return sample

    def collate(self, samples: Sequence[Sample]) -> SampleBatch:
        """Return the samples as one batch."""
        return collate(samples, self._padded)


_NONE = (np.zeros((0, 2)), np.zeros(0, dtype=np.int64))


def _targets(
    events: Events, classes: Sequence[str], column: str, *, points: bool = False
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, per video, starts and ends ``[N, 2]`` (s) and class numbers ``[N]`` of its events.

    An event of several labels is one of each. Point events, which have no extent, are left out
    unless ``points`` are learnt.
    """
    if column not in events.heads:
        hint = did_you_mean(column, events.heads) or f" There is: {', '.join(events.heads)}."
        raise DataError(f"The manifest has no label column '{column}'.{hint}")
    number = {name: i for i, name in enumerate(classes)}
    found: dict[str, list[tuple[float, float, int]]] = {}
    instants = 0
    kept = events.rows[(events.rows["status"] == "event") & events.rows[column].notna()]
    columns = (kept[c] for c in ("id", "video", "start", "end", column))
    for name, video, start, end, text in zip(*columns, strict=True):
        if end < start:
            raise DataError(f"Event {name} of {video} ends before it starts: swap the two.")
        if start == end and not points:
            instants += 1
            continue
        for label in split_labels(text):
            if len(number) > 1 and label not in number:
                raise DataError(
                    f"Event {name} of {video} is '{label}', which is none of the "
                    f"{len(classes)} classes.{did_you_mean(label, number)} Set its status to "
                    f"ignore, or train on events of that class."
                )
            found.setdefault(video, []).append((start, end, number.get(label, 0)))
    if instants:
        log.warning(
            f"{instants} events without extent (start = end) are not learnt; the recipe "
            f"localize_points learns moments."
        )
    return {
        video: (
            np.array([(s, e) for s, e, _ in rows], dtype=np.float64),
            np.array([n for _, _, n in rows], dtype=np.int64),
        )
        for video, rows in found.items()
    }


def load(
    data: str | os.PathLike[str] | Events, root: str | None = None
) -> tuple[Events, Source | None]:
    """Return a manifest, and its features where its own function gives them.

    Args:
        data: events; a manifest; or ``module:function`` (``path/to/file.py:function``) that takes
            nothing and returns events, or events and features, which are anything with the methods
            of :class:`actionspace.features.joined.Source`.
        root: the folder of the manifest's videos.

    Raises:
        UsageError: there is no such function, or it returns something else.
    """
    from actionspace.events.io import read
    from actionspace.events.table import Events

    if isinstance(data, Events):
        return data, None
    text = os.fspath(data)
    place, colon, function = text.rpartition(":")
    if not colon or Path(text).exists() or "/" in function or "\\" in function:
        return read(Path(text), root=Path(root) if root else None), None
    made = _function(place, function)()
    events, features = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(events, Events):
        raise UsageError(
            f"{text} returned {type(events).__name__}; expected Events, or Events and features."
        )
    return events, features


def _function(place: str, name: str) -> Callable[[], object]:
    from actionspace.encoders.own import import_place

    try:
        found = getattr(import_place(place), name, None)
    except ImportError as e:
        raise UsageError(
            f"Cannot import '{place}' for data={place}:{name}: {e}. Run from the folder it lies "
            f"in, or write path/to/file.py:{name}."
        ) from e
    if not callable(found):
        raise UsageError(f"'{place}' has no function '{name}'.")
    return cast("Callable[[], object]", found)
