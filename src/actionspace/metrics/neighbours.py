"""Nearest frames among the frames of many videos: one matrix product, then the doubtful ones again.

Squared distances by expansion, ``|q|^2 + |c|^2 - 2 q c`` in float32, are an order of magnitude
faster than pair by pair but round, and would break ties anyhow. So every candidate that rounding
could have made the nearest is measured again as ``|q - c|^2`` in float64: the result is that of
measuring all of them so, the first one winning ties.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.metrics.inputs import Floats, Ints

EXPANDED = ("sqeuclidean", "euclidean")
"""Distances found by the expansion; they order frames alike."""

DISTANCES = (*EXPANDED, "cosine", "cityblock", "chebyshev", "correlation")

TILE = 1 << 19
"""Distances held at a time where every video is searched by itself: they stay in the cache."""

BLOCK = 1 << 23
"""Distances held at a time where all videos are searched together, or two long ones."""

Rows = NDArray[np.floating]


def as_videos(videos: Sequence[ArrayLike]) -> list[Rows]:
    """Return embeddings of videos, ``[frames, D]`` each, all float32 or all float64.

    Raises:
        DataError: no video, one without frames or of another width, NaN or infinite values.
    """
    arrays = [np.asarray(video) for video in videos]
    if not arrays:
        raise DataError("There are no videos to compare: give embeddings of at least one.")
    for i, array in enumerate(arrays):
        if array.ndim != 2 or 0 in array.shape or array.shape[1:] != arrays[0].shape[1:]:
            raise DataError(
                f"Embeddings of video {i} have shape {array.shape}; expected [frames, D] with at "
                f"least one frame and the width of video 0, {arrays[0].shape[1:]}."
            )
        if not np.isfinite(array).all():
            row = np.flatnonzero(~np.isfinite(array).all(axis=1))[0]
            raise DataError(f"Embedding of frame {row} of video {i} is NaN or infinite.")
    common = np.result_type(np.float32, *arrays)
    return [array.astype(common, copy=False) for array in arrays]


@dataclass(frozen=True)
class Pool:
    """Frames of several videos made ready to be searched.

    Attributes:
        rows: all frames ``[R, D]`` float64, video after video.
        starts: where each video begins in ``rows``, and where the last ends ``[V + 1]``.
        scaled: the same in columns, centred and at most of length 1, then the square of their
            length, then 1; ``[D + 2, R]`` float32 (so that products are taken without a copy).
        doubt: by how much two values of the expansion can be in the wrong order.
        distance: one of ``DISTANCES``.
    """

    rows: Floats
    starts: Ints
    scaled: NDArray[np.float32]
    doubt: float
    distance: str

    @classmethod
    def of(cls, videos: Sequence[ArrayLike], distance: str = "sqeuclidean") -> Pool:
        """Prepare videos of ``[frames, D]`` each.

        Raises:
            DataError: see :func:`as_videos`.
            UsageError: an unknown distance.
        """
        if distance not in DISTANCES:
            raise UsageError(
                f"Unknown distance '{distance}'; use one of {', '.join(DISTANCES)}."
                f"{did_you_mean(distance, DISTANCES)}"
            )
        arrays = as_videos(videos)
        rows = np.concatenate(arrays).astype(np.float64)
        centred = rows - rows.mean(axis=0)
        # Twice, so that neither a huge nor a tiny length overflows when squared.
        centred /= max(centred.max(), -centred.min()) or 1.0
        square = np.einsum("nd,nd->n", centred, centred)
        longest = square.max() or 1.0
        centred /= np.sqrt(longest)
        scaled = np.ones((rows.shape[1] + 2, len(rows)), np.float32)
        scaled[:-2], scaled[-2] = centred.T, square / longest
        # Two sums of D + 2 products of rounded factors; the products of each add up to at most 4.
        doubt = 4 * (rows.shape[1] + 8) * float(np.finfo(np.float32).eps)
        starts = np.cumsum([0, *map(len, arrays)])
        return cls(rows, starts, scaled, doubt, distance)

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.starts) - 1

    def frames_of(self, video: int) -> slice:
        """Return where a video's frames lie in ``rows``."""
        return slice(int(self.starts[video]), int(self.starts[video + 1]))

    def nearest_in_each(self) -> NDArray[np.integer]:
        """Return for every frame the nearest frame of each video ``[R, V]``.

        Numbers count within the video that was searched. A frame's own video is not searched: the
        column holds the frame itself. Two videos are measured once, for both ways.
        """
        lengths = np.diff(self.starts)
        found = np.empty((len(self.rows), len(self)), np.min_scalar_type(int(lengths.max())))
        for video, length in enumerate(lengths):
            found[self.frames_of(video), video] = np.arange(length)
            if self.distance not in EXPANDED:
                self._measure_later(found, video)
                continue
            for others in self._later(video):
                width = int(self.starts[others.stop] - self.starts[others.start])
                for part in _parts(self.frames_of(video), width, BLOCK):
                    self._search_both_ways(found, video, part, others)
        return found

    def nearest_outside(self, query: int, k: int) -> Ints:
        """Return the ``k`` nearest frames of all other videos, nearest first, ``[frames, k]``.

        Numbers count in ``rows``. With fewer than ``k`` frames there, all of them are returned.
        """
        return self._nearest(query, k, outside=True)

    def nearest_inside(self, query: int, k: int) -> Ints:
        """Return the ``k`` nearest frames of the same video, each frame's own included."""
        return self._nearest(query, k, outside=False)

    def _nearest(self, query: int, k: int, outside: bool) -> Ints:
        own = self.frames_of(query)
        total = len(self.rows)
        near = own if not outside else slice(0, total)
        available = near.stop - near.start - (own.stop - own.start if outside else 0)
        k = min(k, available)
        if not k:
            return np.empty((own.stop - own.start, 0), np.int64)
        found = [
            self._best(part, near, own if outside else None, k)
            for part in _parts(own, near.stop - near.start, BLOCK)
        ]
        return np.concatenate(found)

    def _best(self, part: slice, near: slice, without: slice | None, k: int) -> Ints:
        """Return the ``k`` nearest of rows ``near``, but not ``without``, to rows ``part``."""
        if self.distance in EXPANDED:
            values = self._queries(part) @ self.scaled[:, near]
        else:
            values = self._measured(part, near)
        if without is not None:
            values[:, without] = np.inf
        if self.distance not in EXPANDED:
            nearest: Ints = np.argsort(values, axis=1, kind="stable")[:, :k] + near.start
            return nearest
        at, column = np.nonzero(values <= (_kth_bound(values, k) + self.doubt)[:, None])
        apart = self._apart(at + part.start, column + near.start)
        order = np.lexsort((column, apart, at))
        first = np.searchsorted(at[order], np.arange(len(values)))
        chosen: Ints = column[order][first[:, None] + np.arange(k)] + near.start
        return chosen

    def _queries(self, part: slice) -> NDArray[np.float32]:
        """Return rows whose product with ``scaled`` is the squared distance."""
        queries = -2 * self.scaled[:, part].T
        queries[:, -2], queries[:, -1] = 1, self.scaled[-2, part]
        return queries

    def _later(self, video: int) -> Iterator[slice]:
        """Cut the videos after one into runs whose distances from it stay in the cache."""
        most = max(1, TILE // (int(self.starts[video + 1]) - int(self.starts[video])))
        first = video + 1
        while first < len(self):
            last = int(np.searchsorted(self.starts, self.starts[first] + most, side="right")) - 1
            yield slice(first, max(last, first + 1))
            first = max(last, first + 1)

    def _measure_later(self, found: NDArray[np.integer], video: int) -> None:
        own = self.frames_of(video)
        for other in range(video + 1, len(self)):
            near = self.frames_of(other)
            apart = self._measured(own, near)
            found[own, other], found[near, video] = apart.argmin(axis=1), apart.argmin(axis=0)

    def _search_both_ways(
        self, found: NDArray[np.integer], video: int, part: slice, others: slice
    ) -> None:
        """Fill in ``found`` between some frames of a video and all frames of later ones."""
        begin, first = int(self.starts[video]), int(self.starts[others.start])
        near = slice(first, int(self.starts[others.stop]))
        starts = self.starts[others] - first
        lengths = np.diff(self.starts[others.start : others.stop + 1])
        values = self._queries(part) @ self.scaled[:, near]

        least = np.minimum.reduceat(values, starts, axis=1)
        close = values <= np.repeat(least + self.doubt, lengths, axis=1)
        query, column = np.divmod(np.flatnonzero(close), values.shape[1])
        owner = np.repeat(np.arange(len(lengths)), lengths)
        group = query * len(lengths) + owner[column]
        forth = self._settle(group, query + part.start, column + first)
        found[part, others] = forth.reshape(least.shape) - self.starts[others]

        close = values <= values.min(axis=0) + self.doubt
        query, column = np.divmod(np.flatnonzero(close), values.shape[1])
        back = self._settle(column, column + first, query + part.start)
        if part.start > begin:  # frames of earlier parts may be nearer
            rows, before = np.arange(near.start, near.stop), begin + found[near, video].astype(int)
            back = np.where(self._apart(rows, back) < self._apart(rows, before), back, before)
        found[near, video] = back - begin

    def _settle(self, group: Ints, query: Ints, candidate: Ints) -> Ints:
        """Return each group's nearest candidate, the first of equally near ones.

        Args:
            group: which search each candidate belongs to; each of ``0 .. highest`` has one or more.
            query: the row of ``rows`` that is searched for.
            candidate: a row that may be the nearest.
        """
        nearest = np.empty(int(group.max()) + 1, np.int64)
        nearest[group] = candidate
        if len(group) == len(nearest):
            return nearest
        doubtful = np.flatnonzero(np.bincount(group)[group] > 1)
        group, query, candidate = group[doubtful], query[doubtful], candidate[doubtful]
        order = np.lexsort((candidate, self._apart(query, candidate), group))
        group, candidate = group[order], candidate[order]
        first = np.flatnonzero(np.diff(group, prepend=-1))
        nearest[group[first]] = candidate[first]
        return nearest

    def _apart(self, a: Ints, b: Ints) -> Floats:
        """Return squared distances between rows ``a`` and ``b``."""
        apart = np.empty(len(a))
        step = max(1, BLOCK // self.rows.shape[1])
        for start in range(0, len(a), step):
            some = slice(start, start + step)
            difference = self.rows[a[some]] - self.rows[b[some]]
            apart[some] = np.einsum("nd,nd->n", difference, difference)
        return apart

    def _measured(self, part: slice, near: slice) -> Floats:
        from scipy.spatial.distance import cdist

        apart: Floats = cdist(self.rows[part], self.rows[near], self.distance)
        return apart


def _parts(rows: slice, width: int, most: int) -> Iterator[slice]:
    """Cut rows so that a part times ``width`` stays within ``most``."""
    step = max(1, most // width)
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop))


def _kth_bound(values: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Return a bound ``[N]`` that at least ``k`` values of each row do not exceed.

    It is the k-th least of the minima of disjoint sets, each of numbers far from one another, for
    neighbours in time are near together.
    """
    count = values.shape[1]
    sets = max(4 * k, count // 16)
    if sets < count:
        whole = count // sets * sets
        minima = values[:, :whole].reshape(len(values), -1, sets).min(axis=1)
        bound: NDArray[np.float32] = np.partition(minima, k - 1, axis=1)[:, k - 1]
        # Sets of nothing but frames that are left out bound nothing.
        if np.isfinite(bound).all():
            return bound
    exact: NDArray[np.float32] = np.partition(values, k - 1, axis=1)[:, k - 1]
    return exact
