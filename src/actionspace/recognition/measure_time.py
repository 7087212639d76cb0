"""Untrimmed videos against the truth: frame by frame, segment by segment, and as time budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from actionspace.metrics import framewise, intervals
from actionspace.recognition import data as manifest

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.training.predictions import Predictions

FRAME_RESAMPLES = 200  # each resample compares all frames again
FRAMES_PER_SECOND = 25.0  # of the comparison, where nobody knows the video's rate


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


def frame_metrics(
    pairs: FramePairs, thresholds: tuple[float, ...], n: int, level: float
) -> dict[str, Any]:
    """Return the measures of all videos, with intervals over ``n`` resamples of groups."""

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

    background = str(predictions.background(column).get("label", "background"))
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
