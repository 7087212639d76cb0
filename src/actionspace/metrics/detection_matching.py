"""Which predicted segment finds which annotated one.

Within a video and a class, predictions are taken from the best score down; each finds the annotated
segment it overlaps most among those still free, if their temporal IoU reaches the threshold. This
is the matching of the ActivityNet, THUMOS and EPIC-KITCHENS evaluations, for all videos, classes
and thresholds at once: round ``r`` takes the ``r``-th prediction of every video and class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from actionspace.errors import DataError
from actionspace.metrics.inputs import Bools, Floats, Ints, divide

_PAIRS = 4_000_000  # pairs looked at together


@dataclass(frozen=True)
class Instances:
    """Labelled segments, annotated or predicted.

    Attributes:
        video: int64 ``[N]``, video numbers.
        spans: float64 ``[N, 2]``, starts and ends in seconds.
        labels: int64 ``[N]``, class ids of any kind.
        scores: float64 ``[N]`` of predictions; empty for annotations.
    """

    video: Ints
    spans: Floats
    labels: Ints
    scores: Floats

    def __post_init__(self) -> None:
        """Check shapes and values.

        Raises:
            DataError: lengths that differ, NaN, or a segment that ends before it starts.
        """
        n = len(self.video)
        scored = len(self.scores) in (0, n)
        if self.spans.shape != (n, 2) or self.labels.shape != (n,) or not scored:
            raise DataError(
                f"Segments do not fit: {n} videos, spans {self.spans.shape}, labels "
                f"{self.labels.shape}, scores {self.scores.shape}."
            )
        wrong = np.flatnonzero(~(self.spans[:, 1] >= self.spans[:, 0]))
        if len(wrong):
            start, end = self.spans[wrong[0]]
            raise DataError(f"Segment {wrong[0]} goes from {start} to {end}; it must end later.")
        wrong = np.flatnonzero(np.isnan(self.scores))
        if len(wrong):
            raise DataError(f"Segment {wrong[0]} has no score ({len(wrong)} of {n} have none).")

    def __len__(self) -> int:
        return len(self.video)

    def at(self, index: Ints | Bools) -> Instances:
        """Return those at ``index`` (numbers or a mask)."""
        scores = self.scores[index] if len(self.scores) else self.scores
        return Instances(self.video[index], self.spans[index], self.labels[index], scores)


@dataclass(frozen=True)
class Pairs:
    """Predictions ``guess`` and annotations ``truth`` ``[P]`` that overlap, and their ``iou``."""

    guess: Ints
    truth: Ints
    iou: Floats


def iou(a: Floats, b: Floats) -> Floats:
    """Return the temporal IoU of spans ``[..., 2]``; of two equal points 0."""
    shared = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    shared = np.maximum(shared, 0)
    return divide(shared, (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - shared)


def by_score(scores: Floats) -> Ints:
    """Return the order from the best score down; the earlier of equals first."""
    order: Ints = np.argsort(-scores, kind="stable")
    return order


def keys(truth: Instances, guess: Instances, by_label: bool = True) -> tuple[Ints, Ints]:
    """Number the videos (and classes): equal numbers ``[N]``, ``[M]`` may find each other."""
    columns = [np.concatenate([truth.video, guess.video])]
    if by_label:
        columns.append(np.concatenate([truth.labels, guess.labels]))
    number = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, place = np.unique(column, return_inverse=True)
        number = np.unique(number * len(values) + place, return_inverse=True)[1].astype(np.int64)
    return number[: len(truth)], number[len(truth) :]


def overlaps(
    truth: Instances, guess: Instances, least: float, *, by_label: bool = True
) -> Iterator[Pairs]:
    """Yield the pairs of one video (and class) with an IoU of at least ``least`` and above 0."""
    of_truth, of_guess = keys(truth, guess, by_label)
    order = np.argsort(of_truth, kind="stable")
    width = int(max(of_truth.max(initial=-1), of_guess.max(initial=-1))) + 1
    count = np.bincount(of_truth, minlength=width)
    first = np.cumsum(count) - count
    pairs = np.cumsum(count[of_guess])
    cuts = np.searchsorted(pairs, np.arange(0, pairs[-1:].sum(), _PAIRS))
    for a, b in pairwise([*cuts, len(guess)]):
        many = count[of_guess[a:b]]
        g = np.repeat(np.arange(a, b), many)
        behind = np.arange(len(g)) - np.repeat(np.cumsum(many) - many, many)
        t = order[first[of_guess[g]] + behind]
        shared = iou(guess.spans[g], truth.spans[t])
        near = (shared >= least) & (shared > 0)
        yield Pairs(g[near], t[near], shared[near])


def all_overlaps(truth: Instances, guess: Instances, least: float) -> Pairs:
    """Return all of :func:`overlaps` of one class at once."""
    parts = list(overlaps(truth, guess, least))
    none = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Pairs(
        *(
            np.concatenate([getattr(p, n) for p in [*parts, none]])
            for n in ("guess", "truth", "iou")
        )
    )


def match(truth: Instances, guess: Instances, thresholds: Floats, pairs: Pairs) -> Ints:
    """Return the annotation ``[M, T]`` that each prediction finds at each threshold, -1 = none.

    ``pairs`` hold at least those of the lowest threshold. Of annotations overlapped equally the
    later one is found, as in the published evaluations.
    """
    found = np.full((len(guess), len(thresholds)), -1)
    free = np.ones((len(truth), len(thresholds)), bool)
    key = keys(truth, guess)[1]
    place = np.empty(len(guess), np.int64)
    place[by_score(guess.scores)] = np.arange(len(guess))
    turn = _turns(pairs.guess, place, key)
    order = np.lexsort((-pairs.truth, -pairs.iou, pairs.guess, turn))
    g, t, shared, turn = pairs.guess[order], pairs.truth[order], pairs.iou[order], turn[order]
    for a, b in pairwise([*_starts(turn), len(g)]):
        starts = _starts(g[a:b])
        fits = (shared[a:b, None] >= thresholds) & free[t[a:b]]
        nearest = np.where(fits, np.arange(b - a)[:, None], b - a)
        winner = np.minimum.reduceat(nearest, starts, axis=0)
        who, at = np.nonzero(winner < b - a)
        chosen = t[a:b][winner[who, at]]
        found[g[a + starts[who]], at] = chosen
        free[chosen, at] = False
    return found


def _turns(guesses: Ints, place: Ints, key: Ints) -> Ints:
    """Return, per pair, how many better predictions of its video and class have pairs."""
    involved = np.unique(guesses)
    order = involved[np.lexsort((place[involved], key[involved]))]
    lane = key[order]
    first = _starts(lane)
    turn = np.zeros(len(place), np.int64)
    turn[order] = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    return turn[guesses]


def _starts(values: Ints) -> Ints:
    """Return where runs of equal values begin."""
    first = np.ones(len(values), bool)
    first[1:] = values[1:] != values[:-1]
    return np.flatnonzero(first)
