"""Aligning one video's frames with another's: nearest neighbours, DTW and soft-DTW.

Dynamic programming runs over anti-diagonals, whose cells do not depend on each other, each one a
strided slice of the flat table. The arithmetic of a cell is that of the double loop, so costs,
paths and ties are the same, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import DataError, UsageError
from actionspace.metrics.neighbours import Pool, as_videos

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Method = Literal["nearest", "dtw", "soft_dtw"]


@dataclass(frozen=True)
class Path:
    """A warping path from the first frames of both videos to their last.

    Attributes:
        query, candidate: frame numbers along the path ``[P]``; both never fall.
        cost: sum of the distances along it.
    """

    query: Ints
    candidate: Ints
    cost: float

    def partners(self) -> Ints:
        """Return for each query frame the first candidate frame it is matched with."""
        first: Ints = self.candidate[np.unique(self.query, return_index=True)[1]]
        return first


def align(
    query: ArrayLike,
    candidate: ArrayLike,
    method: Method = "dtw",
    *,
    distance: str = "sqeuclidean",
    gamma: float = 0.1,
) -> Ints:
    """Return for each query frame the candidate frame that matches it ``[frames of query]``.

    Args:
        query, candidate: embeddings ``[frames, D]``; one frame is enough.
        method: "nearest" looks at each frame alone, "dtw" keeps the order of time, "soft_dtw"
            takes the mean match over all paths weighted by how cheap they are, rounded.
        distance: any of SciPy's ``cdist``.
        gamma: softness of "soft_dtw", in units of the distance.

    Raises:
        UsageError: an unknown method or distance, or gamma not above 0.
        DataError: see ``metrics.neighbours.as_videos``.
    """
    if method == "nearest":
        return nearest(query, candidate, distance)
    if method == "dtw":
        return warp(distances(query, candidate, distance)).partners()
    if method == "soft_dtw":
        share = soft_alignment(distances(query, candidate, distance), gamma)
        return np.rint(expected_partners(share)).astype(np.int64)
    raise UsageError(f"method is one of {get_args(Method)}, not {method!r}.")


def nearest(query: ArrayLike, candidate: ArrayLike, distance: str = "sqeuclidean") -> Ints:
    """Return for each query frame the nearest candidate frame, the first of equals."""
    found = Pool.of([query, candidate], distance).nearest_in_each()
    return found[: len(np.asarray(query)), 1].astype(np.int64)


def distances(query: ArrayLike, candidate: ArrayLike, distance: str = "sqeuclidean") -> Floats:
    """Return distances between all frames ``[n, m]``.

    Raises:
        UsageError: a distance that SciPy does not know.
        DataError: see ``metrics.neighbours.as_videos``.
    """
    from scipy.spatial.distance import cdist

    a, b = as_videos([query, candidate])
    try:
        apart: Floats = cdist(a, b, distance)
    except ValueError as error:
        raise UsageError(f"The distance '{distance}' cannot be measured: {error}") from error
    return apart


def accumulate(cost: ArrayLike) -> Floats:
    """Return the cost of the cheapest path from the first cell to each cell ``[n, m]`` (DTW)."""
    return _accumulated(cost, np.minimum)[1:, 1:]


def warp(cost: ArrayLike) -> Path:
    """Return the cheapest path; of equals, read from its end, diagonal before up before left.

    Args:
        cost: distances ``[n, m]``.

    Raises:
        DataError: not a table, or NaN or infinite distances.
    """
    table = _accumulated(cost, np.minimum)
    flat, width = memoryview(table.reshape(-1).data), table.shape[1]
    at, path = table.size - 1, []
    while at > width + 1:
        path.append(at)
        diagonal, up, left = flat[at - width - 1], flat[at - width], flat[at - 1]
        if diagonal <= up and diagonal <= left:
            at -= width + 1
        else:
            at -= width if up <= left else 1
    path.append(at)
    cells = np.array(path[::-1])
    return Path(cells // width - 1, cells % width - 1, float(table[-1, -1]))


def soft_alignment(cost: ArrayLike, gamma: float) -> Floats:
    """Return how much each pair of frames is matched over all paths ``[n, m]``, in 0 .. 1.

    It is the gradient of soft-DTW with respect to the distances (Cuturi and Blondel 2017, algorithm
    2); as gamma goes to 0 it becomes the path of DTW.

    Args:
        cost: distances ``[n, m]``.
        gamma: softness, above 0.

    Raises:
        UsageError: gamma not above 0.
        DataError: see :func:`warp`.
    """
    if not gamma > 0:
        raise UsageError(f"gamma must be above 0, got {gamma}.")
    costs = _checked(cost)

    def softly(a: Floats, b: Floats) -> Floats:
        least: Floats = np.logaddexp(a / -gamma, b / -gamma) * -gamma
        return least

    # Every path through a cell is one that leads to it and one that leads from it to the end.
    ahead, back = _accumulated(costs, softly), _accumulated(costs[::-1, ::-1], softly)
    through = ahead[1:, 1:] + back[1:, 1:][::-1, ::-1] - costs
    share: Floats = np.exp(np.minimum((ahead[-1, -1] - through) / gamma, 0))
    return share


def expected_partners(share: ArrayLike) -> Floats:
    """Return the mean column of each row, weighted by ``share [n, m]``: a soft time map."""
    weights = np.asarray(share, np.float64)
    mean: Floats = weights @ np.arange(weights.shape[1]) / weights.sum(axis=1)
    return mean


def _checked(cost: ArrayLike) -> Floats:
    costs = np.asarray(cost, np.float64)
    if costs.ndim != 2 or 0 in costs.shape or not np.isfinite(costs).all():
        raise DataError(
            f"Distances must be a table [frames, frames] of finite numbers; got shape "
            f"{costs.shape} and {np.count_nonzero(~np.isfinite(costs))} others."
        )
    return costs


def _accumulated(cost: ArrayLike, least: Callable[[Floats, Floats], Floats]) -> Floats:
    """Return accumulated costs behind a border that no path comes from ``[n + 1, m + 1]``."""
    costs = _checked(cost)
    n, m = costs.shape
    table = np.full((n + 1, m + 1), np.inf)
    table[1:, 1:] = costs
    table[0, 0] = 0
    flat = table.reshape(-1)
    for total in range(2, n + m + 1):
        # Cells with i + j = total: a step down and to the left is m further in the flat table.
        first = max(1, total - m) * m + total
        end = min(n, total - 1) * m + total + 1
        best = least(flat[first - m - 2 : end - m - 2 : m], flat[first - m - 1 : end - m - 1 : m])
        here = flat[first:end:m]
        np.add(here, least(best, flat[first - 1 : end - 1 : m]), out=here)
    return table
