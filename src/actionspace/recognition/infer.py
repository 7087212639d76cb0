"""From features to predictions: whole clips get a label, untrimmed videos get events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from actionspace.heads.attentive_head import AttentiveHead, Head
from actionspace.recognition import data as manifest
from actionspace.recognition.encode import Encoding
from actionspace.recognition.probe import Average, Probe, describe_probes
from actionspace.recognition.recipe import PredictConfig
from actionspace.recognition.scores import (
    RawScores,
    Reading,
    event_probabilities,
    score,
    time_probabilities,
    to_table,
)
from actionspace.training.predictions import Predictions, predicted_events

if TYPE_CHECKING:
    from actionspace.events.table import Events

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
    probes: Probe | Sequence[Probe],
    encoding: Encoding,
    events: Events,
    *,
    mode: Mode = "auto",
    average: Average = "prob",
) -> Predictions:
    """Predict every video of a manifest.

    Args:
        probes: the head, or one for each column. A clip is one row with a label in each column; in
            untrimmed videos each event is of one column.
        encoding: where features come from.
        events: videos, with the truth where it is known.
        mode: ``clip``, ``untrimmed``, or ``auto`` = by the events or the duration of each video.
        average: how views and rows of an event are averaged.
    """
    probes = (probes,) if isinstance(probes, Probe) else tuple(probes)
    columns = [p.column for p in probes]
    heads = [_on(p.head, encoding.device) for p in probes]
    given = encoding.given
    plan = make_plan(probes, encoding, events, mode)
    raw: list[list[RawScores]] = []  # by source, then by head
    anchored = (given.rows if given else encoding.recipe.clips.rows) == "events"
    if anchored:
        asked = _having_events(plan.asked)
        if asked or not plan.untrimmed:
            raw.append(score(heads, encoding.source(plan.asked, "test"), asked))
        if plan.untrimmed:
            part = events.select(videos=plan.untrimmed)
            raw.append(score(heads, encoding.source(part, "untrimmed"), plan.untrimmed))
    else:
        names = list(events.videos["video"])
        raw.append(score(heads, encoding.source(events, "test"), names))
    clips = plan.asked.select(mask=~plan.asked.rows["video"].isin(plan.untrimmed))
    told = [c for c in columns if c in events.heads and manifest.use(events, c).any()]
    labelled, p_clips = _label_clips(probes, clips, events, told, raw[0], average)
    found, p_found = find_events(probes, plan.untrimmed, raw[-1], encoding.recipe.predict, average)
    rows = pd.concat([f for f in (labelled, found) if len(f)] or [labelled], ignore_index=True)
    first = [scores[0] for scores in raw]  # all heads saw the same rows
    reasons = {v: why for scores in first for v, why in scores.reasons.items()}
    tables = [to_table(one) for one in zip(*raw, strict=True)]
    return Predictions(
        events=predicted_events(rows, _videos(events, first), events.root, columns),
        scores={c: np.concatenate([p_clips[c], p_found[c]]).astype(np.float32) for c in columns},
        labels={
            **describe_probes(probes),
            "average": average,
            "rows": "events" if anchored else "dense",
            "untrimmed": [v for v in plan.untrimmed if v not in reasons],
            "skipped": reasons,
            "encoder": encoding.describe(),
        },
        rows=tables[0][0],
        raw={c: logits for c, (_, logits) in zip(columns, tables, strict=True)},
        truth=events.rows if told else None,
    )


def _on(head: Head, device: str) -> Head:
    """Return a head that computes where the encoder does; a linear one is quick anywhere."""
    return replace(head, device=device) if isinstance(head, AttentiveHead) else head


def make_plan(probes: Sequence[Probe], encoding: Encoding, events: Events, mode: Mode) -> Plan:
    """Decide what is asked of each video, and give clips without events one of their own."""
    given, columns = encoding.given, [probe.column for probe in probes]
    untrimmed: list[str] = []
    alone: list[dict[str, Any]] = []
    for video, rows in events.by_video():
        name = str(video["video"])
        rows = rows[rows["status"] == "event"]
        searchable = given is None or given.rows == "dense"
        long = mode == "auto" and _is_untrimmed(probes[0].clip_seconds, encoding, events, name)
        if searchable and (long or mode == "untrimmed"):
            untrimmed.append(name)
        if name not in untrimmed and not len(rows):
            alone.append({"id": f"clip:{name}", "video": name, **dict.fromkeys(columns, "-")})
    kept = events.rows[events.rows["status"] == "event"]
    asked = pd.concat([kept.astype(object), pd.DataFrame(alone)], ignore_index=True)
    heads = tuple(dict.fromkeys((*columns, *events.heads)))
    return Plan(predicted_events(asked, events.videos, events.root, heads), untrimmed)


def _is_untrimmed(known: float, encoding: Encoding, events: Events, video: str) -> bool:
    """``known`` are the seconds of the longest clip that was learnt from."""
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
    longest = max(factor * encoding.span_seconds(fps), 1.01 * known)
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


def _videos(events: Events, raw: Sequence[RawScores]) -> pd.DataFrame:
    """Return the videos table with durations and rates that decoding found."""
    videos = events.videos.copy()
    meta = {v: s.get(v).meta for s in raw for v in s.videos()}
    for name in ("duration", "fps"):
        known = videos["video"].map(lambda v, n=name: (meta.get(v) or {}).get(n)).astype(float)
        videos[name] = videos[name].where(videos[name].notna(), known)
    return videos


def _label_clips(
    probes: Sequence[Probe],
    clips: Events,
    truth: Events,
    told: Sequence[str],
    raw: Sequence[RawScores],
    average: Average,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return one row per event that has scores, and its probabilities ``[E, C]`` per column.

    ``score`` is that of the first column, of several each has its own; ``told`` are the columns
    whose truth is known.
    """
    columns = ["id", "video", "start", "end", "subject", "modifiers"]
    every: dict[str, np.ndarray] = {}
    for probe, scores in zip(probes, raw, strict=True):
        if len(clips):
            reading = Reading(probe.head.multi_label, average)
            every[probe.column] = event_probabilities(scores, clips, None, reading)
        else:
            every[probe.column] = np.zeros((0, len(probe.classes)))
    have = ~np.isnan(every[probes[0].column]).any(axis=1)  # all heads saw the same rows
    rows = clips.rows.loc[have, columns].reset_index(drop=True)
    for probe in probes:
        every[probe.column] = values = every[probe.column][have]
        labels = pd.Series([name_labels(probe, p) for p in values], dtype=object)
        best = values.max(axis=1) if len(values) else np.zeros(0)
        rows = rows.assign(**{probe.column: labels})
        if probe is probes[0]:
            rows = rows.assign(score=best)
        if len(probes) > 1:
            rows = rows.assign(**{f"{probe.column}_score": best})
        if probe.column in told:
            known = dict(zip(truth.rows["id"], truth.rows[probe.column], strict=True))
            true = pd.Series([known.get(i) for i in rows["id"]], dtype=object)
            rows = rows.assign(**{f"{probe.column}_true": true})
    return rows, every


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
    probes: Sequence[Probe],
    videos: Sequence[str],
    raw: Sequence[RawScores],
    config: PredictConfig,
    average: Average,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return events over time, and per column the mean probabilities ``[E, C]`` of the time they
    cover; those of events of another column are NaN.
    """
    found = [
        _find(probe, videos, scores, config, Reading(probe.head.multi_label, average))
        for probe, scores in zip(probes, raw, strict=True)
    ]
    tables = []
    for probe, (table, _) in zip(probes, found, strict=True):
        if len(table) and len(probes) > 1:  # ids stay unique
            ids = [f"{video}#{probe.column}{i}" for i, video in enumerate(table["video"])]
            table = table.assign(id=ids, **{f"{probe.column}_score": table["score"]})
        tables.append(table)
    count = sum(len(table) for table in tables)
    every: dict[str, np.ndarray] = {}
    at = 0
    for probe, (table, values) in zip(probes, found, strict=True):
        every[probe.column] = np.full((count, len(probe.classes)), np.nan)
        every[probe.column][at : at + len(table)] = values
        at += len(table)
    full = [table for table in tables if len(table)]
    return (pd.concat(full, ignore_index=True) if full else pd.DataFrame()), every


def _find(
    probe: Probe,
    videos: Sequence[str],
    raw: RawScores,
    config: PredictConfig,
    reading: Reading,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return one head's events over time and their mean probabilities ``[E, C]``."""
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
