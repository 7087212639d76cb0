"""Kendall's tau of an alignment: do nearest neighbours in another video keep the order of time?

For an ordered pair of videos every frame of the first is sent to its nearest frame in the second;
tau-b (Kendall 1945) of the frame numbers with these neighbours is 1 if they never go back in time,
-1 if the second runs backwards. Two videos can be aligned perfectly and well by frame numbers
alone, so a model that sees positions comes close to 1: a sanity check more than a ranking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import UsageError
from actionspace.metrics.inputs import Floats, mean_or_nan
from actionspace.metrics.neighbours import Pool, as_videos


@dataclass(frozen=True)
class KendallTau:
    """Tau of every ordered pair of videos.

    Attributes:
        mean: over the pairs where it is defined; NaN if there is none.
        pairs: ``[V, V]``, row searching in column; NaN on the diagonal and where undefined.
        undefined: pairs (of two different videos) without a tau, because all neighbours are the
            same frame (constant embeddings) or the first video has one frame.
    """

    mean: float
    pairs: Floats
    undefined: int

    @property
    def note(self) -> str:
        """What to tell the user about undefined pairs, or ``""``."""
        if not self.undefined:
            return ""
        total = len(self.pairs) * (len(self.pairs) - 1)
        return (
            f"Kendall's tau is undefined for {self.undefined} of {total} pairs of videos and left "
            f"out: all nearest neighbours are one frame (constant embeddings?), or a video has one "
            f"frame."
        )


def kendalls_tau(
    videos: Sequence[ArrayLike], *, stride: int = 1, distance: str = "sqeuclidean"
) -> KendallTau:
    """Return tau over all ordered pairs of videos.

    Args:
        videos: embeddings ``[frames, D]`` each.
        stride: every which frame is used (published: Pouring 5, PennAction 2 by CARL; TCC, LAV and
            AE2 use 5 throughout).
        distance: one of ``neighbours.DISTANCES``.

    Raises:
        DataError: see ``neighbours.as_videos``.
        UsageError: a stride below 1 or an unknown distance.
    """
    if stride < 1:
        raise UsageError(f"The stride must be at least 1, got {stride}.")
    pool = Pool.of([video[::stride] for video in as_videos(videos)], distance)
    nearest = pool.nearest_in_each()
    pairs = np.stack([tau_b(nearest[pool.frames_of(i)]) for i in range(len(pool))])
    np.fill_diagonal(pairs, np.nan)
    defined = pairs[~np.isnan(pairs)]
    others = len(pool) * (len(pool) - 1)
    return KendallTau(mean_or_nan(defined), pairs, others - len(defined))


def tau_b(numbers: NDArray[np.integer]) -> Floats:
    """Return tau-b of ``0 .. n-1`` with each column of ``[n, P]`` whole numbers from 0 on.

    Equal to ``scipy.stats.kendalltau(arange(n), column).statistic``; NaN for a constant column.
    """
    frames, columns = numbers.shape
    highest = int(numbers.max(initial=0))
    # Columns side by side in narrow numbers: the comparisons below are then as wide as can be.
    narrow = np.ascontiguousarray(numbers, np.min_scalar_type(highest))
    rising = np.zeros(columns, np.int64)
    for first in range(1, frames, 255):  # as many as a byte counts
        later = np.zeros(narrow.shape, np.uint8)
        for lag in range(first, min(first + 255, frames)):
            later[:-lag] += (narrow[lag:] > narrow[:-lag]).view(np.uint8)
        rising += later.sum(axis=0, dtype=np.int64)
    coded = numbers + np.arange(columns) * (highest + 1)
    counts = np.bincount(coded.ravel(), minlength=columns * (highest + 1)).reshape(columns, -1)
    tied = (counts * (counts - 1) // 2).sum(axis=1)
    total = frames * (frames - 1) // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = (2 * rising - (total - tied)) / np.sqrt(total) / np.sqrt(total - tied)
    return np.clip(np.where(tied == total, np.nan, tau), -1, 1)


def similarity_image(
    query: ArrayLike,
    candidate: ArrayLike,
    *,
    temperature: float = 1.0,
    distance: str = "sqeuclidean",
) -> NDArray[np.float32]:
    """Return softmax over candidates of minus distance over temperature, ``[candidates, queries]``.

    Columns are query frames, as CARL draws it (temperature 0.1 for embeddings of length 1).
    """
    from scipy.spatial.distance import cdist

    first, second = as_videos([query, candidate])
    logits = -cdist(first, second, distance) / temperature
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    return np.asarray(share.T, np.float32)
