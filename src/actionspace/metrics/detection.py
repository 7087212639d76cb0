"""Temporal action detection: mean average precision and Recall@kx.

Average precision is the interpolated area under the precision-recall curve (VOC 2011), as in the
ActivityNet, THUMOS14 and EPIC-KITCHENS-100 evaluations; Recall@kx, of Ego4D's moment queries, is
the share of annotated segments that the best ``k x n`` predictions of a video and class reach,
``n`` being the annotated segments there. Both are means over the classes that are annotated; a
class without a prediction counts 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from actionspace.errors import DataError, UsageError
from actionspace.metrics.detection_matching import (
    Instances,
    Pairs,
    all_overlaps,
    keys,
    match,
)
from actionspace.metrics.inputs import Bools, Floats, Ints, divide

THRESHOLDS: dict[str, tuple[float, ...]] = {
    "thumos14": tuple(np.linspace(0.3, 0.7, 5).tolist()),
    "activitynet13": tuple(np.linspace(0.5, 0.95, 10).tolist()),
    "epic100": tuple(np.linspace(0.1, 0.5, 5).tolist()),
    "ego4d_mq": tuple(np.linspace(0.1, 0.5, 5).tolist()),
}
"""Temporal IoU thresholds that each data set's figures are means over."""

_SAME = 1e-3  # seconds; shorter annotations, and second ones this near to a first, are left out


@dataclass(frozen=True)
class DetectionResult:
    """What predictions reach, class by class.

    Attributes:
        thresholds: temporal IoU ``[T]``.
        classes: the annotated class ids ``[C]``, rising.
        ap: average precision ``[T, C]``.
        recalls: the ``k`` of Recall@kx ``[K]``.
        reached: which annotations ``[T, K, N]`` those best ``k x n`` predictions reach.
        truth: the annotations measured on, labels being places in ``classes``.
        guess: the predictions that counted, likewise.
        found: the annotation that each of them finds at each threshold ``[M, T]``, -1 = none.
    """

    thresholds: Floats
    classes: Ints
    ap: Floats
    recalls: tuple[int, ...]
    reached: Bools
    truth: Instances
    guess: Instances
    found: Ints

    @property
    def recall(self) -> Floats:
        """Recall@kx ``[T, K, C]``."""
        c = len(self.classes)
        hits = [[np.bincount(self.truth.labels[k], minlength=c) for k in t] for t in self.reached]
        shape = (len(self.thresholds), len(self.recalls), c)
        return divide(np.reshape(hits, shape), np.bincount(self.truth.labels, minlength=c))

    def metrics(self) -> dict[str, float]:
        """Return ``map`` (mean over thresholds), ``map@0.50`` ..., ``recall1x@0.50`` ...."""
        maps = self.ap.mean(axis=1)
        out = {"map": float(maps.mean())}
        names = [f"{t:.2f}" for t in self.thresholds]
        out |= {f"map@{name}": float(value) for name, value in zip(names, maps, strict=True)}
        recall = self.recall.mean(axis=2)
        for i, k in enumerate(self.recalls):
            out |= {f"recall{k}x@{n}": float(m) for n, m in zip(names, recall[:, i], strict=True)}
        return out


def evaluate_detections(
    truth: Instances,
    guess: Instances,
    thresholds: Sequence[float],
    *,
    recalls: Sequence[int] = (1, 5),
    drop_unknown_labels: bool = True,
) -> DetectionResult:
    """Measure predictions against annotations.

    Args:
        truth: the annotations; see :func:`distinct` for the usual cleaning.
        guess: the predictions with scores. Those in videos without annotations are false.
        thresholds: temporal IoU from which on a segment is found.
        recalls: the ``k`` of Recall@kx.
        drop_unknown_labels: leave out predictions of classes that are not annotated. False does
            what the published ActivityNet and THUMOS code does: annotated classes are numbered
            anew from 0, unknown ids are not, and so may be taken for another class.

    Raises:
        DataError: nothing is annotated, or predictions lack scores.
        UsageError: no threshold, or one outside (0, 1]; a ``k`` below 1.
    """
    levels = np.asarray(thresholds, dtype=np.float64)
    if not levels.size or not ((levels > 0) & (levels <= 1)).all():
        raise UsageError(f"IoU thresholds lie in (0, 1]: {list(thresholds)}.")
    if any(k < 1 for k in recalls):
        raise UsageError(f"Recall@kx needs a k of at least 1: {list(recalls)}.")
    if not len(truth):
        raise DataError("Nothing is annotated, so there is nothing to find.")
    if len(guess.scores) != len(guess):
        raise DataError("The predictions have no scores.")
    classes = np.unique(truth.labels)
    truth = Instances(
        truth.video, truth.spans, np.searchsorted(classes, truth.labels), truth.scores
    )
    guess = renumbered(guess, classes, drop_unknown_labels)
    pairs = all_overlaps(truth, guess, float(levels.min()))
    found = match(truth, guess, levels, pairs)
    support = np.bincount(truth.labels, minlength=len(classes))
    return DetectionResult(
        levels,
        classes,
        class_ap(guess, found >= 0, support),
        tuple(recalls),
        _reached(truth, guess, pairs, recalls, levels),
        truth,
        guess,
        found,
    )


def renumbered(guess: Instances, classes: Ints, drop_unknown: bool = True) -> Instances:
    """Return predictions with places in ``classes`` as labels, without those of other classes."""
    place = np.minimum(np.searchsorted(classes, guess.labels), len(classes) - 1)
    known = classes[place] == guess.labels
    if not drop_unknown:
        place = np.where(known, place, guess.labels)
        known |= (guess.labels >= 0) & (guess.labels < len(classes))
    return Instances(guess.video, guess.spans, place, guess.scores).at(known)


def class_ap(guess: Instances, hits: Bools, support: Ints) -> Floats:
    """Return the average precision ``[T, C]`` from which predictions hit ``[M, T]``.

    ``support`` ``[C]`` counts annotations; labels are places in it.
    """
    out = np.zeros((hits.shape[1], len(support)))
    order = np.lexsort((-guess.scores, guess.labels))
    edges = np.searchsorted(guess.labels[order], np.arange(len(support) + 1))
    for c, n in enumerate(support):
        if n:
            out[:, c] = average_precision(hits[order[edges[c] : edges[c + 1]]], int(n))
    return out


def average_precision(hits: Bools, support: int) -> Floats:
    """Return the interpolated average precision ``[T]`` of predictions ``[N, T]``, best first."""
    right = np.cumsum(hits, axis=0)
    precision = right / np.arange(1, len(hits) + 1)[:, None]
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    area: Floats = (best * hits).sum(axis=0) / support
    return area


def _reached(
    truth: Instances, guess: Instances, pairs: Pairs, recalls: Sequence[int], levels: Floats
) -> Bools:
    """Return which annotations ``[T, K, N]`` the best ``k x n`` predictions reach."""
    of_truth, of_guess = keys(truth, guess)
    order = np.lexsort((-guess.scores, of_guess))
    lane = of_guess[order]
    rank = np.empty(len(guess), np.int64)
    rank[order] = np.arange(len(guess)) - np.searchsorted(lane, lane)
    annotated = np.bincount(of_truth)[of_truth[pairs.truth]]
    out = np.zeros((len(levels), len(recalls), len(truth)), bool)
    for i, k in enumerate(recalls):
        among = rank[pairs.guess] < k * annotated
        for t, level in enumerate(levels):
            out[t, i, pairs.truth[among & (pairs.iou >= level)]] = True
    return out


def distinct(truth: Instances, tolerance: float = _SAME) -> Bools:
    """Return which annotations ``[N]`` stay when too short and repeated ones are left out.

    Left out are those shorter than ``tolerance`` seconds, and those whose start and end are within
    ``tolerance`` of an earlier one kept, of the same video and class.
    """
    kept: Bools = truth.spans[:, 1] - truth.spans[:, 0] >= tolerance
    long = np.flatnonzero(kept)
    lane = keys(truth, truth)[0]
    order = long[np.lexsort((truth.spans[long, 0], lane[long]))]
    # Only neighbours by start can be near; an annotation without one need not be looked at.
    near = (lane[order][1:] == lane[order][:-1]) & (
        np.diff(truth.spans[order, 0]) <= tolerance * (1 + 1e-9)
    )
    crowded = np.unique(np.concatenate([order[1:][near], order[:-1][near]]))
    for i in crowded:
        mates = crowded[(crowded < i) & kept[crowded] & (lane[crowded] == lane[i])]
        if (np.abs(truth.spans[mates] - truth.spans[i]) <= tolerance).all(axis=1).any():
            kept[i] = False
    return kept
