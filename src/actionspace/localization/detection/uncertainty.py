"""How uncertain the boundaries of detections are, in seconds."""

from __future__ import annotations

import numpy as np


def in_seconds(
    segments: np.ndarray, spread: np.ndarray, step: float, duration: float
) -> np.ndarray:
    """Return ``[N, 6]``, in the order of :data:`actionspace.events.columns.UNCERTAINTY`.

    Args:
        segments: float64 ``[N, 2]``, start and end in seconds.
        spread: ``[N, 2, 3]`` in rows of features, see :class:`actionspace.events.nms_videos
            .Detections`.
        step: seconds between two rows.
        duration: of the video in seconds, where intervals end; NaN where nobody knows.
    """
    found = spread.astype(np.float64) * step
    last = np.inf if np.isnan(duration) else duration
    found[..., 1:] = np.clip(segments[..., None] + found[..., 1:], 0, last)
    return found.reshape(len(segments), 6)
