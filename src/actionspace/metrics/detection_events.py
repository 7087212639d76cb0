"""Predicted events measured against annotated ones, with the protocol that was followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.events.labels import label_order, split_labels
from actionspace.events.table import Events
from actionspace.events.uncounted import uncounted_time
from actionspace.metrics.detection import DetectionResult, distinct, evaluate_detections
from actionspace.metrics.detection_bins import EDGES, Bins, characteristics, usual_bins
from actionspace.metrics.detection_chance import chance
from actionspace.metrics.detection_errors import error_analysis
from actionspace.metrics.detection_intervals import detection_intervals
from actionspace.metrics.detection_matching import Instances
from actionspace.metrics.inputs import Bools, Floats
from actionspace.metrics.intervals import Interval
from actionspace.metrics.protocol import Protocol
from actionspace.metrics.uncounted import count, rule

OtherVideos = Literal["refuse", "drop", "count"]


@dataclass(frozen=True)
class DetectionEvaluation:
    """What predicted events reach.

    Attributes:
        result: the measures, by video and class number.
        classes: names of the annotated classes, in the order of ``result.classes``.
        videos: names of the videos measured on, by number.
        protocol: what was measured on and how.
        left_out: how many annotations and predictions did not count, by reason.
        durations: of the videos in seconds, NaN = unknown.
        groups: what each video belongs to.
        more: further measures by name.
        uncounted: spans that do not count ``[M, 2]`` (s), by video number.
    """

    result: DetectionResult
    classes: tuple[str, ...]
    videos: tuple[str, ...]
    protocol: Protocol
    left_out: Mapping[str, int]
    durations: Floats
    groups: tuple[str, ...]
    more: Mapping[str, float] = field(default_factory=dict)
    uncounted: Mapping[int, Floats] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """Return ``map``, ``map@0.50`` ..., ``recall1x@0.50`` ..., then ``more``, by name."""
        return {**self.result.metrics(), **self.more}

    def intervals(self, n: int = 1000, level: float = 0.95, seed: int = 0) -> dict[str, Interval]:
        """Return the interval of each of :meth:`metrics`, resampling groups of videos."""
        return detection_intervals(self.result, self.groups, n=n, level=level, seed=seed)

    def chance(self, like: Instances | None = None, seed: int = 0) -> dict[str, float]:
        """Return what segments at random places reach, see :func:`.detection_chance.chance`."""
        result = self.result
        return chance(
            result.truth,
            self.durations,
            result.thresholds.tolist(),
            recalls=result.recalls,
            like=like,
            uncounted=self.uncounted,
            seed=seed,
        )

    def per_class(self) -> pd.DataFrame:
        """Return a row per class: annotations, predictions, AP and recall at each threshold."""
        result, c = self.result, len(self.classes)
        table: dict[str, Any] = {
            "class": list(self.classes),
            "support": np.bincount(result.truth.labels, minlength=c),
            "predicted": np.bincount(result.guess.labels, minlength=c),
            "ap": result.ap.mean(axis=0),
        }
        names = [f"{t:.2f}" for t in result.thresholds]
        table |= {f"ap@{name}": result.ap[t] for t, name in enumerate(names)}
        recall = result.recall
        for i, k in enumerate(result.recalls):
            table |= {f"recall{k}x@{name}": recall[t, i] for t, name in enumerate(names)}
        return pd.DataFrame(table)

    def bins(self, edges: str | Mapping[str, Sequence[float]] | None = None) -> dict[str, Bins]:
        """Return the annotations by length, coverage and instances per video.

        Args:
            edges: ``thumos14`` or ``activitynet13``, one's own by name, or None = bins that hold
                equally many annotations.

        Raises:
            UsageError: an unknown data set.
        """
        if isinstance(edges, str):
            if edges not in EDGES:
                raise UsageError(f"There are no bins of '{edges}'.{did_you_mean(edges, EDGES)}")
            edges = EDGES[edges]
        return usual_bins(characteristics(self.result.truth, self.durations), edges)

    def errors(self, edges: str | Mapping[str, Sequence[float]] | None = None) -> dict[str, Any]:
        """Return the error analysis as plain JSON; ``edges`` as in :meth:`bins`."""
        return error_analysis(self.result, self.bins(edges))


def evaluate_events(
    truth: Events,
    predictions: Events,
    thresholds: Sequence[float],
    *,
    head: str = "label",
    split: str | None = None,
    recalls: Sequence[int] = (1, 5),
    clean: bool = True,
    other_videos: OtherVideos = "refuse",
    name: str = "localization",
) -> DetectionEvaluation:
    """Measure predicted events, which have a ``score``, against annotated ones.

    Every row of ``truth.videos`` is measured on, also where nothing is annotated: what is predicted
    there is false. Predictions of classes that are not annotated are left out. So are those whose
    middle lies in a row to ignore or outside of a video's ``labelled`` spans, and in no annotated
    event of their class; the protocol says so where there is such time.

    Args:
        truth: the annotations.
        predictions: of the same videos, by the same names.
        thresholds: temporal IoU, as :data:`actionspace.metrics.detection.THRESHOLDS` has them.
        head: what is measured.
        split: only the videos of this split of ``truth``.
        recalls: the ``k`` of Recall@kx.
        clean: leave out annotations shorter than a millisecond and repeated ones, as all published
            evaluations but that of EPIC-KITCHENS do.
        other_videos: what to do about predictions in videos that are not measured on: refuse,
            ``drop`` them, or ``count`` them as false, as the published code does.
        name: of the protocol.

    Raises:
        DataError: nothing is annotated; an event without times, a prediction without a score or
            in another video, a segment that ends before it starts.
    """
    it = gather(truth, predictions, head, split, other_videos)
    kept = distinct(it.truth) if clean else np.ones(len(it.truth), bool)
    left_out = {**it.left_out, "annotations_short_or_repeated": int((~kept).sum())}
    wanted = it.truth.at(kept)
    result = evaluate_detections(wanted, it.guess, thresholds, recalls=recalls)
    scored_classes = tuple(it.classes[i] for i in result.classes)
    protocol = Protocol(
        name,
        it.videos,
        scored_classes,
        tuple(result.thresholds.tolist()),
        it.rows(wanted),
        {
            "head": head,
            "split": split,
            "recalls": list(recalls),
            "clean": clean,
            "other_videos": other_videos,
            **it.rules,
        },
    )
    return DetectionEvaluation(
        result,
        scored_classes,
        (*it.videos, *it.others),
        protocol,
        left_out,
        it.of_video("duration", np.nan).astype(np.float64),
        it.groups,
        uncounted=it.uncounted,
    )


@dataclass(frozen=True)
class Gathered:
    """Annotations and predictions of the same videos, by number.

    Attributes:
        truth, guess: all that count; labels are places in ``classes``, -1 = not annotated.
        classes: names of the annotated classes.
        videos: that are measured on, in the order of their numbers.
        others: further ones with predictions, which come after them.
        table: the videos table of ``videos``.
        left_out: how many predictions did not count, by reason.
        uncounted: spans that do not count ``[M, 2]`` (s), by video number.
    """

    truth: Instances
    guess: Instances
    classes: Sequence[str]
    videos: tuple[str, ...]
    others: tuple[str, ...]
    table: pd.DataFrame
    left_out: Mapping[str, int]
    uncounted: Mapping[int, Floats]

    @property
    def rules(self) -> dict[str, Any]:
        """What the protocol says of time that does not count."""
        return rule({self.videos[number]: spans for number, spans in self.uncounted.items()})

    def rows(self, wanted: Instances) -> tuple[list[Any], ...]:
        """Return annotations as ``[video, start, end, label]``."""
        columns = wanted.video.tolist(), wanted.spans.tolist(), wanted.labels.tolist()
        rows = zip(*columns, strict=True)
        return tuple([self.videos[v], *span, self.classes[c]] for v, span, c in rows)

    def of_video(self, column: str, otherwise: object) -> Any:
        """Return a column of the videos table by video number, ``otherwise`` for the others."""
        return np.array([*self.table[column], *[otherwise] * len(self.others)])

    @property
    def groups(self) -> tuple[str, ...]:
        """What each video belongs to, by number: itself, where nothing is said."""
        pairs = zip(self.table["group"], self.videos, strict=True)
        return (*(g if g is not None else v for g, v in pairs), *self.others)


def gather(
    truth: Events,
    predictions: Events,
    head: str,
    split: str | None = None,
    other_videos: OtherVideos = "refuse",
) -> Gathered:
    """Return what is compared; arguments and errors are those of :func:`evaluate_events`."""
    truth = truth.select(split=split)
    names = [str(v) for v in truth.videos["video"]]
    annotated = truth.rows[truth.rows["status"] == "event"]
    unlabelled = annotated[list(truth.heads)].isna()  # other columns may be what an event is for
    annotated = annotated[~unlabelled[head] | unlabelled.all(axis=1)]
    classes = label_order(n for text in annotated[head].unique() for n in split_labels(text))
    here, left_out = _of_videos(predictions.rows, names, other_videos)
    others = [str(v) for v in here["video"].unique() if v not in set(names)]
    known = _numbered([*names, *others])
    wanted = _instances(annotated, head, known, _numbered(classes), "annotation")
    guess = _instances(here, head, known, _numbered(classes), "prediction", scored=True)
    uncounted = {known[video]: spans for video, spans in uncounted_time(truth).items()}
    counts = count(guess, wanted, uncounted)
    left_out |= {
        "predictions_of_unknown_classes": int((guess.labels < 0).sum()),
        "predictions_in_uncounted_time": int((~counts).sum()),
    }
    return Gathered(
        wanted,
        guess.at(counts),
        classes,
        tuple(names),
        tuple(others),
        truth.videos,
        left_out,
        uncounted,
    )


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}


def _of_videos(
    rows: pd.DataFrame, names: Sequence[str], other_videos: OtherVideos
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the predictions to measure, and how many in other videos were left out."""
    if other_videos not in ("refuse", "drop", "count"):
        raise UsageError(f"other_videos is '{other_videos}'; say refuse, drop or count.")
    known = rows["video"].isin(set(names))
    if known.all() or other_videos == "count":
        return rows, {"predictions_in_other_videos": 0}
    if other_videos == "refuse":
        first = rows["video"][~known].iloc[0]
        raise DataError(
            f"{int((~known).sum())} predictions are in videos that are not measured on, the first "
            f"in '{first}'.{did_you_mean(str(first), names)} Leave them out with "
            f"other_videos='drop', or count them as false with other_videos='count'."
        )
    return rows[known], {"predictions_in_other_videos": int((~known).sum())}


def _instances(
    rows: pd.DataFrame,
    head: str,
    videos: Mapping[str, int],
    classes: Mapping[str, int],
    what: str,
    *,
    scored: bool = False,
) -> Instances:
    """Return a row per event and label; classes that are not known are -1."""
    columns = {n: rows[n].to_numpy() for n in ("start", "end", "score", "id", "video")}

    def refuse(wrong: Bools, why: str) -> None:
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            event = f"The {what} {columns['id'][i]} in '{columns['video'][i]}'"
            more = f" ({int(wrong.sum())} such rows)" if wrong.sum() > 1 else ""
            raise DataError(f"{event} {why}{more}.")

    start, end, score = (columns[n].astype(np.float64) for n in ("start", "end", "score"))
    refuse(np.isnan(start), "has no times: detection is measured on events with start and end")
    refuse(end < start, "ends before it starts")
    if scored:
        refuse(np.isnan(score), "has no score: predictions need the column 'score'")
    labels = [split_labels(text) for text in rows[head]]
    refuse(np.array([not found for found in labels], dtype=bool), f"has no label in '{head}'")
    row = np.repeat(np.arange(len(rows)), [len(found) for found in labels])
    numbers = [classes.get(label, -1) for found in labels for label in found]
    return Instances(
        np.array([videos[str(v)] for v in columns["video"]], dtype=np.int64)[row],
        np.stack([start, end], axis=1)[row],
        np.array(numbers, dtype=np.int64),
        score[row] if scored else np.zeros(0),
    )
