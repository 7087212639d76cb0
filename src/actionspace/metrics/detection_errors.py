"""Why detections are wrong: false ones by kind, missed ones and sensitivity by bin.

DETAD (Alwassel et al. 2018, "Diagnosing Error in Temporal Action Detectors"). A false detection is
looked at beside the annotation of its video that it overlaps most, whatever the class:

==================  ============================  ===========
overlap             of its class                  of another
==================  ============================  ===========
threshold or more   double (found already)        wrong label
0.1 to threshold    localization                  confusion
below 0.1           background                    background
==================  ============================  ===========

Average precision here is normalised: precision is ``R N / (R N + FP)`` with the recall R and the
mean number N of annotations per class, so that bins with few and many annotations compare. A
detection in a video without annotations is background, also where the published code compares it
with another video's annotations; a class without a detection counts 0 where that code stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from actionspace.metrics.detection import DetectionResult
from actionspace.metrics.detection_bins import Bins
from actionspace.metrics.detection_matching import Instances, overlaps
from actionspace.metrics.inputs import Bools, Floats, Ints, divide

KINDS = ("true", "double", "wrong label", "localization", "confusion", "background")
_LEAST = 0.1  # overlap below which a detection has nothing to do with an annotation
_GROUPS = 10
_MISSED_PRECISION = 0.05  # a detection at a lower normalised precision finds nothing


@dataclass(frozen=True)
class Profile:
    """False detections by kind, among the best ``10 n`` of each class with ``n`` annotations.

    Attributes:
        thresholds: temporal IoU ``[T]``.
        kinds: of each detection that is looked at ``[M, T]``, places in :data:`KINDS`.
        rows: which detections of the result these are ``[M]``.
        counts: detections ``[10, T, 6]`` by group and kind; group ``g`` holds the ranks from
            ``(g - 1) n`` to ``g n - 1`` of every class.
        average_map: normalised average mAP of the detections looked at.
        gains: by how much it grows when all detections of a kind are taken out.
    """

    thresholds: Floats
    kinds: Ints
    rows: Ints
    counts: Ints
    average_map: float
    gains: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON: per group the share of each kind, mean over thresholds."""
        size = np.maximum(self.counts.sum(axis=2), 1)
        shares = (self.counts / size[:, :, None]).mean(axis=1)
        total = self.counts.sum(axis=(0, 1)) / max(self.kinds.size, 1)
        return {
            "average_map": self.average_map,
            "gains": self.gains,
            "kinds": list(KINDS),
            "detections": len(self.rows),
            "shares": total.tolist(),
            "groups": shares.tolist(),
            "group_sizes": self.counts[:, 0].sum(axis=1).tolist(),
        }


def false_positives(result: DetectionResult, limit: int = _GROUPS) -> Profile:
    """Return the kinds of the best ``limit x n`` detections of each class."""
    rank, support = _ranks(result), _support(result)
    rows = np.flatnonzero(rank < limit * support[result.guess.labels])
    guess, found = result.guess.at(rows), result.found[rows]
    kinds = _kinds(result, guess, found)
    group = rank[rows] // support[guess.labels]
    counts = np.zeros((limit, len(result.thresholds), len(KINDS)), np.int64)
    for t in range(len(result.thresholds)):
        np.add.at(counts[:, t], (group, kinds[:, t]), 1)
    base = _mean_ap(guess, kinds == 0, None, support)
    gains = {
        name: _mean_ap(guess, kinds == 0, kinds != k, support) - base
        for k, name in enumerate(KINDS)
        if k
    }
    return Profile(result.thresholds, kinds, rows, counts, base, gains)


def _support(result: DetectionResult) -> Ints:
    return np.bincount(result.truth.labels, minlength=len(result.classes))


def _ranks(result: DetectionResult) -> Ints:
    """Return how many detections of its class are better than each ``[M]``."""
    labels = result.guess.labels
    order = np.lexsort((-result.guess.scores, labels))
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - np.searchsorted(labels[order], labels[order])
    return rank


def _kinds(result: DetectionResult, guess: Instances, found: Ints) -> Ints:
    """Return the kind of each detection at each threshold ``[M, T]``."""
    nearest, shared = np.full(len(guess), -1), np.zeros(len(guess))
    for pairs in overlaps(result.truth, guess, _LEAST, by_label=False):
        order = np.lexsort((pairs.truth, -pairs.iou, pairs.guess))
        who, first = np.unique(pairs.guess[order], return_index=True)
        nearest[who], shared[who] = pairs.truth[order][first], pairs.iou[order][first]
    same = (result.truth.labels[nearest] == guess.labels)[:, None]
    near = shared[:, None] >= result.thresholds
    kinds = np.where(near, np.where(same, 1, 2), np.where(same, 3, 4))
    kinds[nearest < 0] = 5
    kinds[found >= 0] = 0
    return kinds


def _mean_ap(guess: Instances, hits: Bools, kept: Bools | None, support: Ints) -> float:
    """Return the normalised average mAP of detections; ``kept`` ``[M, T]`` leaves some out."""
    mean = support.sum() / len(support)
    order = np.lexsort((-guess.scores, guess.labels))
    edges = np.searchsorted(guess.labels[order], np.arange(len(support) + 1))
    levels = range(hits.shape[1])
    total = 0.0
    for c, n in enumerate(support):
        rows = order[edges[c] : edges[c + 1]]
        if kept is None:
            total += float(normalized_ap(hits[rows], int(n), mean).mean())
        else:
            each = [rows[kept[rows, t]] for t in levels]
            parts = [normalized_ap(hits[r][:, [t]], int(n), mean)[0] for t, r in enumerate(each)]
            total += float(np.mean(parts))
    return total / len(support)


def normalized_precision(hits: Bools, support: int, mean: float) -> Floats:
    """Return the normalised precision ``[N, T]`` at each rank of detections, best first."""
    right = np.cumsum(hits, axis=0)
    gained = right / support * mean
    return divide(gained, gained + (np.arange(1, len(hits) + 1)[:, None] - right))


def normalized_ap(hits: Bools, support: int, mean: float) -> Floats:
    """Return the normalised average precision ``[T]`` of detections ``[N, T]``, best first."""
    precision = normalized_precision(hits, support, mean)
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    area: Floats = (best * hits).sum(axis=0) / support
    return area


def missed(result: DetectionResult, bins: Mapping[str, Bins]) -> dict[str, Any]:
    """Return how many annotations of each bin no detection finds: plain JSON.

    Per characteristic and bin ``share``, of all annotations, and ``missed``, mean over thresholds,
    with ``missed_at`` for each. Detections at a normalised precision of 0.05 or less do not count.
    """
    found = _credible(result)
    hit = np.zeros((len(result.truth), len(result.thresholds)), bool)
    rows, levels = np.nonzero(found >= 0)
    hit[found[rows, levels], levels] = True
    out: dict[str, Any] = {}
    for name, binned in bins.items():
        out[name] = {
            label: {
                "share": float(mine.mean()),
                "missed": float(1 - hit[mine].mean()),
                "missed_at": (1 - hit[mine].mean(axis=0)).tolist(),
            }
            for label, mine in binned.each()
        }
    return out


def _credible(result: DetectionResult) -> Ints:
    found, support = result.found.copy(), _support(result)
    mean = support.sum() / len(support)
    order = np.lexsort((-result.guess.scores, result.guess.labels))
    edges = np.searchsorted(result.guess.labels[order], np.arange(len(support) + 1))
    for c, n in enumerate(support):
        rows = order[edges[c] : edges[c + 1]]
        precision = normalized_precision(found[rows] >= 0, int(n), mean)
        found[rows] = np.where(precision <= _MISSED_PRECISION, -1, found[rows])
    return found


def sensitivity(result: DetectionResult, bins: Mapping[str, Bins]) -> dict[str, Any]:
    """Return the normalised average mAP on the annotations of each bin alone: plain JSON.

    Detections that find an annotation of another bin, at any threshold, are left out; classes
    without annotations in the bin are too. ``base`` is the figure on all annotations.
    """
    support, found = _support(result), result.found
    mean = support.sum() / len(support)
    out: dict[str, Any] = {"base": _mean_ap(result.guess, found >= 0, None, support)}
    for name, binned in bins.items():
        out[name] = {label: _within(result, mine, float(mean)) for label, mine in binned.each()}
    return out


def _within(result: DetectionResult, mine: Bools, mean: float) -> float:
    found, labels = result.found, result.guess.labels
    kept: Bools = np.all((found < 0) | mine[found], axis=1)
    support = np.bincount(result.truth.labels[mine], minlength=len(result.classes))
    order = np.lexsort((-result.guess.scores, labels))
    values = []
    for c in np.flatnonzero(support):
        rows = order[(labels[order] == c) & kept[order]]
        values.append(float(normalized_ap(found[rows] >= 0, int(support[c]), mean).mean()))
    return float(np.mean(values))


def error_analysis(result: DetectionResult, bins: Mapping[str, Bins]) -> dict[str, Any]:
    """Return all three analyses as plain JSON, for the report."""
    return {
        "thresholds": result.thresholds.tolist(),
        "false_positives": false_positives(result).as_dict(),
        "missed": missed(result, bins),
        "sensitivity": sensitivity(result, bins),
        "bins": {
            name: {"edges": list(b.edges), "names": list(b.names)} for name, b in bins.items()
        },
    }
