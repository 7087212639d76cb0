"""Runs of one label in a sequence, and how well two lists of runs agree.

Segmental F1 and edit score are defined in Lea et al. 2017, "Temporal Convolutional Networks for
Action Segmentation and Detection", section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from actionspace.errors import UsageError
from actionspace.metrics.inputs import Bools, Floats, Ints, divide


@dataclass(frozen=True)
class Segments:
    """Runs of one label: ``labels`` ``[S]`` (class codes) and ``spans`` ``[S, 2]``, half-open."""

    labels: Ints
    spans: Floats

    def __len__(self) -> int:
        return len(self.labels)


def cut(codes: Ints, edges: Floats, breaks: Bools, background: int = -1) -> Segments:
    """Return the runs of equal codes, without those of ``background``.

    Args:
        codes: ``[T]`` class codes.
        edges: ``[T, 2]`` start and end of each frame.
        breaks: ``[T]``; a frame before which a run ends whatever its code.
        background: code to leave out.
    """
    first = breaks.copy()
    first[:1] = True
    first[1:] |= codes[1:] != codes[:-1]
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(codes)) - 1
    kept = codes[starts] != background
    spans = np.stack([edges[starts, 0], edges[ends, 1]], axis=1)
    return Segments(codes[starts][kept], spans[kept])


def match(truth: Segments, guess: Segments, threshold: float) -> Ints:
    """Return true positives, false positives and false negatives ``[3]``.

    A predicted segment claims the true segment of its label with the highest IoU (the earliest of
    equals); it is right if that IoU reaches ``threshold`` and no earlier prediction claimed it.

    Raises:
        UsageError: the threshold is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"An IoU threshold lies in (0, 1], not {threshold}.")
    best, iou = _best_overlaps(truth, guess)
    right = len(np.unique(best[iou >= threshold]))
    return np.array([right, len(guess) - right, len(truth) - right])


def _best_overlaps(truth: Segments, guess: Segments) -> tuple[Ints, Floats]:
    """Return for each guess the number and the IoU ``[P]`` of its best true segment."""
    best, iou = np.zeros(len(guess), np.int64), np.zeros(len(guess))
    for label in np.intersect1d(guess.labels, truth.labels):
        rows, columns = np.flatnonzero(guess.labels == label), np.flatnonzero(truth.labels == label)
        g, t = guess.spans[rows, None], truth.spans[None, columns]
        shared = np.minimum(g[..., 1], t[..., 1]) - np.maximum(g[..., 0], t[..., 0])
        hull = np.maximum(g[..., 1], t[..., 1]) - np.minimum(g[..., 0], t[..., 0])
        overlap = np.maximum(shared, 0) / np.where(hull > 0, hull, 1)
        pick = overlap.argmax(axis=1)
        best[rows], iou[rows] = columns[pick], overlap[np.arange(len(rows)), pick]
    return best, iou


def f1(counts: Ints | Floats) -> Floats:
    """Return F1 of true positives, false positives and misses ``[..., 3]``; 0/0 is 1."""
    right, wrong, missed = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    total = 2 * right + wrong + missed
    return np.where(total > 0, divide(2 * right, total), 1.0)


def edit_distance(a: Ints, b: Ints) -> int:
    """Return the Levenshtein distance of two label sequences.

    Row by row; insertions run along the row, so the row is a running minimum of
    ``cost without insertion - position``.
    """
    steps = np.arange(len(b) + 1)
    row = steps
    for i, label in enumerate(a, 1):
        cost = np.append(i, np.minimum(row[1:] + 1, row[:-1] + (b != label)))
        row = np.minimum.accumulate(cost - steps) + steps
    return int(row[-1])


def edit_score(truth: Segments, guess: Segments) -> float:
    """Return 100 x (1 - edit distance / longer length) in [0, 100]; 100 when both are empty."""
    longer = max(len(truth), len(guess))
    return 100.0 * (1 - edit_distance(truth.labels, guess.labels) / longer) if longer else 100.0
