"""The time map: which moment of one video corresponds to each moment of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from actionspace.alignment.match import Floats, Method, align
from actionspace.errors import UsageError
from actionspace.features.track import Track
from actionspace.paths import atomic_path

if TYPE_CHECKING:
    import pandas as pd

#: Pairs of rows that a warping path is looked for in; their table takes 8 bytes a pair, and the
#: search about three such tables (soft-DTW six).
MOST_PAIRS = 100_000_000


@dataclass(frozen=True, eq=False)
class TimeMap:
    """For each row of one video the moment of another that matches it.

    Attributes:
        source: the video whose rows are mapped.
        target: the video they are found in.
        times: moments of the target in seconds ``[rows of source]``.
        distances: between the embeddings that were matched ``[rows of source]``.
    """

    source: Track
    target: Track
    times: Floats
    distances: Floats

    def at(self, seconds: ArrayLike) -> Floats:
        """Return moments of the target for moments of the source, both in seconds.

        Linear between rows, held beyond the first and last. The result never falls while the
        moments do not: a map that goes back (nearest neighbours may) is replaced by the rising one
        next to it in the least-squares sense.
        """
        from scipy.optimize import isotonic_regression

        rising = isotonic_regression(self.times).x
        return np.asarray(np.interp(np.asarray(seconds), self.source.times, rising))


def time_map(
    source: Track,
    target: Track,
    method: Method = "dtw",
    *,
    distance: str = "cosine",
    gamma: float = 0.1,
) -> TimeMap:
    """Find for each row of a video the moment of another one that matches it.

    Args:
        source: the video whose rows are mapped.
        target: the video they are found in.
        method: see :func:`~.match.align`.
        distance: between embeddings; that of their directions is the same for features of any
            scale, and ranks L2-normalised embeddings as their squared distance does.
        gamma: softness of "soft_dtw", in units of the distance.

    Raises:
        UsageError: an unknown method or distance, or too many pairs of rows for a path.
        DataError: embeddings of different widths, or without direction (zeros).
    """
    from scipy.spatial.distance import cdist

    pairs = len(source.times) * len(target.times)
    if method != "nearest" and pairs > MOST_PAIRS:
        stride = int(np.ceil(np.sqrt(pairs / MOST_PAIRS)))
        raise UsageError(
            f"A path through {len(source.times)} rows of {source.name} and {len(target.times)} of "
            f"{target.name} takes too much memory. Take every {stride}th row (every={stride}), or "
            "method=nearest."
        )
    a, b = source.embeddings, target.embeddings
    matched = align(a, b, method, distance=distance, gamma=gamma)
    apart = [cdist(a[i : i + 1], b[j : j + 1], distance)[0, 0] for i, j in enumerate(matched)]
    return TimeMap(source, target, target.times[matched], np.array(apart))


def time_table(maps: Sequence[TimeMap]) -> pd.DataFrame:
    """Return maps from one reference as a table, a row per row of the reference and video.

    Columns: ``video``, ``reference_time`` and ``time`` (seconds), ``distance``.
    """
    import pandas as pd

    return pd.concat(
        [
            pd.DataFrame(
                {
                    "video": found.target.name,
                    "reference_time": found.source.times,
                    "time": found.times,
                    "distance": found.distances,
                }
            )
            for found in maps
        ],
        ignore_index=True,
    )


def write_table(table: pd.DataFrame, out: str | Path) -> Path:
    """Write a table as CSV, times and distances with six digits behind the point."""
    with atomic_path(out) as tmp:
        table.to_csv(tmp, index=False, float_format="%.6f", lineterminator="\n")
    return Path(out)
