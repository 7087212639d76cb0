"""How far along a video is: by an aligned reference, or by its phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from actionspace.alignment.timemap import TimeMap
from actionspace.errors import DataError, did_you_mean
from actionspace.report.time_curves_svg import Curve

if TYPE_CHECKING:
    import pandas as pd


def progress_by_reference(found: TimeMap) -> Curve:
    """Return the share of the reference's time that is over at each row of a video, 0 .. 1.

    Args:
        found: from the video to the reference.
    """
    share = np.clip(found.times / found.target.duration, 0.0, 1.0)
    return Curve(found.source.name, found.source.times, share)


def progress_by_phases(
    video: str,
    rows: pd.DataFrame,
    times: ArrayLike,
    order: Sequence[str],
    *,
    head: str = "phase",
) -> Curve:
    """Return how far a video is through its phases, 0 .. 1; each phase counts alike.

    Within the k-th of P phases it rises evenly from k / P to (k + 1) / P; where no phase is, it is
    NaN.

    Args:
        video: its name.
        rows: its events, with ``start``, ``end`` (seconds) and ``head``; perhaps none.
        times: moments to tell it for, seconds ``[N]``.
        order: names of all phases, in order.
        head: column of the phases.

    Raises:
        DataError: a phase that the order does not name.
    """
    at = np.asarray(times, np.float64)
    share = np.full(len(at), np.nan)
    place = {name: k for k, name in enumerate(order)}
    for start, end, name in rows[["start", "end", head]].itertuples(index=False):
        if name not in place:
            raise DataError(f"The order of phases lacks '{name}'.{did_you_mean(name, order)}")
        inside = (at >= start) & (at < end)
        share[inside] = (place[name] + (at[inside] - start) / (end - start)) / len(order)
    return Curve(video, at, share)
