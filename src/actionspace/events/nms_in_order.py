"""Distance-IoU suppression in the order of the candidates' own scores.

Soft-NMS picks the best of those that are left, again and again. The DIoU suppression that was
published with the fork of ActionFormer (its version 1.5.0) does not: each candidate has its turn in
the order of the scores it came with, even where it was lowered meanwhile, and lowers all behind it
by ``exp(-max(DIoU, 0)^2 / sigma)``, unless its score is ``min_score`` or less by then. Which turn
comes when is known beforehand, so several turns are taken at once: within a block one after the
other, and then all of the block on everything behind it.

Takes NumPy arrays or PyTorch tensors on any device and gives back the same kind.
"""

from __future__ import annotations

import sys
from typing import Any

from actionspace.events.nms import (
    EPSILON,
    Array,
    Groups,
    Picks,
    column_of_sigma,
    descending,
    least_kept,
    library,
    lower_by_distance,
    positions,
)

_TURNS = 8, 32  # in the first block, and in the largest
_CELLS = 1_000_000  # pairs that are looked at together


def diou_in_order(
    groups: Groups,
    *,
    sigma: float | Array = 0.5,
    min_score: float = 0.001,
    most: int | None = None,
) -> Picks:
    """Lower scores by the distance-IoU with every candidate before, and keep what stays high.

    Args:
        groups: the segments.
        sigma: of the Gaussian, one for all or one per group, float32 ``[G]``.
        min_score: what a kept score exceeds.
        most: picks per group, the first in the order; None = all. With ``groups.video``, a group
            also stops once its video has that many picks better than all it has left.

    Returns:
        Picks in the order of the scores they came with, so that lowered scores do rise along a row.

    Raises:
        UsageError: a sigma that is not positive.
    """
    xp = library(groups.scores)
    width = column_of_sigma(groups, sigma)
    n = groups.scores.shape[1]
    score = groups.scores + 0
    score[positions(groups.sizes, n) >= groups.sizes[:, None]] = -1
    order = descending(score)
    row = positions(order, len(order))[:, None]
    score, spans = score[row, order], groups.spans[row, order]
    limit = sys.maxsize if most is None else most
    going, first = positions(groups.sizes, len(groups.sizes)), 0
    largest = max(1, min(_TURNS[1], _CELLS // max(1, score.shape[0] * n)))
    turns, kept = min(_TURNS[0], largest), xp.zeros_like(groups.sizes)
    while first < n and len(going):
        last = min(first + turns, n)
        left = score[going, first:]
        _take_turns(xp, left, spans[going, first:], width[going], last - first, min_score)
        score[going, first:] = left
        high = score[:, :last] > min_score
        high &= xp.cumsum(high, 1) <= limit
        kept = high.sum(1)
        if last == n:
            break
        best = xp.amax(score[going, last:], 1)
        on = (best > min_score) & (kept[going] < limit)
        if groups.video is not None and most and bool(high.any()):
            on &= best >= least_kept(groups.video, score[:, :last], high, most)[going]
        score[going[~on], last:] = -1
        going, first, turns = going[on], last, min(2 * turns, largest)
    front = descending((score > min_score) * 1)
    return Picks(order[row, front], score[row, front], xp.clip(kept, None, limit))


def _take_turns(
    xp: Any, score: Array, spans: Array, sigma: Array, turns: int, min_score: float
) -> None:
    """Let the first ``turns`` candidates lower all behind them; ``score`` ``[G, m]`` is changed."""
    mine, behind = spans[:, :turns], spans[:, turns:]
    among = xp.exp(-_exponents(xp, mine, mine, sigma))
    for i in range(min(turns, score.shape[1])):
        alive = score[:, i : i + 1] > min_score
        weights = among[:, i, i + 1 :]
        score[:, i + 1 : turns] *= xp.where(alive, weights, xp.ones_like(weights))
    if not behind.shape[1]:
        return
    exponents = _exponents(xp, mine, behind, sigma)
    exponents *= (score[:, :turns] > min_score)[:, :, None]
    score[:, turns:] *= xp.exp(-exponents.sum(1))


def _exponents(xp: Any, turn: Array, other: Array, sigma: Array) -> Array:
    """Return ``DIoU^2 / sigma`` ``[G, turns, m]`` of segments ``[G, turns, 2]``, ``[G, m, 2]``."""
    pick = turn[:, :, None, 0], turn[:, :, None, 1]
    start, end = other[:, None, :, 0], other[:, None, :, 1]
    diou = xp.minimum(end, pick[1]) - xp.maximum(start, pick[0])
    diou = xp.clip(diou, 0, None)
    union = (end - start + EPSILON) + (pick[1] - pick[0] + EPSILON)
    union -= diou
    diou /= union
    lower_by_distance(xp, diou, (start, end), pick)
    diou *= diou
    diou /= sigma[:, :, None]
    return diou
