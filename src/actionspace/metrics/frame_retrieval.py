"""Retrieval of frames of the same phase, by the three definitions that are published as AP@K.

* ``precision_others`` (CARL): the share of a frame's K nearest frames in *other* videos that are of
  its phase; mean over a video's frames, then over videos.
* ``precision_own`` (LAV): the same among the frames of the *same* video, each frame itself being
  its own first neighbour: high for any embedding that changes slowly.
* ``mean_average_precision`` (AE2): mean over all frames of average precision within the K nearest
  frames of other videos (precision at each hit, averaged over the hits; 0 without a hit).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import DataError, UsageError
from actionspace.metrics.inputs import Bools, Floats, Ints, mean_or_nan
from actionspace.metrics.neighbours import Pool, as_videos

Retrieval = Literal["precision_others", "precision_own", "mean_average_precision"]


def retrieval_at_k(
    videos: Sequence[ArrayLike],
    labels: Sequence[ArrayLike],
    ks: Sequence[int] = (5, 10, 15),
    *,
    definition: Retrieval = "precision_others",
    stride: int = 1,
    distance: str = "sqeuclidean",
) -> dict[int, float]:
    """Return the figure of each K; NaN where there is nothing to search.

    Args:
        videos: embeddings ``[frames, D]`` each.
        labels: phases ``[frames]`` each.
        ks: with fewer than K frames to search, all of them are used.
        definition: see the module.
        stride: every which frame is used, of queries and searched frames.
        distance: one of ``neighbours.DISTANCES``. Of equally near frames the first counts.

    Raises:
        DataError: labels that do not fit the frames; see also ``neighbours.as_videos``.
        UsageError: an unknown definition or distance, a stride or K below 1.
    """
    if definition not in get_args(Retrieval):
        raise UsageError(f"definition is one of {get_args(Retrieval)}, not {definition!r}.")
    if stride < 1 or not ks or min(ks) < 1:
        raise UsageError(f"stride={stride} and K={list(ks)} must be at least 1.")
    arrays = as_videos(videos)
    phases = as_phases(labels, [len(array) for array in arrays])
    pool = Pool.of([array[::stride] for array in arrays], distance)
    phase = np.concatenate([video[::stride] for video in phases])
    per_video = []
    for i in range(len(pool)):
        search = pool.nearest_inside if definition == "precision_own" else pool.nearest_outside
        hits = phase[search(i, max(ks))] == phase[pool.frames_of(i)][:, None]
        per_video.append(np.stack([_per_frame(hits[:, :k], definition) for k in ks], axis=1))
    if definition == "mean_average_precision":
        values = np.concatenate(per_video)
    else:
        values = np.stack([frames.mean(axis=0) for frames in per_video])
    return {
        k: mean_or_nan(column[~np.isnan(column)]) for k, column in zip(ks, values.T, strict=True)
    }


def as_phases(labels: Sequence[ArrayLike], lengths: Sequence[int]) -> list[Ints]:
    """Return one array of whole numbers per video.

    Raises:
        DataError: another number of videos or frames, or labels that are no whole numbers.
    """
    if len(labels) != len(lengths):
        raise DataError(f"There are labels for {len(labels)} videos and {len(lengths)} videos.")
    arrays = [np.asarray(video) for video in labels]
    for i, (array, length) in enumerate(zip(arrays, lengths, strict=True)):
        if array.shape != (length,):
            raise DataError(
                f"Video {i} has {length} frames and labels of shape {array.shape}; give one label "
                f"per frame."
            )
        if array.dtype.kind not in "iuf" or (array != np.floor(array)).any():
            raise DataError(f"Labels of video {i} must be whole numbers.")
    return [array.astype(np.int64) for array in arrays]


def _per_frame(hits: Bools, definition: Retrieval) -> Floats:
    """Return the figure of each query ``[n]`` from its hits ``[n, k]``, NaN with k = 0."""
    if not hits.shape[1]:
        return np.full(len(hits), np.nan)
    if definition != "mean_average_precision":
        share: Floats = hits.mean(axis=1)
        return share
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    found = hits.sum(axis=1)
    average: Floats = (precision * hits).sum(axis=1) / np.maximum(found, 1)
    return average
