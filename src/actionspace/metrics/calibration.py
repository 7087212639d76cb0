"""Whether scores are probabilities: of all predictions that score 0.7, are 70 % right?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actionspace.metrics.inputs import Floats, Ints

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Predictions in bins of equal width by their score, from 0 to 1.

    Attributes:
        counts: predictions in each bin.
        score: their scores, added up.
        right: how many of them are right.
    """

    counts: Ints
    score: Floats
    right: Floats

    @property
    def ece(self) -> float:
        """The expected calibration error: how far score and share of right ones are apart.

        That of each bin counts by its predictions (Guo et al. 2017, "On Calibration of Modern
        Neural Networks", equation 3). NaN without predictions.
        """
        total = int(self.counts.sum())
        return float(np.abs(self.right - self.score).sum() / total) if total else float("nan")

    def rows(self) -> list[dict[str, Any]]:
        """Return mean score, share of right ones and size of each bin that is not empty."""
        return [
            {"score": float(s / n), "right": float(r / n), "count": int(n)}
            for n, s, r in zip(self.counts, self.score, self.right, strict=True)
            if n
        ]


def reliability(scores: ArrayLike, right: ArrayLike, bins: int = BINS) -> Reliability:
    """Return predictions in bins.

    Args:
        scores: in [0, 1], ``[N]``.
        right: which of them are, ``[N]``.
        bins: how many.
    """
    confidence, truth = np.asarray(scores, dtype=float), np.asarray(right, dtype=float)
    where = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    sums = (np.bincount(where, weights=w, minlength=bins) for w in (confidence, truth))
    score, hits = (np.asarray(total, dtype=float) for total in sums)
    return Reliability(np.bincount(where, minlength=bins), score, hits)


def log_loss(scores: ArrayLike, right: ArrayLike) -> float:
    """Return the mean negative logarithm of the probability that scores give to what is true."""
    p = np.clip(np.asarray(scores, dtype=float), 1e-7, 1 - 1e-7)
    return float(-np.log(np.where(right, p, 1 - p)).mean())
