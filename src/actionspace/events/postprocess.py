"""From scores over time to events: smooth, decide, close gaps, drop what is too short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from actionspace.errors import UsageError, did_you_mean

PerClass = float | Mapping[str, float]


class _Run(NamedTuple):
    """A stretch of cells ``[first, last)`` with one class."""

    first: int
    last: int
    label: int


def scores_to_events(
    times: np.ndarray,
    scores: np.ndarray,
    classes: Sequence[str],
    *,
    smooth: float = 0.0,
    threshold: PerClass | None = None,
    hysteresis: float = 0.0,
    background: str | None = None,
    min_duration: PerClass = 0.0,
    merge_gap: PerClass = 0.0,
    multi_label: bool = False,
    video: str = "",
) -> pd.DataFrame:
    """Return events of one video: ``video``, ``start``, ``end`` (s), ``label``, ``score``.

    Args:
        times: ``[N, 2]`` seconds covered by each row of scores; windows may overlap.
        scores: ``[N, C]``, higher is more (probabilities, say); rows of NaN are "not known".
        classes: the ``C`` names.
        smooth: standard deviation in seconds of a Gaussian over time; 0 = none.
        threshold: least score of an event (one for all, or per class: a class left out makes no
            event); None = the best class always wins, and "nothing happening" needs a
            ``background`` class.
        hysteresis: an event that has reached its threshold lasts while the score is at least
            ``threshold - hysteresis``.
        background: the class that means "nothing happening" and makes no event.
        min_duration: seconds below which an event is dropped.
        merge_gap: two events of a class this near (seconds), with nothing between, become one.
        multi_label: classes are decided one by one and may overlap (needs ``threshold``).
        video: fills the column ``video``.

    The score of an event is the time-weighted mean of its class's smoothed scores. Overlapping
    windows are cut half-way between their centres, so that every moment has one row.

    Raises:
        UsageError: shapes do not fit, an unknown class, or ``multi_label`` without a threshold.
    """
    times = np.asarray(times, dtype=np.float64).reshape(-1, 2)
    scores = np.asarray(scores, dtype=np.float64)
    names = list(classes)
    if scores.shape != (len(times), len(names)):
        raise UsageError(
            f"scores {scores.shape} do not fit {len(times)} rows x {len(names)} classes."
        )
    if multi_label and threshold is None:
        raise UsageError("multi_label needs a threshold: each class is decided by itself.")
    order = np.argsort(times.sum(axis=1), kind="stable")
    cells = time_cells(times[order])
    values = smooth_scores(cells.mean(axis=1), scores[order], smooth)
    none = _index(background, names)
    high = None if threshold is None else _per_class(threshold, names, np.inf)
    least = _per_class(min_duration, names, 0.0)
    gap = _per_class(merge_gap, names, 0.0)
    lanes = [[c] for c in range(len(names)) if c != none] if multi_label else [range(len(names))]
    found: list[_Run] = []
    for lane in lanes:
        runs = _decide(values, lane, high, hysteresis, none)
        runs = _merge(_split_at_holes(runs, cells), cells, gap)
        runs = [r for r in runs if cells[r.last - 1, 1] - cells[r.first, 0] >= least[r.label]]
        found += _merge(runs, cells, gap)
    found.sort(key=lambda r: (r.first, r.label))
    return pd.DataFrame(
        [
            {
                "video": video,
                "start": cells[r.first, 0],
                "end": cells[r.last - 1, 1],
                "label": names[r.label],
                "score": _mean(values[r.first : r.last, r.label], cells[r.first : r.last]),
            }
            for r in found
        ],
        columns=["video", "start", "end", "label", "score"],
    )


def time_cells(times: np.ndarray) -> np.ndarray:
    """Return ``[N, 2]`` stretches that do not overlap, one per window, windows sorted by centre.

    Neighbours that overlap meet half-way between their centres; windows apart stay apart.
    """
    cells = times.copy()
    if len(times) > 1:
        overlap = times[1:, 0] < times[:-1, 1]
        centre = times.mean(axis=1)
        between = (centre[1:] + centre[:-1]) / 2
        cells[:-1, 1] = np.where(overlap, between, times[:-1, 1])
        cells[1:, 0] = np.where(overlap, between, times[1:, 0])
    return cells


def smooth_scores(centres: np.ndarray, scores: np.ndarray, sigma: float) -> np.ndarray:
    """Return scores averaged over time by a Gaussian of ``sigma`` seconds cut at 3 sigma.

    ``centres`` ``[N]`` increase and may be irregular; NaN rows neither give nor take.
    """
    if sigma <= 0 or len(scores) < 2:
        return scores
    known = ~np.isnan(scores).any(axis=1)
    clean = np.where(known[:, None], scores, 0.0)
    total, weight = clean.copy(), known.astype(np.float64)
    for offset in range(1, len(centres)):
        distance = centres[offset:] - centres[:-offset]
        if distance.min() > 3 * sigma:
            break
        w = np.exp(-0.5 * (distance / sigma) ** 2) * (distance <= 3 * sigma)
        total[offset:] += (w * known[:-offset])[:, None] * clean[:-offset]
        weight[offset:] += w * known[:-offset]
        total[:-offset] += (w * known[offset:])[:, None] * clean[offset:]
        weight[:-offset] += w * known[offset:]
    out = total / np.where(weight > 0, weight, 1)[:, None]
    out[~known] = np.nan
    return out


def _decide(
    values: np.ndarray,
    lane: Sequence[int],
    high: np.ndarray | None,
    hysteresis: float,
    none: int | None,
) -> list[_Run]:
    """Return runs of the winner among ``lane``; thresholds open them, hysteresis holds them."""
    lane = list(lane)
    winner = np.full(len(values), -1)
    known = ~np.isnan(values).any(axis=1)
    if lane and known.any():
        winner[known] = np.asarray(lane)[np.argmax(values[known][:, lane], axis=1)]
    if none is not None:
        winner[winner == none] = -1
    score = values[np.arange(len(values)), np.maximum(winner, 0)]
    if high is not None:
        low = high - hysteresis
        winner = np.where(score >= low[np.maximum(winner, 0)], winner, -1)
    cuts = [0, *(np.flatnonzero(winner[1:] != winner[:-1]) + 1), len(winner)]
    runs = [
        _Run(int(a), int(b), int(winner[a])) for a, b in pairwise(cuts) if b > a and winner[a] >= 0
    ]
    if high is None:
        return runs
    return [r for r in runs if score[r.first : r.last].max() >= high[r.label]]


def _split_at_holes(runs: list[_Run], cells: np.ndarray) -> list[_Run]:
    """Cut runs where time is missing between two cells (a part of the video was not scored)."""
    holes = [int(i) + 1 for i in np.flatnonzero(cells[1:, 0] > cells[:-1, 1] + 1e-9)]
    out = []
    for run in runs:
        cuts = [run.first, *(h for h in holes if run.first < h < run.last), run.last]
        out += [_Run(a, b, run.label) for a, b in pairwise(cuts)]
    return out


def _merge(runs: list[_Run], cells: np.ndarray, gap: np.ndarray) -> list[_Run]:
    """Join neighbouring runs of one class that lie at most ``gap`` seconds apart."""
    out: list[_Run] = []
    for run in runs:
        before = out[-1] if out else None
        if (
            before is not None
            and before.label == run.label
            and gap[run.label] > 0
            and cells[run.first, 0] - cells[before.last - 1, 1] <= gap[run.label]
        ):
            out[-1] = _Run(before.first, run.last, run.label)
        else:
            out.append(run)
    return out


def _mean(values: np.ndarray, cells: np.ndarray) -> float:
    weights = np.where(np.isnan(values), 0.0, cells[:, 1] - cells[:, 0])
    if weights.sum() <= 0:
        return float(np.nanmean(values))
    return float(np.nansum(values * weights) / weights.sum())


def _per_class(value: PerClass, names: Sequence[str], default: float) -> np.ndarray:
    if isinstance(value, Mapping):
        for name in value:
            _index(name, names)
        return np.array([value.get(n, default) for n in names], dtype=np.float64)
    return np.full(len(names), float(value))


def _index(name: str | None, names: Sequence[str]) -> int | None:
    if name is None:
        return None
    if name not in names:
        raise UsageError(f"'{name}' is not one of the classes.{did_you_mean(name, names)}")
    return list(names).index(name)
