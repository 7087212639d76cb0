"""Fewer rows of a video, or a fixed number of them."""

from __future__ import annotations

import numpy as np

from actionspace.features.store import VideoFeatures


def every(found: VideoFeatures, rate: int) -> VideoFeatures:
    """Return every ``rate``-th row; each covers the seconds it covered before."""
    if rate == 1:
        return found
    return VideoFeatures(found.features[::rate], found.times[::rate], found.meta)


def fixed_length(found: VideoFeatures, rows: int) -> VideoFeatures:
    """Return a fixed number of rows that share what the features cover evenly.

    Values are interpolated linearly between the centres of rows, and are those of the first or
    last row beyond them (torch's ``interpolate`` with ``align_corners=False``).

    Args:
        found: features ``[N, D]``.
        rows: how many are wanted.
    """
    start, end = float(found.times[0, 0]), float(found.times[-1, 1])
    edges = start + (end - start) * np.arange(rows + 1) / rows
    times = np.stack([edges[:-1], edges[1:]], axis=1)
    total = len(found)
    if total == rows:
        return VideoFeatures(found.features, times, found.meta)
    at = np.clip((np.arange(rows) + 0.5) * (total / rows) - 0.5, 0, total - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, total - 1)
    share = (at - low).astype(np.float32)[:, None]
    values = found.features.astype(np.float32)
    return VideoFeatures(values[low] * (1 - share) + values[high] * share, times, found.meta)
