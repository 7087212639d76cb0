"""Class-agnostic proposals given the classes of their video (the rule usual on ActivityNet)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from actionspace.errors import DataError, UsageError, did_you_mean


def fuse_video_scores(
    proposals: pd.DataFrame,
    class_scores: Mapping[str, Sequence[float] | np.ndarray],
    classes: Sequence[str] | None = None,
    *,
    segments: int = 200,
    best: int = 2,
) -> pd.DataFrame:
    """Return each video's best proposals once for each of the video's best classes.

    The score becomes ``sqrt(class score x proposal score)``. Rows come video by video (by name),
    class by class, best first in each.

    Args:
        proposals: columns ``video``, ``start``, ``end``, ``score``; others are left out.
        class_scores: per video one score per class, in [0, 1].
        classes: the names of the classes; None = ``label`` becomes their numbers.
        segments: proposals kept per video.
        best: classes kept per video.

    Raises:
        DataError: a video without class scores, or with another number of them.
        UsageError: fewer than one segment or class is wanted.
    """
    if segments < 1 or best < 1:
        raise UsageError(f"Keep at least one segment and class, not {segments} and {best}.")
    parts = []
    for video, rows in proposals.groupby("video", sort=True):
        scores = _scores_of(str(video), class_scores, classes)
        top = rows.iloc[np.argsort(-rows["score"].to_numpy(), kind="stable")[:segments]]
        chosen = np.argsort(-scores, kind="stable")[:best]
        fused = np.sqrt(np.outer(scores[chosen], top["score"].to_numpy()))
        names = chosen if classes is None else np.array(classes, dtype=object)[chosen]
        spans = np.tile(top[["start", "end"]].to_numpy(), (len(chosen), 1))
        parts.append(
            pd.DataFrame(
                {
                    "video": video,
                    "start": spans[:, 0],
                    "end": spans[:, 1],
                    "label": np.repeat(names, len(top)),
                    "score": fused.ravel(),
                }
            )
        )
    if not parts:
        return pd.DataFrame(columns=["video", "start", "end", "label", "score"])
    return pd.concat(parts, ignore_index=True)


def _scores_of(
    video: str,
    class_scores: Mapping[str, Sequence[float] | np.ndarray],
    classes: Sequence[str] | None,
) -> np.ndarray:
    if video not in class_scores:
        raise DataError(
            f"There are no class scores for the video '{video}'; give one score per class."
            f"{did_you_mean(video, class_scores)}"
        )
    scores = np.asarray(class_scores[video], dtype=np.float64)
    wanted = scores.shape if classes is None else (len(classes),)
    if scores.ndim != 1 or scores.shape != wanted or not (scores >= 0).all():
        raise DataError(
            f"The class scores of '{video}' should be {len(classes) if classes else 'a list of'} "
            f"numbers of at least 0; they have the shape {scores.shape}."
        )
    return scores
