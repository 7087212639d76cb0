"""Temporal constraints as the ActionFormer fork (1.5.0) has them, with what is peculiar to it.

Each rule looks at all detections, and what every rule lets pass is kept: a detection that one rule
removes still suppresses others in the next. Gaps are between centres. Overlap is compared whatever
the classes, and above one half unless something else is said. Merging compares a start with the
end of the one that started before it, not with the latest end so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.events.constraints_rules import Table, within_duration

if TYPE_CHECKING:
    from actionspace.events.constraints import TemporalConstraints

MAX_OVERLAP = 0.5
"""Where nothing is said; 1 and more turn the rule off."""


def fork_mask(
    table: Table,
    lows: np.ndarray,
    highs: np.ndarray,
    gaps: np.ndarray,
    rules: TemporalConstraints,
) -> np.ndarray:
    """Return which detections pass every rule; bool ``[N]``.

    Args:
        table: the detections.
        lows, highs: shortest and longest duration of each class, float64 ``[C]``.
        gaps: between centres, of each class, float64 ``[C]``.
        rules: least score and overlap.
    """
    kept = table.scores >= rules.score_threshold
    kept &= within_duration(table, lows, highs)
    centres = (table.starts + table.ends) / 2
    for video in np.unique(table.videos):
        in_video = np.flatnonzero(table.videos == video)
        for label in np.flatnonzero(gaps > 0):
            members = in_video[table.labels[in_video] == label]
            near = partial(_nearer, centres[members], gaps[label])
            kept[members] &= _best_first(table.scores[members], near)
        most = MAX_OVERLAP if rules.max_overlap is None else rules.max_overlap
        if most < 1:
            overlapping = partial(_overlapping, table.at(in_video), most)
            kept[in_video] &= _best_first(table.scores[in_video], overlapping)
    return np.asarray(kept)


def _best_first(scores: np.ndarray, excludes: Callable[[int], np.ndarray]) -> np.ndarray:
    """Return what stays if, best first, each removes those it excludes; bool ``[N]``."""
    kept = np.ones(len(scores), dtype=bool)
    for i in np.argsort(-scores):
        if kept[i]:
            kept &= ~excludes(i)
            kept[i] = True
    return kept


def _nearer(centres: np.ndarray, gap: float, i: int) -> np.ndarray:
    return np.asarray(np.abs(centres - centres[i]) < gap)


def _overlapping(table: Table, most: float, i: int) -> np.ndarray:
    """Return whose temporal IoU with one is above ``most``; 0 where two have no duration."""
    starts, ends = table.starts, table.ends
    shared = np.maximum(np.minimum(ends, ends[i]) - np.maximum(starts, starts[i]), 0.0)
    whole = (ends - starts) + (ends[i] - starts[i]) - shared
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0) > most)


def constrain_class(
    results: Mapping[str, Any],
    label: Any,
    *,
    min_gap: float | None = None,
    duration_range: tuple[float, float] | None = None,
    max_overlap: float = 0.3,
) -> dict[str, Any]:
    """Return detections after the fork's ``enforce_class_constraints``.

    Gap and duration are those of one class; the overlap is compared between all.

    Args:
        results: ``video-id``, ``t-start``, ``t-end``, ``label``, ``score``.
        label: the class.
        min_gap: least seconds between centres; None or 0 = any.
        duration_range: shortest and longest duration in seconds; None = any.
        max_overlap: temporal IoU above which the lower score goes.
    """
    from actionspace.events.constraints import TemporalConstraints

    rules = TemporalConstraints(
        min_gap={str(label): min_gap} if min_gap else {},
        duration_range={str(label): duration_range} if duration_range else {},
        max_overlap=min(max_overlap, 1.0),
        compat="fork",
    )
    return rules.apply(dict(results))


def merge_close(
    results: Mapping[str, Any], merge_gap: float = 0.5, label: Any = None
) -> dict[str, Any]:
    """Return detections after the fork's ``merge_close_detections``.

    Args:
        results: ``video-id``, ``t-start``, ``t-end``, ``label``, ``score``.
        merge_gap: most seconds from the end of one to the start of the next.
        label: the class that is merged; None = each.

    Returns:
        Merged ones by video, class and start, then those of the other classes as they were.
    """
    videos, labels = np.array(results["video-id"]), np.array(results["label"])
    starts, ends, scores = (np.array(results[n], float) for n in ("t-start", "t-end", "score"))
    found: list[tuple[Any, float, float, Any, float]] = []
    for video in np.unique(videos):
        for name in np.unique(labels[videos == video]) if label is None else [label]:
            members = np.flatnonzero((videos == video) & (labels == name))
            members = members[np.argsort(starts[members])]
            apart = starts[members[1:]] - ends[members[:-1]] > merge_gap
            for bout in np.split(members, np.flatnonzero(apart) + 1) if len(members) else ():
                span = starts[bout[0]], ends[bout].max()
                found.append((video, *span, name, scores[bout].max()))
    rest = np.zeros(len(labels), bool) if label is None else labels != label
    found += zip(videos[rest], starts[rest], ends[rest], labels[rest], scores[rest], strict=True)
    columns = list(zip(*found, strict=True)) or [()] * 5
    names = ("video-id", "t-start", "t-end", "label", "score")
    arrays = {name: np.array(column) for name, column in zip(names, columns, strict=True)}
    return arrays | {"video-id": [str(v) for v in columns[0]]}
