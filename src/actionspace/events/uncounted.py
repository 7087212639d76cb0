"""Time of a video that nobody vouches for: rows to ignore, and what lies outside labelled spans."""

from __future__ import annotations

import numpy as np

from actionspace.events import columns as col
from actionspace.events.table import Events


def uncounted_time(events: Events) -> dict[str, np.ndarray]:
    """Return the spans ``[M, 2]`` (s) of each video in which nothing is known.

    What happens there, or does not, is neither to be learnt nor to be measured; events that are
    annotated there are. Spans may overlap, and reach to infinity. Videos without any are left out.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    ignored = events.rows[events.rows["status"] == "ignore"]
    columns = (ignored[c] for c in ("video", "start", "end"))
    for video, start, end in zip(*columns, strict=True):
        whole = start != start
        found.setdefault(str(video), []).append((-np.inf, np.inf) if whole else (start, end))
    partly = events.videos[events.videos["labelled"].notna()]
    for video, text in zip(partly["video"], partly["labelled"], strict=True):
        spans = sorted(col.parse_spans(text, f"{video}: 'labelled'") or [])
        starts = [start for start, _ in spans] + [np.inf]
        ends = [-np.inf, *np.maximum.accumulate([end for _, end in spans]).tolist()]
        gaps = [(a, b) for a, b in zip(ends, starts, strict=True) if a < b]
        found.setdefault(str(video), []).extend(gaps)
    return {video: np.array(spans, dtype=np.float64) for video, spans in found.items() if spans}


def within(moments: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Return which moments ``[N]`` (s) lie in one of the spans ``[M, 2]``, half-open."""
    inside = (moments[:, None] >= spans[:, 0]) & (moments[:, None] < spans[:, 1])
    return np.asarray(inside.any(axis=1))
