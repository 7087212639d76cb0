"""Confidence intervals of detection figures, by resampling videos or groups of videos.

A video drawn twice counts twice, with its predictions and its annotations. Predictions find
annotations of their own video only, so what was found stays found: a replicate is a weighting of
what :class:`DetectionResult` holds. Classes that a draw misses are left out of its class means.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import DataError
from actionspace.metrics.detection import DetectionResult
from actionspace.metrics.inputs import Floats, Ints, divide, or_nan
from actionspace.metrics.intervals import Interval, draws, percentile

_CELLS = 4_000_000  # replicates times predictions at a time


def detection_intervals(
    result: DetectionResult,
    groups: ArrayLike | None = None,
    *,
    n: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the intervals of :meth:`DetectionResult.metrics`, by name; NaN with one group.

    Args:
        result: what was measured.
        groups: what each video belongs to, by video number; None = every video that has
            annotations or predictions by itself.
        n: replicates.
        level: coverage in (0, 1).
        seed: of the draws.

    Raises:
        DataError: fewer groups than videos.
    """
    ap, recall = resampled(result, groups, n, seed)
    metrics = result.metrics()
    if not len(ap):
        return dict.fromkeys(metrics, (float("nan"), float("nan")))
    values = {"map": ap.mean(axis=1)}
    names = [f"{t:.2f}" for t in result.thresholds]
    values |= {f"map@{name}": ap[:, t] for t, name in enumerate(names)}
    for i, k in enumerate(result.recalls):
        values |= {f"recall{k}x@{name}": recall[:, t, i] for t, name in enumerate(names)}
    return {name: percentile(values[name], level) for name in metrics}


def resampled(
    result: DetectionResult, groups: ArrayLike | None, n: int, seed: int
) -> tuple[Floats, Floats]:
    """Return each replicate's mAP ``[n, T]`` and Recall@kx ``[n, T, K]``; none with one group.

    Arguments and errors are those of :func:`detection_intervals`.
    """
    member, counts = _draws(result, groups, n, seed)
    if counts.shape[1] < 2:
        none = np.zeros((0, len(result.thresholds), len(result.recalls)))
        return none.sum(axis=2), none
    of_truth, of_guess = member[result.truth.video], member[result.guess.video]
    step = max(1, _CELLS // max(len(result.guess), len(result.truth)))
    weights = counts.astype(np.float64)
    parts = [
        _replicates(result, of_truth, of_guess, w) for w in np.split(weights, range(step, n, step))
    ]
    ap, recall = (np.concatenate(both) for both in zip(*parts, strict=True))
    return ap, recall


def _draws(
    result: DetectionResult, groups: ArrayLike | None, n: int, seed: int
) -> tuple[Ints, Ints]:
    """Return the group of each video number, and how often replicates draw each ``[n, G]``."""
    videos = np.unique(np.concatenate([result.truth.video, result.guess.video]))
    member = np.zeros(int(videos.max()) + 1, np.int64)
    chosen = None
    if groups is not None:
        names = np.asarray(groups)
        if len(names) < len(member):
            raise DataError(f"There are {len(names)} groups for {len(member)} videos.")
        chosen = names[videos]
    member[videos], counts = draws(chosen, len(videos), n, seed)
    return member, counts


def _replicates(
    result: DetectionResult, of_truth: Ints, of_guess: Ints, weights: Floats
) -> tuple[Floats, Floats]:
    """Return each replicate's mAP ``[R, T]`` and Recall@kx ``[R, T, K]``."""
    guess, truth, hits = result.guess, result.truth, result.found >= 0
    order = np.lexsort((-guess.scores, guess.labels))
    edges = np.searchsorted(guess.labels[order], np.arange(len(result.classes) + 1))
    ap = np.zeros((len(weights), len(result.thresholds)))
    recall = np.zeros((*ap.shape, len(result.recalls)))
    drawn = np.zeros(len(weights))
    for c in range(len(result.classes)):
        mine = np.flatnonzero(truth.labels == c)
        support = weights[:, of_truth[mine]].sum(axis=1)
        drawn += support > 0
        rows = order[edges[c] : edges[c + 1]]
        seen = np.cumsum(weights[:, of_guess[rows]], axis=1)
        for t in range(len(result.thresholds)):
            at = np.flatnonzero(hits[rows, t])
            gained = weights[:, of_guess[rows[at]]]
            precision = divide(np.cumsum(gained, axis=1), seen[:, at])
            best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            ap[:, t] += divide((best * gained).sum(axis=1), support)
            for i in range(len(result.recalls)):
                reached = mine[result.reached[t, i, mine]]
                recall[:, t, i] += divide(weights[:, of_truth[reached]].sum(axis=1), support)
    classes = or_nan(drawn)[:, None]
    return ap / classes, recall / classes[:, :, None]
