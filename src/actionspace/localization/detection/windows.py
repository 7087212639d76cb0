"""Videos longer than the network takes: overlapping windows, and their candidates put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from actionspace.events.nms_videos import Detections, join

Rows = tuple[int, int]
"""First row of a window, and the one after its last."""


def plan(length: int, window: int, overlap: int, multiple: int = 1) -> list[Rows]:
    """Return windows that together cover a video.

    Each begins at a multiple of ``multiple`` (the stride of the pyramid's top level), so that cells
    lie where they would in the whole video; each overlaps the next by at least ``overlap`` rows.
    A video that fits is one window.

    Args:
        length: rows of the video.
        window: rows of a window at most.
        overlap: rows that two neighbours share at least.
        multiple: what starts are multiples of.

    Raises:
        ValueError: windows would not get on.
    """
    if length <= window:
        return [(0, length)]
    step = (window - overlap) // multiple * multiple
    if step < 1 or overlap < 0:
        raise ValueError(
            f"Windows of {window} rows cannot overlap by {overlap} in steps of {multiple}."
        )
    count = 1 + -(-(length - window) // step)
    return [(k * step, min(k * step + window, length)) for k in range(count)]


def merge(windows: Sequence[Rows], found: Sequence[Detections]) -> Detections:
    """Put the candidates of windows together; suppression follows.

    Near the edge of a window the network sees half of what there is. So a candidate whose centre
    lies in the outer quarter of an overlap is left to the neighbour. In the middle half both
    count: neighbours place a centre differently, and suppression takes the worse of two.

    Args:
        windows: of :func:`plan`.
        found: in each window, in rows from its start.

    Returns:
        candidates in rows of the video, window by window.
    """
    kept = []
    for k, (start, _) in enumerate(windows):
        low = _edge(windows, k - 1, 0.25) if k else float("-inf")
        high = _edge(windows, k, 0.75) if k + 1 < len(windows) else float("inf")
        segments = found[k].segments + start
        centre = segments.mean(dim=1)
        kept.append(replace(found[k], segments=segments).at((centre >= low) & (centre < high)))
    return join(kept)


def _edge(windows: Sequence[Rows], k: int, share: float) -> float:
    """Return the row at a share of the overlap between window ``k`` and the next."""
    start, end = windows[k + 1][0], windows[k][1]
    return start + share * (end - start)
