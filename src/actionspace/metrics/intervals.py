"""Confidence intervals by resampling whole groups (cluster bootstrap, percentile method).

Clips of one subject, session or source video resemble each other, so the clip is not the unit that
was sampled: the group is. Each replicate draws as many groups as there are, with replacement, and
takes all rows of each. Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.

With few groups the intervals are rough and tend to be too narrow; with one there is none (NaN).
Where a replicate happens to draw no group of some class, the class is left out of its class means:
counting it as zero, as the measures do for a class that is never true, would only say that the draw
missed it and would pull the interval below the estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import DataError, UsageError
from actionspace.metrics.classification import predicted, ranks, top_k_hits
from actionspace.metrics.confusion import mean_f1, mean_recall, micro_f1, weighted_f1
from actionspace.metrics.framewise import Tallies
from actionspace.metrics.inputs import (
    Bools,
    Floats,
    Ints,
    as_labels,
    as_scores,
    as_targets,
    divide,
    or_nan,
)

Interval = tuple[float, float]

CELLS = 10_000_000
"""Largest table of confusion matrices at a time, in numbers."""


def bootstrap(
    metric: Callable[..., float],
    *arrays: ArrayLike,
    groups: ArrayLike | None = None,
    n: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the interval of any measure by calling it on each replicate's rows.

    Args:
        metric: called as ``metric(*arrays)`` with resampled rows; a NaN replicate is left out.
        *arrays: arrays of equal length ``[N, ...]``.
        groups: what each row belongs to ``[N]``; None makes every row its own group.
        n: number of replicates.
        level: coverage in (0, 1).
        seed: of the draws.

    Raises:
        DataError: arrays of different lengths, or none.
        UsageError: a level outside (0, 1).
    """
    tables = [np.asarray(a) for a in arrays]
    if not tables or len({len(t) for t in tables}) != 1:
        raise DataError(f"Arrays to resample differ in length: {[len(t) for t in tables]}.")
    member, counts = draws(groups, len(tables[0]), n, seed)
    if counts.shape[1] < 2:
        return float("nan"), float("nan")
    order = np.argsort(member, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(member))[:-1])
    values = np.empty(n)
    for i, times in enumerate(counts):
        rows = np.concatenate([np.tile(rows_of[g], times[g]) for g in np.flatnonzero(times)])
        values[i] = metric(*(t[rows] for t in tables))
    return percentile(values, level)


def draws(groups: ArrayLike | None, rows: int, n: int, seed: int) -> tuple[Ints, Ints]:
    """Return each row's group number ``[N]`` and how often each replicate draws it ``[n, G]``.

    Raises:
        DataError: not one group per row.
    """
    if groups is None:
        member: Ints = np.arange(rows)
    else:
        array = np.asarray(groups)
        if array.shape != (rows,):
            raise DataError(f"Expected one group per row ({rows}), got shape {array.shape}.")
        member = np.unique(array, return_inverse=True)[1].astype(np.int64)
    count = int(member.max(initial=-1)) + 1
    picks = np.random.default_rng(seed).integers(0, max(count, 1), (n, count))
    offset = np.arange(n)[:, None] * count
    return member, np.bincount((picks + offset).ravel(), minlength=n * count).reshape(n, count)


def percentile(values: Floats, level: float = 0.95) -> Interval:
    """Return the central ``level`` of replicates, NaN ones left out; NaN if all are.

    Raises:
        UsageError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise UsageError(f"A confidence level lies between 0 and 1, not {level}.")
    kept = values[~np.isnan(values)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def single_label_intervals(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    k: Sequence[int] = (1, 5),
    n: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the intervals of :func:`single_label_metrics`, all replicates at once.

    Equal to :func:`bootstrap` on each measure (classes missed by a draw aside): sums per group are
    taken once, and a replicate is a weighting of the groups.
    """
    table = as_scores(scores)
    truth = as_labels(labels, *table.shape)
    member, counts = draws(groups, len(table), n, seed)
    hot = as_targets(truth, *table.shape)
    values = {f"top{i}_accuracy": _share(top_k_hits(table, truth, i), member, counts) for i in k}
    ever_true = hot.any(axis=0)
    for confusion in _confusions(truth, predicted(table), table.shape[1], member, counts):
        missed = ever_true & (confusion.sum(axis=-1) == 0)
        for name, measure in CONFUSION_MEASURES.items():
            values[name] = np.append(values.get(name, []), measure(confusion, missed))
    for i in k:
        values[f"macro_top{i}_accuracy"] = _macro_top(table, hot, i, member, counts)
    values["map"] = _mean_average_precision(table, hot, member, counts)
    return _intervals(values, counts, level)


def multi_label_intervals(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    k: Sequence[int] = (1, 5),
    n: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the intervals of ``map``, ``top{k}_accuracy`` and ``macro_top{k}_accuracy``."""
    table = as_scores(scores)
    hot = as_targets(labels, *table.shape)
    member, counts = draws(groups, len(table), n, seed)
    values = {"map": _mean_average_precision(table, hot, member, counts)}
    for i in k:
        values[f"top{i}_accuracy"] = _share(top_k_hits(table, hot, i), member, counts)
        values[f"macro_top{i}_accuracy"] = _macro_top(table, hot, i, member, counts)
    return _intervals(values, counts, level)


def framewise_intervals(
    tallies: Tallies,
    *,
    groups: ArrayLike | None = None,
    n: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the intervals of pooled :func:`framewise_metrics`; groups are of videos ``[V]``."""
    member, counts = draws(groups, len(tallies.edit), n, seed)
    return _intervals(tallies.measures(counts[:, member], resampled=True), counts, level)


def _intervals(values: dict[str, Floats], counts: Ints, level: float) -> dict[str, Interval]:
    if counts.shape[1] < 2:
        return {name: (float("nan"), float("nan")) for name in values}
    return {name: percentile(v, level) for name, v in values.items()}


def _sums(entry_group: Ints, entry_column: Ints, width: int, counts: Ints) -> Floats:
    """Return each replicate's number of entries per column ``[n, width]``.

    An entry lies in a column and belongs to a group, which a replicate draws ``counts [n, G]``
    times; a sparse product, as most groups have few entries.
    """
    from scipy.sparse import csr_array

    shape = (width, counts.shape[1])
    table = csr_array((np.ones(len(entry_group)), (entry_column, entry_group)), shape=shape)
    out: Floats = np.asarray(table @ counts.T.astype(np.float64)).T
    return out


def _share(hits: Bools, member: Ints, counts: Ints) -> Floats:
    """Return each replicate's share of hits ``[n]``."""
    wrong, right = _sums(member, hits.astype(np.int64), 2, counts).T
    shares: Floats = right / (right + wrong)
    return shares


def _macro_top(scores: Floats, hot: Bools, k: int, member: Ints, counts: Ints) -> Floats:
    rows, columns = np.nonzero(hot)
    found = (ranks(scores) < k)[rows, columns]
    width = hot.shape[1]
    hits = _sums(member[rows[found]], columns[found], width, counts)
    support = _sums(member[rows], columns, width, counts)
    total: Floats = divide(hits, support).sum(axis=1)
    return total / or_nan((support > 0).sum(axis=1))


def _mean_average_precision(scores: Floats, hot: Bools, member: Ints, counts: Ints) -> Floats:
    each = [
        _average_precision(s, h, member, counts)
        for s, h in zip(scores.T, hot.T, strict=True)
        if h.any()
    ]
    if not each:
        return np.full(len(counts), np.nan)
    values = np.stack(each)
    total: Floats = np.nansum(values, axis=0)
    return total / or_nan((~np.isnan(values)).sum(axis=0))


def _average_precision(scores: Floats, positive: Bools, member: Ints, counts: Ints) -> Floats:
    """Return each replicate's average precision of one class ``[n]``; NaN without positives.

    Precision matters only at the distinct scores that hold a positive: rows are binned by the next
    such score at or below theirs.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, positive, group = scores[order], positive[order], member[order]
    tie = np.cumsum(np.append(False, ordered[1:] != ordered[:-1]))
    holds = np.bincount(tie, weights=positive) > 0
    bins: Ints = (np.cumsum(holds) - holds)[tie]
    width = int(holds.sum())
    counted = bins < width
    gained = _sums(group[positive], bins[positive], width, counts)
    seen = np.cumsum(_sums(group[counted], bins[counted], width, counts), axis=1)
    right = np.cumsum(gained, axis=1)
    total: Floats = (gained * divide(right, seen)).sum(axis=1)
    return total / or_nan(right[:, -1])


def _confusions(
    truth: Ints, guess: Ints, classes: int, member: Ints, counts: Ints
) -> Iterator[Floats]:
    """Yield the replicates' confusion matrices ``[part of n, C, C]``."""
    square = classes * classes
    step = max(1, CELLS // square)
    for i in range(0, len(counts), step):
        cells = _sums(member, truth * classes + guess, square, counts[i : i + step])
        yield cells.reshape(-1, classes, classes)


CONFUSION_MEASURES: dict[str, Callable[[Floats, Bools], Floats]] = {
    "micro_accuracy": lambda confusion, _: micro_f1(confusion),
    "mean_class_accuracy": mean_recall,
    "macro_f1": mean_f1,
    "weighted_f1": lambda confusion, _: weighted_f1(confusion),
    "micro_f1": lambda confusion, _: micro_f1(confusion),
}
