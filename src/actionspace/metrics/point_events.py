"""Predicted moments measured against annotated events, with the protocol that was followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from actionspace.events.table import Events
from actionspace.metrics.detection_events import OtherVideos, gather
from actionspace.metrics.detection_intervals import resampled
from actionspace.metrics.detection_matching import Instances, keys
from actionspace.metrics.inputs import Bools, Floats
from actionspace.metrics.intervals import Interval, percentile
from actionspace.metrics.point_detection import TOLERANCES, PointResult, evaluate_points
from actionspace.metrics.protocol import Protocol

Moment = Literal["center", "start", "end"]

_SAME = 1e-3  # seconds; a second annotation of a class this near to a first is left out


@dataclass(frozen=True)
class PointEvaluation:
    """What predicted moments reach.

    Attributes:
        result: the measures, by video and class number.
        classes: names of the annotated classes, in the order of ``result.result.classes``.
        videos: names of the videos measured on, by number.
        protocol: what was measured on and how.
        left_out: how many annotations and predictions did not count, by reason.
        groups: what each video belongs to.
    """

    result: PointResult
    classes: tuple[str, ...]
    videos: tuple[str, ...]
    protocol: Protocol
    left_out: Mapping[str, int]
    groups: tuple[str, ...]

    def metrics(self) -> dict[str, float]:
        """Return ``point_map``, ``point_ap@0.5s`` ... by name."""
        return self.result.metrics()

    def timing(self) -> dict[str, float]:
        """Return how far off found moments are, see :meth:`.PointResult.timing`."""
        return self.result.timing()

    def intervals(self, n: int = 1000, level: float = 0.95, seed: int = 0) -> dict[str, Interval]:
        """Return the interval of each of :meth:`metrics`, resampling groups of videos."""
        ap = resampled(self.result.result, self.groups, n, seed)[0]
        if not len(ap):
            return dict.fromkeys(self.metrics(), (float("nan"), float("nan")))
        draws = [self.result.named(row) for row in ap]
        return {
            name: percentile(np.array([draw[name] for draw in draws]), level)
            for name in self.metrics()
        }

    def per_class(self) -> pd.DataFrame:
        """Return a row per class: annotations, predictions, AP at each tolerance, timing."""
        found, c = self.result.result, len(self.classes)
        table: dict[str, Any] = {
            "class": list(self.classes),
            "support": np.bincount(found.truth.labels, minlength=c),
            "predicted": np.bincount(found.guess.labels, minlength=c),
            "ap": found.ap[self.result.averaged].mean(axis=0),
        }
        table |= {f"ap@{name}": found.ap[t] for t, name in enumerate(self.result.names)}
        times = [self.result.timing(label) for label in range(c)]
        return pd.DataFrame(table | {name: [t[name] for t in times] for name in times[0]})


def evaluate_point_events(
    truth: Events,
    predictions: Events,
    seconds: Sequence[float] = TOLERANCES,
    frames: Sequence[float] = (),
    *,
    at: Moment = "center",
    head: str = "label",
    split: str | None = None,
    clean: bool = True,
    other_videos: OtherVideos = "refuse",
    name: str = "points",
) -> PointEvaluation:
    """Measure predicted moments, which have a ``score``, against annotated events.

    Videos, events to ignore, unlabelled time and unknown classes are treated as by
    :func:`actionspace.metrics.detection_events.evaluate_events`.

    Args:
        truth: the annotations.
        predictions: of the same videos, by the same names.
        seconds: tolerances.
        frames: tolerances as well, in frames at the ``fps`` of the videos table of ``truth``.
        at: the moment of events that last, annotated or predicted.
        head: what is measured.
        split: only the videos of this split of ``truth``.
        clean: leave out annotations less than a millisecond after one of the same class.
        other_videos: what to do about predictions in videos that are not measured on.
        name: of the protocol.

    Raises:
        DataError: as there; tolerances in frames for a video without fps.
        UsageError: no tolerance, or a negative one.
    """
    it = gather(truth, predictions, head, split, other_videos)
    wanted, guess = _moments(it.truth, at), _moments(it.guess, at)
    kept = _apart(wanted) if clean else np.ones(len(wanted), bool)
    wanted = wanted.at(kept)
    fps = it.of_video("fps", np.nan).astype(np.float64) if frames else None
    result = evaluate_points(wanted, guess, seconds, frames, fps)
    classes = tuple(it.classes[i] for i in result.result.classes)
    rules: dict[str, Any] = {
        "head": head,
        "split": split,
        "clean": clean,
        "other_videos": other_videos,
    }
    rules |= {"at": at, "frames": list(frames), **it.rules}
    protocol = Protocol(name, it.videos, classes, result.seconds, it.rows(wanted), rules)
    left_out = {**it.left_out, "annotations_repeated": int((~kept).sum())}
    return PointEvaluation(result, classes, (*it.videos, *it.others), protocol, left_out, it.groups)


def _moments(found: Instances, at: Moment) -> Instances:
    begin, end = found.spans.T
    moment = {"start": begin, "end": end, "center": (begin + end) / 2}[at]
    return Instances(found.video, np.stack([moment, moment], 1), found.labels, found.scores)


def _apart(truth: Instances) -> Bools:
    """Return which annotations ``[N]`` stay when repeated ones are left out."""
    time: Floats = truth.spans[:, 0]
    lane = keys(truth, truth)[0]
    order = np.lexsort((time, lane))
    again = (np.diff(lane[order]) == 0) & (np.diff(time[order]) < _SAME)
    kept = np.ones(len(truth), bool)
    kept[order[1:][again]] = False
    return kept
