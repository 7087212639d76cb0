"""From features to predictions: whole clips get a label, untrimmed videos get events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from actionspace.recognition import data as manifest
from actionspace.recognition.encode import Encoding
from actionspace.recognition.probe import Average, Probe
from actionspace.recognition.recipe import PredictConfig
from actionspace.recognition.scores import (
    RawScores,
    Reading,
    event_probabilities,
    time_probabilities,
    to_table,
)
from actionspace.training.predictions import Predictions, predicted_events

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.features.foreign import Features

Mode = Literal["auto", "clip", "untrimmed"]
COVERS = 0.9  # an event this share of its video makes the video a clip


@dataclass(frozen=True)
class Plan:
    """What is asked of each video: a label per event, or events over time."""

    asked: Events
    """The events to be labelled; a clip without annotation is one event of its own."""
    untrimmed: list[str]
    """Videos that are to be searched from beginning to end."""


def infer(
    probe: Probe,
    encoding: Encoding,
    events: Events,
    *,
    mode: Mode = "auto",
    average: Average = "prob",
) -> Predictions:
    """Predict every video of a manifest.

    Args:
        probe: the head.
        encoding: where features come from.
        events: videos, with the truth where it is known.
        mode: ``clip``, ``untrimmed``, or ``auto`` = by the events or the duration of each video.
        average: how views and rows of an event are averaged.
    """
    config = encoding.recipe.predict
    given = encoding.given
    plan = make_plan(probe, encoding, events, mode)
    raw: list[RawScores] = []
    anchored = (given.rows if given else encoding.recipe.clips.rows) == "events"
    if anchored:
        raw.append(_score(probe, encoding.source(plan.asked, "test"), _having_events(plan.asked)))
        if plan.untrimmed:
            part = events.select(videos=plan.untrimmed)
            raw.append(_score(probe, encoding.source(part, "untrimmed"), plan.untrimmed))
    else:
        names = list(events.videos["video"])
        raw.append(_score(probe, encoding.source(events, "test"), names))
    clips = plan.asked.select(mask=~plan.asked.rows["video"].isin(plan.untrimmed))
    reading = Reading(probe.head.multi_label, average)
    has_truth = probe.column in events.heads and manifest.use(events, probe.column).any()
    labelled, p_clips = _label_clips(probe, clips, events if has_truth else None, raw[0], reading)
    found, p_found = find_events(probe, plan.untrimmed, raw[-1], config, reading)
    rows = pd.concat([f for f in (labelled, found) if len(f)] or [labelled], ignore_index=True)
    reasons = {v: why for scores in raw for v, why in scores.reasons.items()}
    table, logits = to_table(raw)
    return Predictions(
        events=predicted_events(rows, _videos(events, raw), events.root, (probe.column,)),
        scores={probe.column: np.concatenate([p_clips, p_found]).astype(np.float32)},
        labels={
            **probe.describe(),
            "average": average,
            "rows": "events" if anchored else "dense",
            "untrimmed": [v for v in plan.untrimmed if v not in reasons],
            "skipped": reasons,
            "encoder": encoding.describe(),
        },
        rows=table,
        raw={probe.column: logits},
        truth=events.rows if has_truth else None,
    )


def make_plan(probe: Probe, encoding: Encoding, events: Events, mode: Mode) -> Plan:
    """Decide what is asked of each video, and give clips without events one of their own."""
    given = encoding.given
    untrimmed: list[str] = []
    alone: list[dict[str, Any]] = []
    for video, rows in events.by_video():
        name = str(video["video"])
        rows = rows[rows["status"] == "event"]
        searchable = given is None or given.rows == "dense"
        long = mode == "auto" and _is_untrimmed(probe, encoding, events, name)
        if searchable and (long or mode == "untrimmed"):
            untrimmed.append(name)
        if name not in untrimmed and not len(rows):
            alone.append({"id": f"clip:{name}", "video": name, probe.column: "-"})
    kept = events.rows[events.rows["status"] == "event"]
    asked = pd.concat([kept.astype(object), pd.DataFrame(alone)], ignore_index=True)
    heads = tuple(dict.fromkeys((probe.column, *events.heads)))
    return Plan(predicted_events(asked, events.videos, events.root, heads), untrimmed)


def _is_untrimmed(probe: Probe, encoding: Encoding, events: Events, video: str) -> bool:
    rows = events.for_video(video)
    rows = rows[rows["status"] == "event"]
    if rows["start"].isna().any():
        return False
    duration, fps = _timing(encoding, events, video)
    if np.isnan(duration):
        return len(rows) > 1
    if len(rows):
        return bool(((rows["end"] - rows["start"]) < COVERS * duration).all())
    factor = encoding.recipe.predict.clip_factor
    longest = max(factor * encoding.span_seconds(fps), 1.01 * probe.clip_seconds)
    return duration > longest


def _timing(encoding: Encoding, events: Events, video: str) -> tuple[float, float]:
    """Return duration and fps; where features were handed in, the videos may not be there."""
    given = encoding.given
    if given is not None and video in given:
        found = given.get(video)
        end = found.times[:, 1].max() if len(found.times) else np.nan
        return float(found.meta.get("duration") or end), float(found.meta.get("fps") or np.nan)
    timing = manifest.timing(events, video)
    return timing.duration, timing.fps


def _having_events(events: Events) -> list[str]:
    return [str(v) for v in events.rows["video"].unique()]


def _score(probe: Probe, source: Features, videos: Sequence[str]) -> RawScores:
    scores = RawScores(len(probe.classes), source.rows)
    scores.add(probe.head, source, videos)
    return scores


def _videos(events: Events, raw: Sequence[RawScores]) -> pd.DataFrame:
    """Return the videos table with durations and rates that decoding found."""
    videos = events.videos.copy()
    meta = {v: s.get(v).meta for s in raw for v in s.videos()}
    for name in ("duration", "fps"):
        known = videos["video"].map(lambda v, n=name: (meta.get(v) or {}).get(n)).astype(float)
        videos[name] = videos[name].where(videos[name].notna(), known)
    return videos


def _label_clips(
    probe: Probe, clips: Events, truth: Events | None, raw: RawScores, reading: Reading
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return one row per event that has scores, and its probabilities ``[E, C]``."""
    columns = ["id", "video", "start", "end", "subject", "modifiers"]
    if not len(clips):
        empty = pd.DataFrame({name: pd.Series(dtype=object) for name in (*columns, probe.column)})
        return empty.assign(score=pd.Series(dtype=float)), np.zeros((0, len(probe.classes)))
    values = event_probabilities(raw, clips, None, reading)
    have = ~np.isnan(values).any(axis=1)
    values = values[have]
    rows = clips.rows.loc[have, columns].reset_index(drop=True)
    labels = [name_labels(probe, p) for p in values]
    rows = rows.assign(**{probe.column: pd.Series(labels, dtype=object)})
    rows = rows.assign(score=values.max(axis=1) if len(values) else np.zeros(0))
    if truth is not None:
        known = dict(zip(truth.rows["id"], truth.rows[probe.column], strict=True))
        told = [known.get(i) for i in rows["id"]]
        rows = rows.assign(**{f"{probe.column}_true": pd.Series(told, dtype=object)})
    return rows, values


def name_labels(probe: Probe, probabilities: np.ndarray) -> str | None:
    """Return the label of one clip: the likeliest class, or all at or above the threshold."""
    from actionspace.events.labels import join_labels

    if not probe.head.multi_label:
        return join_labels([probe.classes[int(probabilities.argmax())]])
    least = probe.threshold or {}
    names = [
        name
        for i, name in enumerate(probe.classes)
        if probabilities[i] >= least[name] and i != probe.background_class
    ]
    return join_labels(names) or None


def find_events(
    probe: Probe,
    videos: Sequence[str],
    raw: RawScores,
    config: PredictConfig,
    reading: Reading,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return events over time and the mean probabilities ``[E, C]`` of the time they cover."""
    from actionspace.events.labels import join_labels
    from actionspace.events.postprocess import scores_to_events

    tables, values = [], []
    for video in videos:
        if video not in raw:
            continue
        found = raw.get(video)
        over_time = time_probabilities(found, reading)
        table = scores_to_events(
            found.times,
            over_time,
            probe.classes,
            smooth=config.smooth,
            threshold=probe.threshold,
            background=probe.background.label if probe.background_class is not None else None,
            min_duration=config.min_duration,
            merge_gap=config.merge_gap,
            multi_label=probe.head.multi_label,
            video=video,
        )
        table["id"] = [f"{video}#{i}" for i in range(len(table))]
        table["label"] = [join_labels([name]) for name in table["label"]]
        tables.append(table.rename(columns={"label": probe.column}))
        values.append(_means(found.times, over_time, table))
    if not tables:
        return pd.DataFrame(), np.zeros((0, len(probe.classes)))
    return pd.concat(tables, ignore_index=True), np.concatenate(values)


def _means(times: np.ndarray, values: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    from actionspace.features.bags import select_rows
    from actionspace.features.store import VideoFeatures

    out = np.zeros((len(table), values.shape[1]))
    which, row = select_rows(
        VideoFeatures(values, times),
        table["start"].to_numpy(np.float64),
        table["end"].to_numpy(np.float64),
    )
    np.add.at(out, which, values[row])
    return out / np.bincount(which, minlength=len(table)).reshape(-1, 1)


def pool(many: Sequence[Predictions]) -> Predictions:
    """Join predictions of disjoint videos with the same classes, e.g. of the folds."""
    first = many[0]
    rows = pd.concat([p.events.rows for p in many], ignore_index=True)
    videos = pd.concat([p.events.videos for p in many], ignore_index=True)
    truths = [p.truth for p in many if p.truth is not None]
    labels = dict(first.labels)
    labels["untrimmed"] = [v for p in many for v in p.labels["untrimmed"]]
    labels["skipped"] = {v: why for p in many for v, why in p.skipped.items()}
    return replace(
        first,
        events=predicted_events(rows, videos, first.events.root, first.events.heads),
        scores={h: np.concatenate([p.scores[h] for p in many]) for h in first.scores},
        labels=labels,
        rows=pd.concat([p.rows for p in many], ignore_index=True),
        raw={h: np.concatenate([p.raw[h] for p in many]) for h in first.raw},
        truth=pd.concat(truths, ignore_index=True) if truths else None,
    )
