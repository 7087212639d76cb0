"""The labels of past events as numbers: what a network is told of what has happened so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from actionspace.anticipation.timeline import UNKNOWN, Timeline

TIMES = 3
"""What is told of the time of each past event, see :class:`Past`."""


@dataclass(frozen=True)
class Past:
    """The last ``H`` events that had begun by a moment, oldest first.

    Attributes:
        labels: int64 ``[H, K]``; -1 = none of the classes, or no event.
        times: float32 ``[H, 3]``: log(1 + seconds since it began), log(1 + seconds it has lasted),
            and 1 if it is over.
        known: whether there is an event, bool ``[H]``.
    """

    labels: np.ndarray
    times: np.ndarray
    known: np.ndarray


def past(timeline: Timeline, until: float, count: int) -> Past:
    """Return the events that have begun by ``until``; the end of one that goes on is not told."""
    width = timeline.labels.shape[1]
    labels = np.full((count, width), UNKNOWN, np.int64)
    times = np.zeros((count, TIMES), np.float32)
    known = np.zeros(count, bool)
    stop = timeline.begun(until)
    first = max(0, stop - count)
    if stop > first:
        own = slice(count - (stop - first), count)
        starts, ends = timeline.starts[first:stop], timeline.ends[first:stop]
        over = ends <= until
        labels[own] = timeline.labels[first:stop]
        times[own, 0] = np.log1p(until - starts)
        times[own, 1] = np.log1p(np.where(over, ends, until) - starts)
        times[own, 2] = over
        known[own] = True
    return Past(labels, times, known)
