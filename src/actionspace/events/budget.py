"""Time budgets: how often, how long, how soon; and what follows what."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from actionspace.events.columns import UNCERTAINTY, parse_spans
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
    table = spread(events, head)
    if not by_subject:
        table = table.assign(subject=None)
    facts = events.videos.set_index("video")
    latest = table.groupby("video")["end"].max()
    out: list[dict[str, Any]] = []
    for video, bouts in _by(table, "video").items():
        spans = parse_spans(facts["labelled"][video])
        length = facts["duration"][video]
        length = length if np.isfinite(length) else latest[video]
        spans = spans or [(0.0, float(length))]
        observed = float(sum(b - a for a, b in spans))
        for (subject, label), group in sorted(
            _by(bouts, "subject", "label").items(), key=lambda item: (item[0][0] or "", item[0][1])
        ):
            measures = _measures(group, spans[0][0], observed)
            out.append({"video": video, "subject": subject, "label": label, **measures})
    return pd.DataFrame(out, columns=list(COLUMNS))


Bout = dict[Any, Any]


def _by(table: pd.DataFrame | list[Bout], *columns: str) -> dict[Any, list[Bout]]:
    """Return the rows by the values of columns, both in order of appearance."""
    rows = table.to_dict("records") if isinstance(table, pd.DataFrame) else table
    groups: dict[Any, list[Bout]] = {}
    for row in rows:
        key = row[columns[0]] if len(columns) == 1 else tuple(row[c] for c in columns)
        groups.setdefault(key, []).append(row)
    return groups


def spread(events: Events, head: str = "label") -> pd.DataFrame:
    """Return ``video, start, end, label, subject``: one row per event and single label.

    Whole videos get their times (an end of NaN where the duration is unknown), events to ignore
    are left out. How uncertain boundaries are follows where it is known.
    """
    rows = events.rows[events.rows["status"] == "event"]
    duration = rows["video"].map(events.videos.set_index("video")["duration"])
    whole = rows["start"].isna()
    out = pd.DataFrame(
        {
            "video": rows["video"],
            "start": rows["start"].mask(whole, 0.0),
            "end": rows["end"].mask(whole, duration),
            "label": [split_labels(text) for text in rows[head]],
            "subject": rows["subject"],
            **{name: rows[name] for name in UNCERTAINTY if name in rows.columns},
        }
    )
    return out.explode("label").dropna(subset="label").reset_index(drop=True)


def _measures(group: list[Bout], begin: float, observed: float) -> dict[str, Any]:
    start, end = (np.array([bout[t] for bout in group]) for t in ("start", "end"))
    lengths = end - start
    lasting = lengths != 0
    known = observed > 0
    return {
        "bouts": int(lasting.sum()),
        "points": int((~lasting).sum()),
        "total_duration": float(lengths.sum()),
        "mean_duration": float(lengths[lasting].mean()) if lasting.any() else np.nan,
        "latency": float(start.min()) - begin,
        "rate_per_minute": len(group) / observed * 60 if known else np.nan,
        "share": _union(start[lasting], end[lasting]) / observed if known else np.nan,
    }


def _union(start: np.ndarray, end: np.ndarray) -> float:
    """Return the length of the union of intervals, seconds."""
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    reach = np.concatenate([[-np.inf], np.maximum.accumulate(end)[:-1]])
    return float(np.maximum(0.0, end - np.maximum(start, reach)).sum()) if len(start) else 0.0


def transitions(events: Events, *, head: str = "label") -> pd.DataFrame:
    """Return counts: rows = a class, columns = the class that began next (same video and subject).

    Events are taken in the order of their starts; those to ignore do not count.
    """
    names = events.classes(head)
    pairs: list[tuple[str, str]] = []
    table = spread(events, head).sort_values("start", kind="stable")
    for bouts in _by(table, "video", "subject").values():
        pairs += pairwise(bout["label"] for bout in bouts)
    before, after = (pd.Series([p[i] for p in pairs], dtype=object) for i in (0, 1))
    counts = pd.crosstab(before, after).reindex(index=names, columns=names, fill_value=0)
    return counts.rename_axis(index="from", columns="to")
