"""Uncertain boundaries in pictures: bars within each other, so that edges look blurred."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

STEPS = 4
#: Of one bar; all of them over each other cover 94 %.
OPACITY = 0.5

Edges = tuple[float, float, float, float]
"""``start_low, start_high, end_low, end_high``: start and end lie between them with 80 %, in s."""


def edges_of(row: Mapping[Any, Any]) -> Edges | None:
    """Return the edges of an event by the columns' names, None where nobody knows them."""
    names = ("start_low", "start_high", "end_low", "end_high")
    start_low, start_high, end_low, end_high = (float(row.get(name, math.nan)) for name in names)
    edges = (start_low, start_high, end_low, end_high)
    return None if any(map(math.isnan, edges)) else edges


def bars(edges: Edges) -> list[tuple[float, float]]:
    """Return begin and end of each bar, the widest first, in seconds.

    The more of an event's edges overlap, the fewer bars are left: it is pale as a whole.
    """
    start_low, start_high, end_low, end_high = edges
    shares = [(k + 0.5) / STEPS for k in range(STEPS)]
    found = [
        (start_low + t * (start_high - start_low), end_high - t * (end_high - end_low))
        for t in shares
    ]
    return [(begin, end) for begin, end in found if begin < end]
