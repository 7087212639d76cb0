"""Frame-wise labels and events are the same thing written twice: exact both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from actionspace.errors import DataError


def to_frames(rows: pd.DataFrame, times: np.ndarray, background: str = "background") -> np.ndarray:
    """Return the label of each frame (object array of str) from the events of one video.

    Args:
        rows: events with ``start``, ``end`` (seconds; both NaN = the whole video) and ``label``.
        times: ``[N, 2]`` float64 seconds, frame ``i`` covers ``[times[i, 0], times[i, 1])``;
            variable frame rate is fine, starts increase.
        background: the label of frames in no event.

    A frame belongs to the event that holds its middle, so cuts inside a frame go to the nearer
    side; of several events the one that starts last wins (then the later row). Point events cover
    no frame.
    """
    times = _checked(times)
    out = np.full(len(times), background, dtype=object)
    middle = (times[:, 0] + times[:, 1]) / 2
    start = rows["start"].fillna(-np.inf).to_numpy(dtype=np.float64)
    end = rows["end"].fillna(np.inf).to_numpy(dtype=np.float64)
    labels = rows["label"].to_numpy(dtype=object)
    first = np.searchsorted(middle, start, side="left")
    last = np.searchsorted(middle, end, side="left")
    for i in np.argsort(start, kind="stable"):
        if labels[i] is not None:
            out[first[i] : last[i]] = labels[i]
    return out


def from_frames(
    labels: np.ndarray | list[str],
    times: np.ndarray,
    video: str,
    background: str | None = None,
) -> pd.DataFrame:
    """Return one event per run of equal labels: ``video``, ``start``, ``end`` (s), ``label``.

    Runs of ``background`` (if given) make no event. Runs end where the next frame starts, so that
    neighbouring events touch, and the last one ends with its frame.

    Raises:
        DataError: labels and times differ in length, or the starts do not increase.
    """
    times = _checked(times)
    names = np.asarray(labels, dtype=object)
    if len(names) != len(times):
        raise DataError(f"{video}: {len(names)} frame labels for {len(times)} frames.")
    cuts = np.flatnonzero(names[1:] != names[:-1]) + 1
    firsts = np.concatenate([[0], cuts]).astype(np.int64) if len(names) else cuts
    lasts = np.concatenate([cuts, [len(names)]]).astype(np.int64) if len(names) else cuts
    ends = np.append(times[1:, 0], times[-1:, 1])
    rows: list[dict[str, Any]] = [
        {"video": video, "start": times[a, 0], "end": ends[b - 1], "label": names[a]}
        for a, b in zip(firsts, lasts, strict=True)
        if background is None or names[a] != background
    ]
    return pd.DataFrame(rows, columns=["video", "start", "end", "label"])


def _checked(times: np.ndarray) -> np.ndarray:
    times = np.asarray(times, dtype=np.float64).reshape(-1, 2)
    if np.any(np.diff(times[:, 0]) <= 0) or np.any(times[:, 1] < times[:, 0]):
        raise DataError("Frame times must increase; got two frames that start together.")
    return times
