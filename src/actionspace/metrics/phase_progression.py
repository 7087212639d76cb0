"""Phase progression: how far a frame is from each phase's end, read off linearly (TCC's measure).

For the boundary after phase k the target of frame t is ``(t - last frame of phase k) / frames``;
linear regression on the frames of the training videos, R² on all frames of the others.

What a video without phase k has as target differs: CARL and TCC stop (``refuse``), LAV puts the
boundary before the first frame (``start``), AE2 leaves the video out of that boundary (``skip``)
and has a boundary after the last phase as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import DataError, UsageError
from actionspace.metrics.frame_retrieval import as_phases
from actionspace.metrics.inputs import Floats, Ints, mean_or_nan
from actionspace.metrics.neighbours import Rows, as_videos

Missing = Literal["refuse", "start", "skip"]


@dataclass(frozen=True)
class Progression:
    """R² of phase progression.

    Attributes:
        train, validation: mean over boundaries.
        per_boundary: R² on the validation videos for each boundary; NaN where no training or no
            validation video has the phase (left out of the mean).
    """

    train: float
    validation: float
    per_boundary: tuple[float, ...]


def progression_targets(
    labels: ArrayLike, boundaries: int, missing: Missing = "refuse", video: str = "the video"
) -> Floats:
    """Return targets ``[frames, boundaries]`` of one video; NaN columns for skipped phases.

    Raises:
        DataError: a phase is missing and ``missing`` is "refuse".
    """
    phases = np.asarray(labels)
    frames = len(phases)
    last = np.empty(boundaries)
    for k in range(boundaries):
        found = np.flatnonzero(phases == k)
        if not len(found) and missing == "refuse":
            raise DataError(
                f"Phase {k} does not occur in {video}, so its end has no place. Leave the video "
                f"out, or measure with missing='skip' (AE2) or 'start' (LAV)."
            )
        last[k] = found[-1] if len(found) else (-1 if missing == "start" else np.nan)
    targets: Floats = (np.arange(frames, dtype=np.float64)[:, None] - last) / frames
    return targets


def phase_progression(
    train: Sequence[ArrayLike],
    train_labels: Sequence[ArrayLike],
    validation: Sequence[ArrayLike],
    validation_labels: Sequence[ArrayLike],
    *,
    boundaries: int,
    missing: Missing = "refuse",
) -> Progression:
    """Fit on training videos and measure on both.

    Args:
        train, validation: embeddings ``[frames, D]`` per video.
        train_labels, validation_labels: phases ``[frames]`` per video.
        boundaries: number of phases whose end is predicted (phases - 1; with AE2, phases).
        missing: see the module.

    Raises:
        DataError: a phase is missing where that is refused, or labels do not fit the frames.
        UsageError: another ``missing`` or no boundary.
    """
    if missing not in get_args(Missing) or boundaries < 1:
        raise UsageError(
            f"missing is one of {get_args(Missing)} and boundaries at least 1; got {missing!r} and "
            f"{boundaries}."
        )
    x, y = _table(train, train_labels, boundaries, missing, "training")
    held_x, held_y = _table(validation, validation_labels, boundaries, missing, "validation")
    scores = np.array([_boundary(x, y[:, k], held_x, held_y[:, k]) for k in range(boundaries)])
    means = [mean_or_nan(column[~np.isnan(column)]) for column in scores.T]
    return Progression(means[0], means[1], tuple(float(s) for s in scores[:, 1]))


def _table(
    videos: Sequence[ArrayLike],
    labels: Sequence[ArrayLike],
    boundaries: int,
    missing: Missing,
    split: str,
) -> tuple[Rows, Floats]:
    arrays = as_videos(videos)
    phases: list[Ints] = as_phases(labels, [len(array) for array in arrays])
    targets = [
        progression_targets(video, boundaries, missing, f"{split} video {i}")
        for i, video in enumerate(phases)
    ]
    return np.concatenate(arrays), np.concatenate(targets)


def _boundary(x: Rows, y: Floats, held_x: Rows, held_y: Floats) -> tuple[float, float]:
    """Return R² on the fitted and on the held-out rows of one boundary.

    Fitted in the precision of the embeddings, as scikit-learn does: with few frames the float32
    solution is visibly another one.
    """
    from scipy.linalg import lstsq

    known, held = ~np.isnan(y), ~np.isnan(held_y)
    if not known.any():
        return float("nan"), float("nan")
    aims = y[known].astype(x.dtype)
    mean, level = x[known].mean(axis=0), aims.mean()
    slope = lstsq(x[known] - mean, aims - level)[0]
    constant = level - mean @ slope

    def score(rows: Rows, truth: Floats) -> float:
        return r_squared(truth, rows @ slope + constant) if len(truth) else float("nan")

    return score(x[known], y[known]), score(held_x[held], held_y[held])


def r_squared(truth: Floats, prediction: Floats) -> float:
    """Return the coefficient of determination; of a constant truth 1 if predicted exactly, else 0.

    NaN for a single value, as scikit-learn has it.
    """
    if len(truth) < 2:
        return float("nan")
    missed = float(np.square(truth - prediction).sum())
    spread = float(np.square(truth - truth.mean()).sum())
    return 1 - missed / spread if spread else float(missed == 0)
