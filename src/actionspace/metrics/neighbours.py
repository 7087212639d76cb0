"""Nearest frames among the frames of many videos: one matrix product, then the doubtful ones again.

Squared distances by expansion, ``|c|^2 - 2 q c`` in float32, are an order of magnitude faster than
pair by pair but round, and would break ties anyhow. So every candidate that rounding could have
made the nearest is measured again as ``|q - c|^2`` in float64: the result is that of measuring all
of them so, the first one winning ties.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

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
"""Distances held at a time where all videos are searched together."""

PADDING = 1e9
"""Stands for the distance to a frame that is not there; true ones are at most 4 once scaled."""

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
        scaled: the same, centred and at most of length 1, with the square of their length as a
            last column, ``[R, D + 1]`` float32.
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
        centred /= np.abs(centred).max() or 1.0
        centred /= np.sqrt(np.square(centred).sum(axis=1).max()) or 1.0
        scaled = np.empty((len(rows), rows.shape[1] + 1), np.float32)
        scaled[:, :-1] = centred
        scaled[:, -1] = np.square(centred).sum(axis=1)
        # A sum of D + 1 float32 products of factors up to 2 and 1, for each of two values.
        doubt = 4 * (rows.shape[1] + 4) * float(np.finfo(np.float32).eps)
        starts = np.cumsum([0, *map(len, arrays)])
        return cls(rows, starts, scaled, doubt, distance)

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.starts) - 1

    def frames_of(self, video: int) -> slice:
        """Return where a video's frames lie in ``rows``."""
        return slice(int(self.starts[video]), int(self.starts[video + 1]))

    def nearest_in_each(self, query: int) -> Ints:
        """Return for each frame of one video the nearest frame of every video ``[frames, V]``.

        Numbers count within the video that was searched; the query's own column is its frames.
        """
        own = self.frames_of(query)
        found = np.empty((own.stop - own.start, len(self)), np.int64)
        if self.distance not in EXPANDED:
            for video in range(len(self)):
                apart = self._measured(own, self.frames_of(video))
                found[:, video] = apart.argmin(axis=1)
            return found
        for part in _parts(own, int(np.diff(self.starts).max()), TILE):
            queries, at = self._queries(part), slice(part.start - own.start, part.stop - own.start)
            for videos, table in self._tables:
                step = max(1, TILE // (len(queries) * table.shape[1]))
                for first in range(0, len(videos), step):
                    some, tile = videos[first : first + step], table[first : first + step]
                    values = queries @ tile.reshape(-1, tile.shape[2]).T
                    found[at, some] = self._settle(
                        values.reshape(-1, *tile.shape[:2]), part, self.starts[some]
                    )
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
            values = self._queries(part) @ self.scaled[near].T
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
        """Return rows whose product with ``scaled`` is the squared distance less ``|q|^2``."""
        queries = -2 * self.scaled[part]
        queries[:, -1] = 1
        return queries

    @cached_property
    def _tables(self) -> list[tuple[Ints, NDArray[np.float32]]]:
        """Videos of similar length and their frames ``[videos, longest, D + 1]``."""
        lengths = np.diff(self.starts)
        order, tables = np.argsort(lengths, kind="stable"), []
        while len(order):
            similar = np.searchsorted(lengths[order], 2 * lengths[order[0]], side="right")
            videos, order = order[:similar], order[similar:]
            table = np.zeros((len(videos), lengths[videos].max(), self.scaled.shape[1]), np.float32)
            table[..., -1] = PADDING
            for at, video in enumerate(videos):
                table[at, : lengths[video]] = self.scaled[self.frames_of(video)]
            tables.append((videos, table))
        return tables

    def _settle(self, values: NDArray[np.float32], part: slice, starts: Ints) -> Ints:
        """Return the nearest along the last axis of ``[q, V, L]``, measuring again where close."""
        nearest: Ints = values.argmin(axis=2)
        at = nearest[..., None]
        least = np.take_along_axis(values, at, axis=2)
        np.put_along_axis(values, at, np.inf, axis=2)
        close = (values.min(axis=2) <= least[..., 0] + self.doubt).nonzero()
        if len(close[0]):
            np.put_along_axis(values, at, least, axis=2)
            for some in np.array_split(np.arange(len(close[0])), -(-close[0].size // 4096)):
                q, v = close[0][some], close[1][some]
                pair, frame = np.nonzero(values[q, v] <= least[q, v] + self.doubt)
                apart = self._apart(q[pair] + part.start, frame + starts[v[pair]])
                order = np.lexsort((frame, apart, pair))
                first = np.searchsorted(pair[order], np.arange(len(q)))
                nearest[q, v] = frame[order][first]
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
