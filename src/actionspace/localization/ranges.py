"""Regression ranges of the pyramid's levels, computed from how long annotated events last.

What a level learns is told by the distance from a point to the farther end of its event. Near the
middle of the event, where points learn it, that is half of its length, and never more than all of
it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.localization.network.config import UNBOUNDED

if TYPE_CHECKING:
    from actionspace.events.table import Events

Method = Literal["percentile", "coverage"]
METHODS = ("percentile", "coverage")

FIRST = 4.0
"""End of the first range in rows, as in ActionFormer; each following one is twice as long."""
STRETCH = 1.1
"""Multiple of the longest duration at which ``percentile`` ends."""
TRAINING = {"train": ("train", "training")}
"""What files call the part that is trained on."""


def compute_adaptive_ranges(
    durations: Sequence[float] | np.ndarray | str | os.PathLike[str] | Events,
    num_levels: int = 6,
    *,
    method: Method = "percentile",
    overlap_ratio: float = 0.5,
    min_range: float = 0.0,
    coverage: float = 0.95,
    scale_factor: int = 2,
    fps: float = 30.0,
    feat_stride: float = 1.0,
    subset: str | None = "train",
) -> list[tuple[float, float]]:
    """Return, per level, the distances it is to learn, in rows of features; both ends included.

    ``percentile`` is the algorithm of the ActionFormer fork (1.5.0): bounds at equal shares of the
    durations, ranges that overlap by a share of their neighbours. It goes by whole durations, and
    ends a tenth beyond the longest. ``coverage`` goes by half durations: each range is
    ``scale_factor`` times as long as the one before it, the last one begins below half the duration
    of long events and has no end, so that no event is too long.

    Args:
        durations: of events, in rows of features; or annotations: events, a manifest, or a JSON
            file in ActivityNet's layout.
        num_levels: levels of the pyramid.
        method: see above.
        overlap_ratio: share of its neighbour's length that a range begins earlier and ends later
            (percentile).
        min_range: where the first range begins (percentile).
        coverage: share of the events, shortest first, that count; the others are taken to last as
            long (coverage).
        scale_factor: how much coarser a level is than the one below.
        fps, feat_stride: frames per second, and frames from row to row; with annotations.
        subset: the part of annotations that counts; ``train`` is ``training`` as well. None = all,
            also what a model is tested on, as the fork does. Annotations without parts count whole.

    Raises:
        UsageError: an unknown method; fewer than one level; a share out of bounds.
        DataError: the annotations have no such subset, or cannot be read; a duration is not above
            0.
    """
    if method not in METHODS:
        hint = did_you_mean(method, METHODS) or f" There is: {', '.join(METHODS)}."
        raise UsageError(f"'{method}' is no way to choose ranges.{hint}")
    if num_levels < 1 or not 0 < coverage <= 1 or overlap_ratio < 0 or scale_factor < 1:
        raise UsageError(
            f"num_levels={num_levels} and scale_factor={scale_factor} must be at least 1, "
            f"coverage={coverage} in (0, 1], overlap_ratio={overlap_ratio} not negative."
        )
    if isinstance(durations, (str, os.PathLike)) or hasattr(durations, "rows"):
        seconds = annotated_durations(durations, subset)
        rows = seconds * fps / feat_stride
    else:
        rows = np.asarray(durations, dtype=np.float64).ravel()
    if not (rows > 0).all():
        raise DataError(f"A duration is {rows[~(rows > 0)][0]:g}; durations are above 0.")
    if method == "coverage":
        return _doubling(rows, num_levels, coverage, scale_factor)
    if not len(rows):
        return _without_events(num_levels, scale_factor)
    return _percentile(rows, num_levels, overlap_ratio, min_range)


def _percentile(
    rows: np.ndarray, levels: int, overlap: float, least: float
) -> list[tuple[float, float]]:
    bounds = np.percentile(rows, np.linspace(0, 1, levels + 1) * 100)
    bounds[0] = max(least, 0)
    bounds[-1] = max(bounds[-1], rows.max() * STRETCH)
    margins = np.diff(bounds) * overlap
    lows = bounds[:-1].copy()
    lows[1:] = np.maximum(0, lows[1:] - margins[:-1])
    highs = bounds[1:].copy()
    highs[:-1] += margins[1:]
    return [(int(low), int(np.ceil(high))) for low, high in zip(lows, highs, strict=True)]


def _without_events(levels: int, scale: int) -> list[tuple[float, float]]:
    """Return the fork's ranges where nothing is known."""
    ends = [scale**i for i in range(levels)]
    return list(zip([0, *ends], [*ends[:-1], 2 * ends[-1]], strict=False))


def _doubling(
    rows: np.ndarray, levels: int, coverage: float, scale: int
) -> list[tuple[float, float]]:
    reach = float(np.quantile(rows, coverage)) / 2 if len(rows) else 0.0
    first = max(FIRST, reach / scale ** (levels - 1))
    bounds = [0.0, *(first * scale**i for i in range(levels - 1)), UNBOUNDED]
    if bounds[-2] >= UNBOUNDED:
        raise DataError(
            f"{100 * coverage:g} % of the events last up to {2 * reach:.0f} rows, too many for "
            f"{levels} levels: take features further apart, or more levels."
        )
    return [(bounds[i], bounds[i + 1]) for i in range(levels)]


def annotated_durations(source: Any, subset: str | None = "train") -> np.ndarray:
    """Return the durations in seconds, above 0, of annotated events; float64 ``[N]``.

    Args:
        source: events, a manifest, or a JSON file in ActivityNet's layout.
        subset: see :func:`compute_adaptive_ranges`.

    Raises:
        DataError: it cannot be read, or has no such subset.
    """
    if isinstance(source, (str, os.PathLike)):
        if Path(source).suffix == ".json":
            return _of_json(Path(source), subset)
        from actionspace.events.io import read

        source = read(Path(source))
    videos = source.videos
    part = _wanted(dict(zip(videos["video"], videos["split"], strict=True)), subset, "the events")
    rows = source.rows[(source.rows["status"] == "event") & source.rows["video"].isin(part)]
    lasting = (rows["end"] - rows["start"]).to_numpy(np.float64)
    return np.asarray(lasting[lasting > 0])


def _of_json(path: Path, subset: str | None) -> np.ndarray:
    from actionspace.paths import read_json

    try:
        content = read_json(path)
    except FileNotFoundError as e:
        raise DataError(f"{path} does not exist.") from e
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise DataError(f"{path} is not in ActivityNet's layout: it has no 'database' of videos.")
    videos = content["database"]
    part = _wanted({name: v.get("subset") for name, v in videos.items()}, subset, str(path))
    segments = [a.get("segment", ()) for name in part for a in videos[name].get("annotations", ())]
    lasting = np.array([float(s[1]) - float(s[0]) for s in segments if len(s) == 2], np.float64)
    return np.asarray(lasting[lasting > 0])


def _wanted(parts: dict[str, Any], subset: str | None, where: str) -> list[str]:
    """Return the videos of a subset."""
    have = {str(part).lower(): str(part) for part in parts.values() if part is not None}
    if subset is None or not have:
        return list(parts)
    names = TRAINING.get(subset.lower(), (subset.lower(),))
    if not set(names) & set(have):
        hint = did_you_mean(subset, have.values()) or f" There is: {', '.join(have.values())}."
        raise DataError(
            f"No video of {where} is of the subset '{subset}'.{hint} Name the part that is trained "
            f"on, as subset='validation' for THUMOS14."
        )
    return [video for video, part in parts.items() if str(part).lower() in names]
