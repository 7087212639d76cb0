"""Suppression of moments: of those of a class that are nearer than a radius, the best stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def strongest(
    times: NDArray[np.floating],
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    radius: float,
) -> NDArray[np.int64]:
    """Return which moments stay, best first: none has a better one that stays within ``radius``.

    Args:
        times: ``[N]``.
        scores: ``[N]``; of equal ones the earlier in the table counts as better.
        labels: ``[N]``, class numbers; moments of different classes leave each other alone.
        radius: in the unit of the times, at least 0; one exactly that far away is suppressed.
    """
    order = np.lexsort((times, labels))
    alive = np.ones(len(order), bool)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    first, last = _reach(times[order], labels[order], radius)
    kept = []
    for i in np.argsort(-scores, kind="stable").tolist():
        place = rank[i]
        if alive[place]:
            alive[first[place] : last[place]] = False
            kept.append(i)
    return np.array(kept, dtype=np.int64)


def _reach(
    times: NDArray[np.floating], labels: NDArray[np.integer], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first place within reach of each, and the one after the last; sorted input."""
    first, last = (np.zeros(len(times), np.int64) for _ in range(2))
    edges = np.flatnonzero(np.diff(labels)) + 1
    for a, b in zip([0, *edges], [*edges, len(times)], strict=True):
        mine = times[a:b].astype(np.float64)
        first[a:b] = a + np.searchsorted(mine, mine - radius, side="left")
        last[a:b] = a + np.searchsorted(mine, mine + radius, side="right")
    return first, last
