"""Time budgets: how often, how long, how soon; and what follows what."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from actionspace.events.columns import parse_spans
from actionspace.events.labels import split_labels
from actionspace.events.table import Events

COLUMNS = (
    "video", "subject", "label", "bouts", "points", "total_duration", "mean_duration", "latency",
    "rate_per_minute", "share",
)  # fmt: skip


def time_budget(events: Events, *, head: str = "label", by_subject: bool = True) -> pd.DataFrame:
    """Return one row per video, subject and class that occurs.

    ``bouts`` counts events with a duration, ``points`` those without; ``total_duration`` and
    ``mean_duration`` (of bouts) and ``latency`` (start of observation to first start) are seconds;
    ``rate_per_minute`` is bouts and points per observed minute; ``share`` is the part of the
    observed time, overlapping events of a class counted once. Observed is what was labelled, else
    the video's duration, else up to the last event's end. Events to ignore do not count; a whole-
    video event lasts as long as its video (NaN where that is unknown).
    """
    out: list[dict[str, Any]] = []
    for video, rows in events.by_video():
        table = spread(rows, head, video["duration"])
        spans = parse_spans(video["labelled"])
        length = video["duration"] if np.isfinite(video["duration"]) else table["end"].max()
        spans = spans or [(0.0, float(length))]
        observed = sum(b - a for a, b in spans)
        keys = ["subject", "label"] if by_subject else ["label"]
        for key, group in table.groupby(keys, dropna=False, sort=True):
            subject = key[0] if by_subject and isinstance(key[0], str) else None
            out.append(
                {
                    "video": video["video"],
                    "subject": subject,
                    "label": key[-1],
                    **_measures(group, spans[0][0], float(observed)),
                }
            )
    return pd.DataFrame(out, columns=list(COLUMNS))


def spread(rows: pd.DataFrame, head: str, duration: float = np.nan) -> pd.DataFrame:
    """Return ``start, end, label, subject``, one row per single label, whole videos as times."""
    rows = rows[rows["status"] == "event"]
    whole = rows["start"].isna()
    out = pd.DataFrame(
        {
            "start": rows["start"].mask(whole, 0.0),
            "end": rows["end"].mask(whole, duration),
            "label": [split_labels(text) for text in rows[head]],
            "subject": rows["subject"],
        }
    )
    return out.explode("label").dropna(subset="label")


def _measures(group: pd.DataFrame, begin: float, observed: float) -> dict[str, Any]:
    lengths = group["end"] - group["start"]
    bouts = group[lengths != 0]
    points = len(group) - len(bouts)
    covered = _union(bouts["start"].to_numpy(), bouts["end"].to_numpy())
    known = observed > 0
    return {
        "bouts": len(bouts),
        "points": points,
        "total_duration": float(lengths.sum(skipna=False)),
        "mean_duration": float(lengths[bouts.index].mean()) if len(bouts) else np.nan,
        "latency": float(group["start"].min()) - begin,
        "rate_per_minute": len(group) / observed * 60 if known else np.nan,
        "share": covered / observed if known else np.nan,
    }


def _union(start: np.ndarray, end: np.ndarray) -> float:
    """Return the length of the union of intervals, seconds."""
    total, reach = 0.0, -np.inf
    for i in np.argsort(start, kind="stable"):
        total += max(0.0, end[i] - max(reach, start[i])) if end[i] == end[i] else np.nan
        reach = max(reach, end[i])
    return float(total)


def transitions(events: Events, *, head: str = "label") -> pd.DataFrame:
    """Return counts: rows = a class, columns = the class that began next (same video and subject).

    Events are taken in the order of their starts; those to ignore do not count.
    """
    names = events.classes(head)
    pairs: list[tuple[str, str]] = []
    for video, rows in events.by_video():
        table = spread(rows, head, video["duration"]).sort_values("start", kind="stable")
        for _, group in table.groupby("subject", dropna=False):
            pairs += pairwise(group["label"])
    before, after = (pd.Series([p[i] for p in pairs], dtype=object) for i in (0, 1))
    counts = pd.crosstab(before, after).reindex(index=names, columns=names, fill_value=0)
    return counts.rename_axis(index="from", columns="to")
