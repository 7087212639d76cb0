"""Predictions against the truth: measures of clips, of ethograms, with intervals over groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from actionspace.errors import DataError
from actionspace.metrics import classification, framewise, intervals
from actionspace.metrics.protocol import Protocol
from actionspace.recognition import data as manifest
from actionspace.recognition.probe import Average
from actionspace.recognition.scores import Reading, event_probabilities, from_table

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.training.predictions import Predictions

FRAME_RESAMPLES = 200  # each resample compares all frames again
FRAMES_PER_SECOND = 25.0  # of the comparison, where nobody knows the video's rate


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
        unscored: events without scores.
        thresholds: least probability of each class, for several labels.
    """

    values: np.ndarray
    targets: np.ndarray
    classes: list[str]
    groups: np.ndarray
    videos: np.ndarray
    truth: tuple[Any, ...]
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
) -> dict[str, Any]:
    """Return the metrics of predictions, flat, with ``protocol`` and ``<name>_ci`` intervals.

    Annotated events are classified (``top1_accuracy``, ...); untrimmed videos are compared frame by
    frame and segment by segment too (``frame_accuracy``, ``segmental_f1@0.50``, ``edit_score``,
    ...), with ``time_budget`` per class.

    Args:
        predictions: what was predicted.
        truth: annotated events; None = those the predictions brought along.
        average: how the views of an event are averaged; may differ from when they were made.
        bootstrap: resamples of groups for the intervals; 0 = no intervals.
        confidence: coverage of the intervals.
        split: name of the split, for the protocol.
        thresholds: IoU thresholds of segmental F1.

    Raises:
        DataError: there is no truth, or it has videos that were neither predicted nor skipped.
    """
    events = truth if truth is not None else own_truth(predictions)
    column = next(iter(predictions.labels["heads"]))
    manifest.check_column(events, column)
    _check_videos(predictions, events)
    scored = score_events(predictions, events, column, average)
    multi = bool(predictions.labels["heads"][column].get("multi_label"))
    rules = {"average": average, "background": _background(predictions)}
    result: dict[str, Any] = {}
    if len(scored.values):
        result |= _clip_metrics(scored, multi)
        result |= _clip_intervals(scored, multi, bootstrap, confidence)
    pairs = frame_pairs(predictions, events, column)
    if pairs.videos:
        result |= _frame_metrics(pairs, thresholds, bootstrap, confidence)
        result["time_budget"] = budget(predictions, events, column)
    protocol = Protocol(
        name="recognition" if not pairs.videos else "recognition+framewise",
        videos=tuple(str(v) for v in events.videos["video"]),
        classes=tuple(scored.classes),
        thresholds=thresholds if pairs.videos else (),
        truth=scored.truth,
        rules=rules,
    )
    result["protocol"] = protocol.as_dict() | {
        "split": split,
        "groups": len(set(scored.groups)),
        "untrimmed_videos": len(pairs.videos),
        "skipped_videos": len([v for v in predictions.skipped if v in set(events.videos["video"])]),
        "unscored_events": scored.unscored,
        "confidence": confidence if bootstrap else None,
        "bootstrap": bootstrap,
    }
    return result


def score_events(predictions: Predictions, events: Events, column: str, average: Average) -> Scored:
    """Return annotated events with the probabilities the predictions give them.

    From the raw scores where they were kept, so that other events or another averaging can be
    asked; else from the scores of the predicted event with the same id. A trained background
    class is left out (and the rest scaled to sum to one) unless events are labelled so.
    """
    about = predictions.labels["heads"][column]
    multi, names = bool(about.get("multi_label")), predictions.classes(column)
    values = event_values(predictions, events, column, Reading.of(about, average))
    used = manifest.use(events, column)
    kept = _kept_classes(predictions, names, set(events.classes(column)))
    values, names = values[:, kept], [names[i] for i in kept]
    if len(kept) < len(about["classes"]) and not multi:
        values = values / np.maximum(values.sum(axis=1, keepdims=True), 1e-300)
    targets = manifest.targets(events, column, names, multi)
    unknown = sorted(set(events.classes(column)) - set(names))
    if unknown:
        raise DataError(
            f"The truth has labels the head does not know: {', '.join(unknown)}. It knows: "
            f"{', '.join(names)}. Correct the labels, or set these events' status to ignore."
        )
    have = used & ~np.isnan(values).any(axis=1)
    rows = events.rows.loc[have, ["video", "start", "end", column]]
    return Scored(
        values=values[have],
        targets=targets.values[have],
        classes=names,
        groups=manifest.event_groups(events)[have],
        videos=rows["video"].to_numpy(dtype=object),
        truth=tuple(rows.astype(object).itertuples(index=False, name=None)),
        unscored=int((used & ~have).sum()),
        thresholds=np.broadcast_to(about.get("thresholds") or [0.5], len(about["classes"]))[kept],
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


def _kept_classes(predictions: Predictions, names: list[str], true: set[str]) -> list[int]:
    background = predictions.labels.get("background") or {}
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


def _background(predictions: Predictions) -> str:
    background = predictions.labels.get("background") or {}
    return str(background.get("kind", "none"))


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


@dataclass(frozen=True)
class FramePairs:
    """True and predicted labels of the frames of untrimmed videos.

    Per video: ``truths`` and ``guesses`` are labels ``[T]``, ``seconds`` the frames' durations,
    ``masks`` whether they were annotated, ``groups`` its group; ``background`` is one label.
    """

    videos: list[str]
    truths: list[np.ndarray]
    guesses: list[np.ndarray]
    seconds: list[np.ndarray]
    masks: list[np.ndarray]
    groups: list[str]
    background: str


def _frame_metrics(
    pairs: FramePairs, thresholds: tuple[float, ...], n: int, level: float
) -> dict[str, Any]:
    def compute(chosen: Sequence[int]) -> dict[str, float]:
        return framewise.framewise_metrics(
            [pairs.truths[i] for i in chosen],
            [pairs.guesses[i] for i in chosen],
            background=pairs.background,
            weights=[pairs.seconds[i] for i in chosen],
            masks=[pairs.masks[i] for i in chosen],
            thresholds=thresholds,
        )

    result: dict[str, Any] = dict(compute(range(len(pairs.videos))))
    groups = np.array(pairs.groups, dtype=object)
    if n == 0 or len(set(pairs.groups)) < 2:
        return result
    member, counts = intervals.draws(groups, len(groups), min(n, FRAME_RESAMPLES), 0)
    drawn = [compute(np.repeat(np.arange(len(groups)), times[member]).tolist()) for times in counts]
    for name in list(result):
        values = np.array([d[name] for d in drawn], dtype=np.float64)
        result[f"{name}_ci"] = list(intervals.percentile(values, level))
    return result


def frame_pairs(predictions: Predictions, events: Events, column: str) -> FramePairs:
    """Return the untrimmed videos frame by frame, on a grid of the video's frame rate."""
    from actionspace.events.frames import to_frames

    background = str((predictions.labels.get("background") or {}).get("label", "background"))
    pairs = FramePairs([], [], [], [], [], [], background)
    searched = set(predictions.labels.get("untrimmed", []))
    facts = predictions.events.videos.set_index("video")
    groups = manifest.video_groups(events)
    for video in events.videos["video"]:
        if video not in searched or video not in facts.index:
            continue
        guess = _as_label(predictions.events.for_video(video), column)
        rows = events.for_video(video)
        duration = float(facts["duration"][video])
        if np.isnan(duration):
            duration = float(np.nanmax([*rows["end"], *guess["end"], 0.0]))
        rate = float(facts["fps"][video])
        step = 1 / (rate if rate > 0 else FRAMES_PER_SECOND)
        start = np.arange(max(1, round(duration / step))) * step
        times = np.stack([start, start + step], axis=1)
        true = _as_label(rows[rows["status"] == "event"], column)
        mask = _annotated(events, video, rows, times.mean(axis=1))
        if not mask.any():
            continue
        pairs.videos.append(video)
        pairs.truths.append(to_frames(true, times, background))
        pairs.guesses.append(to_frames(guess, times, background))
        pairs.seconds.append(np.full(len(times), step))
        pairs.masks.append(mask)
        pairs.groups.append(groups[video])
    return pairs


def _as_label(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the events with the labels of a head as their ``label``."""
    if column == "label":
        return rows
    return rows.drop(columns="label", errors="ignore").rename(columns={column: "label"})


def _annotated(events: Events, video: str, rows: pd.DataFrame, middle: np.ndarray) -> np.ndarray:
    spans = events.labelled_spans(video)
    mask = np.ones(len(middle), bool) if spans is None else np.zeros(len(middle), bool)
    for low, high in spans or []:
        mask |= (middle >= low) & (middle < high)
    for row in rows[rows["status"] == "ignore"].itertuples():
        mask &= ~((middle >= row.start) & (middle < row.end))
    return mask


def budget(predictions: Predictions, events: Events, column: str) -> list[dict[str, Any]]:
    """Return, per class over the untrimmed videos, true and predicted bouts and seconds."""
    from actionspace.events.budget import time_budget

    searched = [v for v in predictions.labels["untrimmed"] if v in set(events.videos["video"])]
    sides = {
        "true": events.select(videos=searched),
        "predicted": predictions.events.select(videos=searched),
    }
    table: dict[str, dict[str, Any]] = {}
    for side, part in sides.items():
        found = time_budget(part, head=column, by_subject=False)
        for label, rows in found.groupby("label"):
            line = table.setdefault(str(label), {"label": str(label)})
            line[f"{side}_bouts"] = int(rows["bouts"].sum())
            line[f"{side}_seconds"] = float(rows["total_duration"].sum())
    empty = {f"{s}_{w}": 0 for s in ("true", "predicted") for w in ("bouts", "seconds")}
    return [{**empty, **table[label]} for label in sorted(table)]
