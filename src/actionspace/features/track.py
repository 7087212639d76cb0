"""One vector and one moment per row: what comparing videos in time needs of their features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import DataError
from actionspace.features.store import VideoFeatures

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Track:
    """The embeddings of one video over time.

    Attributes:
        name: of the video.
        embeddings: ``[N, D]`` float32 or float64, finite.
        times: middle of each row in seconds ``[N]`` float64, rising.
        duration: of the video in seconds.
    """

    name: str
    embeddings: NDArray[np.floating]
    times: Floats
    duration: float

    @classmethod
    def of(
        cls, name: str, embeddings: ArrayLike, times: ArrayLike, duration: float | None = None
    ) -> Track:
        """Check the arrays of a video.

        Args:
            name: of the video.
            embeddings: ``[N, D]``.
            times: ``[N]`` seconds.
            duration: seconds; None = half a row beyond the last.

        Raises:
            DataError: no row, NaN, lengths that differ, or times that do not rise.
        """
        rows = np.asarray(embeddings)
        rows = rows.astype(np.result_type(np.float32, rows), copy=False)
        at = np.asarray(times, np.float64)
        if rows.ndim != 2 or not len(rows) or at.shape != rows.shape[:1]:
            raise DataError(
                f"{name}: embeddings {list(rows.shape)} and times {list(at.shape)} do not fit; "
                "expected [N, D] and [N], of one row or more."
            )
        if not np.isfinite(rows).all():
            row = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise DataError(f"{name}: row {row} of the embeddings is NaN or infinite.")
        if not (np.diff(at) > 0).all():
            raise DataError(
                f"{name}: the times of the rows do not rise. Features of a dense grid "
                "(rows=dense) are in order of time; those of events are not."
            )
        step = float(np.median(np.diff(at))) if len(at) > 1 else 0.0
        return cls(name, rows, at, float(at[-1]) + step / 2 if duration is None else duration)

    @classmethod
    def of_features(cls, name: str, found: VideoFeatures) -> Track:
        """Take a video of a feature store, several views or tokens of a row as their mean.

        Raises:
            DataError: see :meth:`of`.
        """
        end = float(found.times[:, 1].max()) if len(found) else 0.0
        duration = float(found.meta.get("duration") or end)
        return cls.of(name, pooled(found.features), found.times.mean(axis=1), duration)

    def every(self, stride: int) -> Track:
        """Return each ``stride``-th row: coarser in time, but longer videos fit in memory."""
        rows, times = self.embeddings[::stride], self.times[::stride]
        return Track(self.name, rows, times, self.duration)

    def spans(self) -> Floats:
        """Return the stretch of time each row stands for ``[N, 2]``: borders in the middle."""
        middles = (self.times[1:] + self.times[:-1]) / 2
        end = max(self.duration, float(self.times[-1]))
        return np.stack([np.append(0.0, middles), np.append(middles, end)], axis=1)


def pooled(features: np.ndarray) -> NDArray[np.floating]:
    """Return ``[N, D]``, at least float32, of stored features: the mean of views and tokens."""
    rows = features.astype(np.result_type(np.float32, features), copy=False)
    return rows if rows.ndim == 2 else rows.mean(axis=tuple(range(1, rows.ndim - 1)))
