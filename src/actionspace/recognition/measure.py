"""Predictions against the truth: measures of clips, of ethograms, with intervals over groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from actionspace.errors import DataError
from actionspace.metrics import classification, intervals
from actionspace.metrics.protocol import Protocol
from actionspace.recognition import data as manifest
from actionspace.recognition.joint import JOINT_SCORE, joint_metrics
from actionspace.recognition.measure_time import budget, frame_metrics, frame_pairs
from actionspace.recognition.probe import Average
from actionspace.recognition.scores import Reading, event_probabilities, from_table

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.training.predictions import Predictions

Unseen = Literal["refuse", "miss"]


@dataclass(frozen=True)
class Scored:
    """Annotated events with their probabilities, ready to be counted.

    Attributes:
        values: float64 ``[E, C]``.
        targets: int64 ``[E]``, or bool ``[E, C]`` with several labels.
        classes: the C names.
        groups: str ``[E]``.
        videos: str ``[E]``.
        truth: one JSON-ready row per event, for the protocol.
        have: bool, which of all events these are.
        unscored: events without scores.
        thresholds: least probability of each class, for several labels.
    """

    values: np.ndarray
    targets: np.ndarray
    classes: list[str]
    groups: np.ndarray
    videos: np.ndarray
    truth: tuple[Any, ...]
    have: np.ndarray
    unscored: int
    thresholds: np.ndarray


def measure(
    predictions: Predictions,
    truth: Events | None = None,
    *,
    average: Average = "prob",
    bootstrap: int = 1000,
    confidence: float = 0.95,
    split: str | None = None,
    thresholds: tuple[float, ...] = (0.1, 0.25, 0.5),
    unseen: Unseen = "refuse",
) -> dict[str, Any]:
    """Return the metrics of predictions, flat, with ``protocol`` and ``<name>_ci`` intervals.

    Annotated events are classified (``top1_accuracy``, ...); untrimmed videos are compared frame by
    frame and segment by segment too (``frame_accuracy``, ``segmental_f1@0.50``, ``edit_score``,
    ...), with ``time_budget`` per class.

    Of predictions with several heads, each head's measures have its name in front
    (``verb_top1_accuracy``); ``joint_score`` and what :func:`~.joint.joint_metrics` returns are of
    all heads. A head that the truth has no label of is left out. ``protocol`` is that of the first
    head, ``protocol["heads"]`` those of all.

    Args:
        predictions: what was predicted.
        truth: annotated events; None = those the predictions brought along.
        average: how the views of an event are averaged; may differ from when they were made.
        bootstrap: resamples of groups for the intervals; 0 = no intervals.
        confidence: coverage of the intervals.
        split: name of the split, for the protocol.
        thresholds: IoU thresholds of segmental F1.
        unseen: what becomes of true labels that a head does not know.

    Raises:
        DataError: there is no truth, it has videos that were neither predicted nor skipped, or
            labels that a head does not know and that are refused.
    """
    events = truth if truth is not None else own_truth(predictions)
    heads = list(predictions.labels["heads"])
    known = [h for h in heads if h in events.heads and manifest.use(events, h).any()]
    if not known:
        manifest.check_column(events, heads[0])  # says what is wrong
    _check_videos(predictions, events)
    scored = {h: score_events(predictions, events, h, average, unseen) for h in known}
    how = _How(average, bootstrap, confidence, split, thresholds, unseen)
    each = {h: _measure_head(predictions, events, h, one, how) for h, one in scored.items()}
    if len(heads) == 1:
        return each[heads[0]]
    result: dict[str, Any] = _joint(scored, each)
    for head, found in each.items():
        result |= {f"{head}_{name}": value for name, value in found.items() if name != "protocol"}
    protocols = {head: found["protocol"] for head, found in each.items()}
    return result | {"protocol": {**protocols[known[0]], "heads": protocols}}


@dataclass(frozen=True)
class _How:
    """The arguments of :func:`measure` that are the same for all heads."""

    average: Average
    bootstrap: int
    confidence: float
    split: str | None
    thresholds: tuple[float, ...]
    unseen: Unseen


def _measure_head(
    predictions: Predictions, events: Events, column: str, scored: Scored, how: _How
) -> dict[str, Any]:
    multi = bool(predictions.labels["heads"][column].get("multi_label"))
    nothing = str(predictions.background(column).get("kind", "none"))
    result: dict[str, Any] = {}
    if len(scored.values):
        result |= _clip_metrics(scored, multi)
        result |= _clip_intervals(scored, multi, how.bootstrap, how.confidence)
    pairs = frame_pairs(predictions, events, column)
    if pairs.videos:
        result |= frame_metrics(pairs, how.thresholds, how.bootstrap, how.confidence)
        result["time_budget"] = budget(predictions, events, column)
    protocol = Protocol(
        name="recognition" if not pairs.videos else "recognition+framewise",
        videos=tuple(str(v) for v in events.videos["video"]),
        classes=tuple(scored.classes),
        thresholds=how.thresholds if pairs.videos else (),
        truth=scored.truth,
        rules={"average": how.average, "background": nothing, "unseen": how.unseen},
    )
    result["protocol"] = protocol.as_dict() | {
        "split": how.split,
        "groups": len(set(scored.groups)),
        "untrimmed_videos": len(pairs.videos),
        "skipped_videos": len([v for v in predictions.skipped if v in set(events.videos["video"])]),
        "unscored_events": scored.unscored,
        "confidence": how.confidence if how.bootstrap else None,
        "bootstrap": how.bootstrap,
    }
    return result


def _joint(scored: dict[str, Scored], each: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the measures of all heads together, as far as events were classified."""
    leading = [
        found["map" if one.targets.ndim == 2 else "top1_accuracy"]
        for one, found in zip(scored.values(), each.values(), strict=True)
        if len(one.values)
    ]
    if not leading:
        return {}
    events = {
        head: (np.flatnonzero(one.have), one.values, one.targets) for head, one in scored.items()
    }
    return {JOINT_SCORE: float(np.mean(leading)), **joint_metrics(events)}


def score_events(
    predictions: Predictions,
    events: Events,
    column: str,
    average: Average,
    unseen: Unseen = "refuse",
) -> Scored:
    """Return annotated events with the probabilities the predictions give them.

    From the raw scores where they were kept, so that other events or another averaging can be
    asked; else from the scores of the predicted event with the same id. A trained background
    class is left out (and the rest scaled to sum to one) unless events are labelled so. Labels that
    the head does not know are refused, or with ``unseen="miss"`` classes of probability zero.

    Raises:
        DataError: labels that are refused.
    """
    about = predictions.labels["heads"][column]
    multi, names = bool(about.get("multi_label")), predictions.classes(column)
    values = event_values(predictions, events, column, Reading.of(about, average))
    used = manifest.use(events, column)
    kept = _kept_classes(predictions, column, names, set(events.classes(column)))
    values, names = values[:, kept], [names[i] for i in kept]
    if len(kept) < len(about["classes"]) and not multi:
        values = values / np.maximum(values.sum(axis=1, keepdims=True), 1e-300)
    limits = np.broadcast_to(about.get("thresholds") or [0.5], len(about["classes"]))[kept]
    unknown = sorted(set(events.classes(column)) - set(names))
    if unknown and unseen == "refuse":
        raise DataError(
            f"The truth has labels the head does not know: {', '.join(unknown)}. It knows: "
            f"{', '.join(names)}. Correct the labels, set these events' status to ignore, or count "
            "them as missed with evaluation.unseen=miss."
        )
    values = np.pad(values, ((0, 0), (0, len(unknown))))
    targets = manifest.targets(events, column, [*names, *unknown], multi)
    have = used & ~np.isnan(values).any(axis=1)
    rows = events.rows.loc[have, ["video", "start", "end", column]]
    return Scored(
        values=values[have],
        targets=targets.values[have],
        classes=[*names, *unknown],
        groups=manifest.event_groups(events)[have],
        videos=rows["video"].to_numpy(dtype=object),
        truth=tuple(rows.astype(object).itertuples(index=False, name=None)),
        have=have,
        unscored=int((used & ~have).sum()),
        thresholds=np.append(limits, np.ones(len(unknown))),
    )


def event_values(
    predictions: Predictions, events: Events, column: str, reading: Reading
) -> np.ndarray:
    """Return the probabilities ``[E, C]`` that predictions give events; NaN where they give none.

    From the raw scores where they were kept, else those of the predicted event with the same id.
    """
    if column in predictions.raw and len(predictions.rows):
        seconds = dict(
            zip(
                predictions.events.videos["video"],
                predictions.events.videos["duration"],
                strict=True,
            )
        )
        kinds = from_table(predictions.rows, predictions.raw[column], seconds)
        scores = kinds.get("events") or kinds["dense"]
        scores.reasons = {v: "" for v in events.videos["video"] if v not in scores}
        return event_probabilities(scores, events, column, reading)
    number = {name: i for i, name in enumerate(predictions.events.rows["id"])}
    values = np.full((len(events), predictions.scores[column].shape[1]), np.nan)
    for i, name in enumerate(events.rows["id"]):
        if name in number:
            values[i] = predictions.scores[column][number[name]]
    return values


def _kept_classes(
    predictions: Predictions, column: str, names: list[str], true: set[str]
) -> list[int]:
    background = predictions.background(column)
    drop = background.get("label") if background.get("kind") == "trained" else None
    return [i for i, name in enumerate(names) if name != drop or name in true]


def own_truth(predictions: Predictions) -> Events:
    """Return the annotated events that predictions brought along.

    Raises:
        DataError: they brought none.
    """
    from actionspace.events.table import Events

    if predictions.truth is None:
        raise DataError(
            "These predictions came from videos without annotations; give the truth as data=."
        )
    known = list(predictions.events.rows.columns)  # heads that were not predicted stay out
    truth = predictions.truth[[c for c in predictions.truth.columns if c in known]]
    events = predictions.events
    return Events.from_frames(truth, events.videos, events.root, events.heads)


def _check_videos(predictions: Predictions, events: Events) -> None:
    known = set(predictions.events.videos["video"]) | set(predictions.skipped)
    missing = [v for v in events.rows["video"].unique() if v not in known]
    if missing:
        raise DataError(
            f"{len(missing)} videos of the truth were not predicted, the first is '{missing[0]}'. "
            "Predict them, or evaluate on the split that was predicted."
        )


def _clip_metrics(scored: Scored, multi: bool) -> dict[str, Any]:
    if multi:
        return dict(
            classification.multi_label_metrics(
                scored.values, scored.targets, scored.classes, threshold=scored.thresholds
            )
        )
    result: dict[str, Any] = dict(
        classification.single_label_metrics(scored.values, scored.targets, scored.classes)
    )
    result["ece"] = classification.expected_calibration_error(scored.values, scored.targets)
    return result


def _clip_intervals(scored: Scored, multi: bool, n: int, level: float) -> dict[str, list[float]]:
    if n == 0:
        return {}
    compute = intervals.multi_label_intervals if multi else intervals.single_label_intervals
    found = compute(scored.values, scored.targets, groups=scored.groups, n=n, level=level)
    return {f"{name}_ci": list(pair) for name, pair in found.items() if pair[0] == pair[0]}
