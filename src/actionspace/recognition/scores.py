"""Raw scores per feature row, and what they say of an event, a clip or a stretch of time.

A head commutes with the choice of rows, so raw scores stand in for features: they are kept
per row and view, and every question (average over views, another set of events) is asked of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from actionspace.features.bags import bags
from actionspace.features.store import VideoFeatures
from actionspace.heads.attentive_head import Head
from actionspace.heads.linear import to_probabilities
from actionspace.recognition.probe import Average

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.features.foreign import Features


@dataclass
class RawScores:
    """Raw scores of many videos, shaped like a feature store (``dim`` = number of classes).

    Attributes:
        dim: number of classes C.
        rows: ``dense`` or ``events``, as the features were.
        of: per video, scores ``[N, C]`` or ``[N, V, C]`` float32 with row times in seconds.
        reasons: videos without scores, with the reason.
    """

    dim: int
    rows: str
    of: dict[str, VideoFeatures] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def __contains__(self, video: object) -> bool:
        return video in self.of

    def videos(self) -> list[str]:
        """Return the videos that have scores, sorted."""
        return sorted(self.of)

    def skipped(self) -> dict[str, str]:
        """Return the videos without scores, with the reason."""
        return self.reasons

    def get(self, video: str) -> VideoFeatures:
        """Return one video's scores."""
        return self.of[video]


def score(heads: Sequence[Head], source: Features, videos: Iterable[str]) -> list[RawScores]:
    """Return what each head says of the rows of some videos, one video in memory at a time."""
    every = [RawScores(len(head.classes), source.rows) for head in heads]
    skipped = source.skipped()
    for video in videos:
        found = source.get(video) if video in source else None
        for head, scores in zip(heads, every, strict=True):
            if found is not None:
                values = head.scores(found.features)
                scores.of[video] = VideoFeatures(values, found.times, found.meta)
            else:
                why = skipped.get(video, "the features hold nothing of this video")
                scores.reasons[video] = why
    return every


@dataclass(frozen=True)
class Reading:
    """How raw scores are turned into probabilities.

    Attributes:
        multi_label: classes are independent instead of exclusive.
        average: ``prob`` averages the probabilities of rows and views, ``score`` their raw scores.
    """

    multi_label: bool = False
    average: Average = "prob"

    @classmethod
    def of(cls, about: Mapping[str, Any], average: Average) -> Reading:
        """Read a head's entry of ``labels.json``."""
        return cls(bool(about.get("multi_label", False)), average)

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return probabilities ``[..., C]`` of raw scores, one by one."""
        return to_probabilities(scores, self.multi_label)


def event_probabilities(
    scores: RawScores, events: Events, column: str | None, reading: Reading
) -> np.ndarray:
    """Return the probabilities of each event ``[E, C]``; NaN where it has no scores.

    With ``column`` only events with a label in it have scores.
    """
    bag = bags(events, cast("Features", scores), column)
    if reading.average == "score":
        return np.asarray(reading.probabilities(bag.mean(bag.features)), np.float64)
    return bag.mean(reading.probabilities(bag.features))


def time_probabilities(found: VideoFeatures, reading: Reading) -> np.ndarray:
    """Return probabilities over time ``[N, C]`` of one video, views averaged."""
    scores = found.features
    if scores.ndim == 2:
        return reading.probabilities(scores)
    if reading.average == "score":
        return reading.probabilities(scores.mean(axis=1))
    return np.asarray(reading.probabilities(scores).mean(axis=1))


def to_table(many: Iterable[RawScores]) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows ``video, start, end, view, anchored`` and their raw scores ``[R, C]``."""
    tables, arrays = [], []
    dim = 0
    for scores in many:
        dim = scores.dim
        for video in scores.videos():
            found = scores.get(video)
            values = found.features if found.features.ndim == 3 else found.features[:, None]
            n, views = values.shape[:2]
            tables.append(
                pd.DataFrame(
                    {
                        "video": pd.Series([video] * (n * views), dtype=object),
                        "start": np.repeat(found.times[:, 0], views).astype(np.float64),
                        "end": np.repeat(found.times[:, 1], views).astype(np.float64),
                        "view": np.tile(np.arange(views, dtype=np.int64), n),
                        "anchored": scores.rows == "events",
                    }
                )
            )
            arrays.append(values.reshape(n * views, -1))
    if not tables:
        empty = {"video": object, "start": float, "end": float, "view": int, "anchored": bool}
        table = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in empty.items()})
        return table, np.zeros((0, dim), np.float32)
    return pd.concat(tables, ignore_index=True), np.concatenate(arrays).astype(np.float32)


def from_table(
    rows: pd.DataFrame, raw: np.ndarray, durations: Mapping[str, float]
) -> dict[str, RawScores]:
    """Undo :func:`to_table`: raw scores by kind, ``dense`` and ``events``.

    ``durations`` (s) says where a whole-video event ends.
    """
    found: dict[str, RawScores] = {}
    for (anchored, video), part in rows.groupby(["anchored", "video"], sort=False):
        kind = "events" if anchored else "dense"
        scores = found.setdefault(kind, RawScores(raw.shape[1], kind))
        views = int(part["view"].max()) + 1
        values = raw[part.index.to_numpy()].reshape(-1, views, raw.shape[1])
        times = part[["start", "end"]].to_numpy(np.float64)[::views]
        meta: dict[str, Any] = {}
        if str(video) in durations and not np.isnan(durations[str(video)]):
            meta["duration"] = durations[str(video)]
        scores.of[str(video)] = VideoFeatures(values, times, meta)
    return found
