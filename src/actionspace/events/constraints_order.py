"""Sequences of classes that may follow one another: the best one, by dynamic programming.

A sequence is worth the sum of the scores of its events. The best sequence that ends with an event
is the event after the best one of a class that it may follow, so that one best sequence per class
is all that must be remembered: N log N + N C steps for N events of C classes.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from actionspace.events.constraints_rules import Table


@dataclass(frozen=True)
class Successions:
    """Which classes follow which.

    Attributes:
        follows: bool ``[C, C]``, whether the second may come next after the first.
        first: bool ``[C]``, whether a sequence may begin with it.
        overlap: whether an event may begin before the one before it has ended.
    """

    follows: np.ndarray
    first: np.ndarray
    overlap: bool


def best_sequence(table: Table, rule: Successions) -> np.ndarray:
    """Return which events make the best sequence of each video; bool ``[N]``.

    Events come in the order of their starts, of equal starts the one that ends first, of equal
    times the class of the lower number. Scores are at least 0.
    """
    kept = np.zeros(len(table), dtype=bool)
    order = np.lexsort((table.labels, table.ends, table.starts, table.videos))
    begins = np.flatnonzero(np.diff(table.videos[order], prepend=-1))
    for members in np.split(order, begins[1:]):
        if len(members):
            kept[members[_chain(table.at(members), rule)]] = True
    return kept


def _chain(events: Table, rule: Successions) -> list[int]:
    """Return the best sequence among the events of a video, which are sorted."""
    classes = len(rule.first)
    best = np.full(classes, -np.inf)  # of sequences that end with a class
    who = np.full(classes, -1)  # their last event
    allowed = np.where(rule.follows.T, 0.0, -np.inf)  # [class, class before it]
    before = np.full(len(events), -1)
    totals = np.full(len(events), -np.inf)
    running: list[tuple[float, int]] = []  # ends of events that may not be followed yet
    labels, starts, scores = events.labels.tolist(), events.starts.tolist(), events.scores.tolist()
    ends = starts if rule.overlap else events.ends.tolist()
    for i, (label, start) in enumerate(zip(labels, starts, strict=True)):
        while running and running[0][0] <= start:
            j = heapq.heappop(running)[1]
            if totals[j] > best[labels[j]]:
                best[labels[j]], who[labels[j]] = totals[j], j
        reached = best + allowed[label]
        last = int(reached.argmax())
        total = reached[last]
        if rule.first[label] and total < 0.0:
            total, last = 0.0, -1
        if total >= 0.0:
            totals[i], before[i] = total + scores[i], who[last] if last >= 0 else -1
            heapq.heappush(running, (ends[i], i))
    chain, i = [], int(totals.argmax()) if np.isfinite(totals).any() else -1
    while i >= 0:
        chain.append(i)
        i = int(before[i])
    return chain
