"""Phase classification of frames: the small classifiers by which frame embeddings are compared.

``logistic`` is CARL's (softmax over all phases, C = 1, nothing standardised), ``svm`` that of TCC,
LAV and AE2 (``sklearn.svm.SVC()``: RBF kernel, C = 1, gamma "scale"). Their figures do not compare.
With two phases CARL's softmax has two weight vectors and so half the penalty of the usual binary
logistic regression; that is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import DataError, UsageError
from actionspace.heads.logistic import fit_logistic
from actionspace.metrics.frame_retrieval import as_phases
from actionspace.metrics.inputs import Ints
from actionspace.metrics.neighbours import Rows, as_videos

Classifier = Literal["logistic", "svm"]
Score = Literal["accuracy", "weighted_f1"]


@dataclass(frozen=True)
class Spread:
    """Scores of several episodes: their mean and the half width of its 95 % interval (t)."""

    mean: float
    half_width: float
    episodes: tuple[float, ...]


def fit_phases(
    x: ArrayLike, y: ArrayLike, classifier: Classifier = "logistic"
) -> Callable[[ArrayLike], Ints]:
    """Fit a classifier on frames ``[N, D]`` with phases ``[N]``; return what predicts phases.

    Where all frames are of one phase, that phase is predicted.

    Raises:
        UsageError: an unknown classifier.
        DataError: features or labels that do not fit.
    """
    if classifier not in get_args(Classifier):
        raise UsageError(f"classifier is one of {get_args(Classifier)}, not {classifier!r}.")
    features = np.asarray(x)
    present, codes = np.unique(np.asarray(y), return_inverse=True)
    if len(features) != len(codes) or not len(codes):
        raise DataError(f"{len(codes)} labels for {len(features)} frames: give one per frame.")
    if len(present) == 1:
        return lambda frames: np.full(len(np.asarray(frames)), present[0], np.int64)
    if classifier == "svm":
        from sklearn.svm import SVC

        machine = SVC().fit(features, codes)
        return lambda frames: present[machine.predict(np.asarray(frames))].astype(np.int64)
    # C = 1 of scikit-learn is the penalty 1 / N of a mean loss.
    path = fit_logistic(
        features, codes, classes=len(present), strengths=[1 / len(codes)], standardize=False
    )
    weight, bias = path.weight[0], path.bias[0]
    return lambda frames: present[(np.asarray(frames) @ weight.T + bias).argmax(axis=1)].astype(
        np.int64
    )


def phase_score(truth: ArrayLike, prediction: ArrayLike, score: Score = "accuracy") -> float:
    """Return accuracy over frames, or F1 averaged over true phases by their frames (AE2).

    Raises:
        UsageError: another score.
    """
    true, guess = np.asarray(truth), np.asarray(prediction)
    if score == "accuracy":
        return float((true == guess).mean())
    if score != "weighted_f1":
        raise UsageError(f"score is one of {get_args(Score)}, not {score!r}.")
    values, counts = np.unique(true, return_counts=True)
    hits = np.array([((true == v) & (guess == v)).sum() for v in values])
    guessed = np.array([(guess == v).sum() for v in values])
    return float((2 * hits / (counts + guessed) * counts).sum() / counts.sum())


def classify_phases(
    train: Sequence[ArrayLike],
    train_labels: Sequence[ArrayLike],
    validation: Sequence[ArrayLike],
    validation_labels: Sequence[ArrayLike],
    *,
    classifier: Classifier = "logistic",
    score: Score = "accuracy",
) -> tuple[float, float]:
    """Fit on the frames of all training videos; return the score on them and on the others.

    Args:
        train, validation: embeddings ``[frames, D]`` per video.
        train_labels, validation_labels: phases ``[frames]`` per video.
        classifier: see the module.
        score: see :func:`phase_score`.
    """
    x, y = _table(train, train_labels)
    held_x, held_y = _table(validation, validation_labels)
    predict = fit_phases(x, y, classifier)
    return phase_score(y, predict(x), score), phase_score(held_y, predict(held_x), score)


def first_videos(fraction: float, videos: int) -> int:
    """Return how many training videos, in file order, a fraction of them means: at least one."""
    return max(1, int(fraction * videos))


def few_shot(
    train: Sequence[ArrayLike],
    train_labels: Sequence[ArrayLike],
    validation: Sequence[ArrayLike],
    validation_labels: Sequence[ArrayLike],
    *,
    shots: Sequence[int] = tuple(range(1, 11)),
    episodes: int = 50,
    classifier: Classifier = "svm",
    score: Score = "accuracy",
    seed: int = 42,
) -> dict[int, Spread]:
    """Return the score on validation frames after learning from few labelled videos (TCC).

    Every episode takes that many training videos at random. With the defaults these are TCC's own
    draws: NumPy's legacy generator with seed 42, all episodes of one number of videos before those
    of the next.

    Args:
        train, validation: embeddings ``[frames, D]`` per video.
        train_labels, validation_labels: phases ``[frames]`` per video.
        shots: numbers of labelled videos; more than there are means all.
        episodes: draws for each number.
        classifier, score: see the module and :func:`phase_score`.
        seed: of the draws.

    Raises:
        UsageError: no episode, or a number of videos below 1.
    """
    if episodes < 1 or not shots or min(shots) < 1:
        raise UsageError(f"episodes={episodes} and shots={list(shots)} must be at least 1.")
    arrays = as_videos(train)
    phases = as_phases(train_labels, [len(array) for array in arrays])
    held_x, held_y = _table(validation, validation_labels)
    random = np.random.RandomState(seed)
    draws = {k: [random.permutation(len(arrays))[:k] for _ in range(episodes)] for k in shots}

    def episode(videos: NDArray[np.int64]) -> float:
        x = np.concatenate([arrays[v] for v in videos])
        y = np.concatenate([phases[v] for v in videos])
        return phase_score(held_y, fit_phases(x, y, classifier)(held_x), score)

    return {k: _spread([episode(videos) for videos in draws[k]]) for k in shots}


def _spread(scores: list[float]) -> Spread:
    from scipy import stats

    mean = float(np.mean(scores))
    if len(scores) == 1:
        return Spread(mean, float("nan"), tuple(scores))
    error = float(np.std(scores, ddof=1) / np.sqrt(len(scores)))
    return Spread(mean, float(stats.t.ppf(0.975, len(scores) - 1)) * error, tuple(scores))


def _table(videos: Sequence[ArrayLike], labels: Sequence[ArrayLike]) -> tuple[Rows, Ints]:
    arrays = as_videos(videos)
    phases = as_phases(labels, [len(array) for array in arrays])
    return np.concatenate(arrays), np.concatenate(phases)
