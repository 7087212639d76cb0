"""The moments of a feature store that are most like one of its moments, or like a text: exact."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actionspace.errors import DataError, UsageError
from actionspace.features.joined import Source
from actionspace.features.store import VideoFeatures
from actionspace.features.track import pooled
from actionspace.search.index import worth_searching

#: Rows whose similarity is worked out at a time.
BLOCK = 1 << 14

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)s?")


@dataclass(frozen=True)
class Query:
    """A moment to look for: a video of the store and seconds in it."""

    video: str
    time: float

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read ``VIDEO@SECONDS``: ``a.mp4@12.4``, ``a.mp4@12.4s``, ``a.mp4@1:02:03.5``.

        Raises:
            UsageError: it is written in another way.
        """
        video, at, moment = text.rpartition("@")
        found = _CLOCK.fullmatch(moment.strip())
        if not (at and video and found):
            raise UsageError(
                f"'{text}' is no moment of a video; write VIDEO@SECONDS, as rat.mp4@12.4s, or "
                "VIDEO@MIN:SEC."
            )
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return cls(video, 3600 * hours + 60 * minutes + seconds)


@dataclass(frozen=True)
class Moment:
    """A row of a store.

    Attributes:
        video: its name in the store.
        time: middle of the row in seconds.
        start, end: what the row covers, in seconds.
        similarity: cosine with the query, -1 .. 1.
    """

    video: str
    time: float
    start: float
    end: float
    similarity: float


def nearest(
    store: Source,
    query: Query | NDArray[np.float32],
    k: int = 12,
    *,
    apart: float = 2.0,
    elsewhere: bool = False,
    index: bool | None = None,
) -> list[Moment]:
    """Return the moments most like one of a store's, or most like a text; the most similar first.

    Every row is compared (cosine of the features, of several views their mean); the features of
    one video are in memory at a time. Of moments of one video that are less than ``apart`` seconds
    from each other only the most similar is returned, and none that near the query.

    Args:
        store: features that were made in one way.
        query: the row nearest to this moment is looked for; or a vector of length 1 ``[D]`` in the
            space of the features, see :func:`actionspace.encoders.text.text_encoder_of`.
        k: at most how many moments.
        apart: seconds between two moments of one video.
        elsewhere: only in other videos; a vector is of none.
        index: compare only the rows of videos that an index names, see :mod:`.index`; None = of a
            large store, where that is possible.

    Raises:
        UsageError: ``k`` below 1 or ``apart`` below 0; ``elsewhere`` with a vector; an index is
            asked for and not possible.
        StoreError: the query's video has no features.
        DataError: the moment lies outside its video, or its features are zero or NaN.
    """
    if k < 1 or apart < 0:
        raise UsageError(f"k must be 1 or more and apart 0 or more; got {k} and {apart}.")
    if isinstance(query, Query):
        direction, middle = _direction(store.get(query.video), query)
    elif elsewhere:
        raise UsageError("elsewhere leaves out the video of the query; a text is of no video.")
    else:
        direction, middle = query, 0.0
    best: list[Moment] = []
    # The moments lie in the k videos with the best rows, or the own one and k; the rest is slack.
    for video in worth_searching(store, direction, 2 * k + 8, index):
        own = isinstance(query, Query) and video == query.video
        if own and elsewhere:
            continue
        found = store.get(video)
        times = found.times.mean(axis=1)
        alike = similarities(found.features, direction)
        if own:
            alike[_near(times, middle, apart)] = -np.inf
        moments = [
            Moment(
                video,
                float(times[i]),
                float(found.times[i, 0]),
                float(found.times[i, 1]),
                float(alike[i]),
            )
            for i in _peaks(alike, times, k, apart)
        ]
        best = sorted([*best, *moments], key=lambda m: (-m.similarity, m.video, m.time))[:k]
    return best


def similarities(features: np.ndarray, direction: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine of each row with a vector of length 1, block by block ``[N]``.

    A row of zeros has 0, a row with NaN -inf.

    Args:
        features: ``[N, D]`` or ``[N, V, D]``.
        direction: ``[D]``.
    """
    out = np.zeros(len(features), np.float32)
    for first in range(0, len(features), BLOCK):
        rows = pooled(features[first : first + BLOCK]).astype(np.float32, copy=False)
        length = np.linalg.norm(rows, axis=1)
        out[first : first + BLOCK] = rows @ direction / np.where(length == 0, 1, length)
    return np.where(np.isnan(out), np.float32(-np.inf), out)


def _direction(found: VideoFeatures, query: Query) -> tuple[NDArray[np.float32], float]:
    """Return the query's features at length 1 ``[D]`` and the moment they are of."""
    end = float(found.meta.get("duration") or (found.times[:, 1].max() if len(found) else 0))
    if not len(found) or query.time > end:
        raise DataError(
            f"{query.video} has features of 0 to {end:.1f} s; {query.time:g} s lies outside."
        )
    times = found.times.mean(axis=1)
    row = int(np.abs(times - query.time).argmin())
    vector = pooled(found.features[row : row + 1])[0].astype(np.float32)
    length = float(np.linalg.norm(vector))
    if not (np.isfinite(length) and length > 0):
        raise DataError(f"The features of {query.video} at {query.time:g} s are zero or NaN.")
    return vector / np.float32(length), float(times[row])


def _near(times: np.ndarray, moment: float, apart: float) -> NDArray[np.bool_]:
    """Return which rows are less than ``apart`` seconds away, or at the moment itself."""
    gap = np.abs(times - moment)
    return np.asarray((gap < apart) | (gap == 0))


def _peaks(alike: NDArray[np.float32], times: np.ndarray, k: int, apart: float) -> list[int]:
    """Return the rows of the ``k`` best moments that keep apart, the best first."""
    left, found = alike.copy(), list[int]()
    while len(found) < k and len(left):
        best = int(left.argmax())
        if left[best] == -np.inf:
            break
        found.append(best)
        left[_near(times, float(times[best]), apart)] = -np.inf
    return found
