"""The rules behind :mod:`.constraints` on arrays: merging, durations, overlaps, gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np


@dataclass(frozen=True)
class Table:
    """Detections as arrays ``[N]``.

    Attributes:
        rows: int64, the place each had in the beginning.
        videos: int64, number of the video.
        labels: int64, number of the class.
        starts, ends: float64, seconds.
        scores: float64.
    """

    rows: np.ndarray
    videos: np.ndarray
    labels: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, index: np.ndarray) -> Table:
        """Return those at ``index`` (numbers or a mask)."""
        return Table(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class OverlapRule:
    """Overlap that two events may have.

    Attributes:
        within: two of a class, float64 ``[C]``.
        across: two of different classes.
        shorter: as a share of the shorter one; False = of the time of both.
    """

    within: np.ndarray
    across: float
    shorter: bool


def merged(table: Table, gaps: np.ndarray, score: str = "max") -> Table:
    """Return a table where events of a video and class that are near have become one.

    Near is what starts at most ``gaps`` ``[C]`` after all that started before it have ended; the
    gap -inf merges nothing. An event made of several takes the place of the best of them; its
    score is their ``max`` or ``mean``.
    """
    if not len(table):
        return table
    groups = table.videos * len(gaps) + table.labels
    order = np.lexsort((table.starts, groups))
    sorted_, groups = table.at(order), groups[order]
    ended = _latest_end(sorted_.ends, groups)
    apart = sorted_.starts[1:] - ended[:-1] > gaps[sorted_.labels[1:]]
    begins = np.flatnonzero(np.append(True, apart | (groups[1:] != groups[:-1])))
    sizes = np.diff(np.append(begins, len(table)))
    bout = np.repeat(np.arange(len(begins)), sizes)
    best = np.lexsort((-sorted_.scores, bout))[begins]
    scores = np.maximum.reduceat(sorted_.scores, begins)
    if score == "mean":
        scores = np.add.reduceat(sorted_.scores, begins) / sizes
    return replace(
        sorted_.at(best),
        starts=sorted_.starts[begins],
        ends=np.maximum.reduceat(sorted_.ends, begins),
        scores=scores,
    )


def _latest_end(ends: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the latest of the ends so far within each group; groups lie together; ``[N]``."""
    by_end = np.argsort(ends, kind="stable")
    ranks = np.empty(len(ends), dtype=np.int64)
    ranks[by_end] = np.arange(len(ends))
    number = np.cumsum(np.diff(groups, prepend=groups[:1]) != 0)
    latest = np.maximum.accumulate(number * len(ends) + ranks) - number * len(ends)
    return np.asarray(ends[by_end[latest]])


def within_duration(table: Table, lows: np.ndarray, highs: np.ndarray) -> np.ndarray:
    """Return which last at least ``lows`` and at most ``highs`` ``[C]`` seconds; bool ``[N]``."""
    lasting = table.ends - table.starts
    return np.asarray((lows[table.labels] <= lasting) & (lasting <= highs[table.labels]))


def far(table: Table, rule: OverlapRule | np.ndarray, *, centres: bool = False) -> np.ndarray:
    """Return which stay when, best first, each removes those that it excludes; bool ``[N]``.

    Args:
        table: the events.
        rule: of all events of a video, the overlap they may have; or of those of a class, the gap
            ``[C]`` in seconds that must be between them.
        centres: gaps are between centres.
    """
    kept = np.ones(len(table), dtype=bool)
    groups = table.videos
    if isinstance(rule, np.ndarray):
        groups = np.where(rule[table.labels] > 0, table.videos * len(rule) + table.labels, -1)
    for members in _grouped(groups):
        part = table.at(members)
        if isinstance(rule, OverlapRule):
            kept[members] = _greedy(part, partial(_overlapping, rule=rule), 0.0)
            continue
        gap = float(rule[part.labels[0]])
        if centres:
            middle = (part.starts + part.ends) / 2
            part = replace(part, starts=middle, ends=middle)
        kept[members] = _greedy(part, partial(_near, gap=gap), gap)
    return kept


def _grouped(groups: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the places of the members of each group; those of group -1 are in none."""
    order = np.argsort(groups, kind="stable")
    begins = np.flatnonzero(np.diff(groups[order], prepend=-1))
    for members in np.split(order, begins):
        if len(members) > 1 and groups[members[0]] >= 0:
            yield members


Excludes = Callable[[Table, int, slice], np.ndarray]


def _greedy(table: Table, excludes: Excludes, reach: float) -> np.ndarray:
    """Return what stays; bool ``[N]``. Of equal scores the first one wins.

    Args:
        table: of one group.
        excludes: which of a slice an event excludes.
        reach: how far beyond an event those lie that it may exclude.
    """
    by_start = np.argsort(table.starts, kind="stable")
    events = table.at(by_start)
    place = np.empty(len(table), dtype=np.int64)
    place[by_start] = np.arange(len(table))
    longest = (events.ends - events.starts).max()
    first = np.searchsorted(events.starts, events.starts - longest - reach, side="left")
    last = np.searchsorted(events.starts, events.ends + reach, side="right")
    kept = np.ones(len(table), dtype=bool)
    for i in place[np.argsort(-table.scores, kind="stable")]:
        if kept[i]:
            near = slice(first[i], last[i])
            kept[near] &= ~excludes(events, i, near)
            kept[i] = True
    return np.asarray(kept[place])


def _near(events: Table, i: int, near: slice, gap: float) -> np.ndarray:
    after = events.starts[near] - events.ends[i]
    before = events.starts[i] - events.ends[near]
    return np.asarray(np.maximum(after, before) < gap)


def _overlapping(events: Table, i: int, near: slice, rule: OverlapRule) -> np.ndarray:
    starts, ends = events.starts[near], events.ends[near]
    shared = np.minimum(ends, events.ends[i]) - np.maximum(starts, events.starts[i])
    shared = np.maximum(shared, 0.0)
    lasting, mine = ends - starts, events.ends[i] - events.starts[i]
    whole = np.minimum(lasting, mine) if rule.shorter else lasting + mine - shared
    same = events.labels[near] == events.labels[i]
    allowed = np.where(same, rule.within[events.labels[i]], rule.across)
    overlap = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return np.asarray(overlap > allowed)
