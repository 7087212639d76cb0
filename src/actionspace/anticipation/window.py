"""Which rows of a video may be looked at, and which of them are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Seconds by which a row may seem to end too late because times are rounded.
EDGE = 1e-6


@dataclass(frozen=True)
class Slots:
    """Rows that are looked at, oldest first.

    Attributes:
        rows: numbers of rows, int64 ``[T]``; 0 where there is none.
        known: which there are, bool ``[T]``.
        at: seconds at which each slot lies, float64 ``[T]``; the last is the window's end.
        padded: the window begins before the video's first row.
    """

    rows: np.ndarray
    known: np.ndarray
    at: np.ndarray
    padded: bool


def slot_count(seconds: float, step: float) -> int:
    """Return how many rows a window holds."""
    return max(1, round(seconds / step))


def spacing(ends: np.ndarray) -> float:
    """Return the usual seconds between the ends of two rows; 0 of a single one."""
    return float(np.median(np.diff(ends))) if len(ends) > 1 else 0.0


def observed(
    times: np.ndarray, until: float, seconds: float, step: float, apart: float | None = None
) -> Slots:
    """Return what is looked at of rows whose clips have ended by ``until``.

    Slots lie ``step`` seconds apart, counted back from ``until``. Each holds the newest row that
    has ended by then, unless that one is older than a step (or than rows lie apart): before the
    video begins, and in gaps, there is none.

    Args:
        times: seconds that each row covers, ``[N, 2]``, ends in rising order.
        until: seconds at which the window ends.
        seconds: its length.
        step: seconds between slots.
        apart: seconds between rows; None = as :func:`spacing` has it.
    """
    ends = times[:, 1]
    apart = spacing(ends) if apart is None else apart
    count = slot_count(seconds, step)
    at = until - step * np.arange(count - 1, -1, -1.0)
    rows = np.searchsorted(ends, at + EDGE, side="right") - 1
    known = rows >= 0
    rows = np.maximum(rows, 0)
    if len(ends):
        known &= ends[rows] > at - max(step, apart) - EDGE
    first = float(ends[0]) if len(ends) else np.inf
    return Slots(np.where(known, rows, 0), known, at, bool(at[0] + EDGE < first))
