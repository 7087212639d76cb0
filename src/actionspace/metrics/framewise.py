"""Measures of frame-wise labelling (ethograms, phases): by frame, by agreement, by segment.

A labelling is one label per frame ``[T]`` (class numbers or names). Options shared by all measures:

* ``background``: a label for "nothing happening". Its segments do not count, and the mean of frame
  F1 leaves it out; accuracy and kappa keep its frames.
* ``weights`` ``[T]``: the duration of each frame in seconds, for a variable frame rate. Frame
  measures are then shares of time, and segments overlap in seconds instead of frames.
* ``mask`` ``[T]``: the frames that were annotated. Others are left out, and no segment continues
  across them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import DataError, UsageError
from actionspace.metrics import segments
from actionspace.metrics.confusion import count_pairs, mean_f1
from actionspace.metrics.inputs import Bools, Floats, Ints, as_weights, or_nan
from actionspace.metrics.segments import Segments


@dataclass(frozen=True)
class Pair:
    """Two labellings of the same annotated frames as codes into ``classes``.

    ``truth``, ``guess``, ``weights``, ``breaks`` are ``[T]`` and ``edges`` ``[T, 2]`` (see
    :func:`segments.cut`); ``background`` is a code, -1 for none.
    """

    truth: Ints
    guess: Ints
    weights: Floats
    breaks: Bools
    edges: Floats
    classes: list[Any]
    background: int

    def confusion(self) -> Floats:
        """Return the weighted confusion matrix ``[C, C]``, rows truth."""
        return count_pairs(self.truth, self.guess, len(self.classes), self.weights)

    def segments(self) -> tuple[Segments, Segments]:
        """Return the segments of truth and guess without background."""
        first, second = (
            segments.cut(codes, self.edges, self.breaks, self.background)
            for codes in (self.truth, self.guess)
        )
        return first, second


def pair(
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    background: Any = None,
    weights: ArrayLike | None = None,
    mask: ArrayLike | None = None,
) -> Pair:
    """Return two labellings of the same frames in a common coding.

    Raises:
        DataError: labellings, weights or mask differ in length, or no frame is annotated.
    """
    return _pairs([truth], [prediction], background, [weights], [mask])[0]


def frame_accuracy(truth: ArrayLike, prediction: ArrayLike, **options: Any) -> float:
    """Return the share of frames (of time, with ``weights``) labelled alike."""
    return float(_accuracy(pair(truth, prediction, **options).confusion()))


def frame_f1(truth: ArrayLike, prediction: ArrayLike, **options: Any) -> float:
    """Return F1 over frames, averaged over the classes seen in either, without background."""
    p = pair(truth, prediction, **options)
    return float(mean_f1(p.confusion(), np.arange(len(p.classes)) == p.background))


def frame_f1_per_class(truth: ArrayLike, prediction: ArrayLike, **options: Any) -> dict[Any, float]:
    """Return F1 over frames of each class seen in either labelling, background included."""
    p = pair(truth, prediction, **options)
    values = _class_f1(p.confusion())
    return {c: float(v) for c, v in zip(p.classes, values, strict=True) if not np.isnan(v)}


def cohen_kappa(a: ArrayLike, b: ArrayLike, **options: Any) -> float:
    """Return Cohen's kappa of two labellings: agreement beyond chance, at most 1, symmetric.

    It serves model against human and human against human. NaN when both use one and the same label
    throughout, because chance then explains everything. Cohen 1960, "A Coefficient of Agreement for
    Nominal Scales".
    """
    return float(_kappa(pair(a, b, **options).confusion()))


def edit_score(truth: ArrayLike, prediction: ArrayLike, **options: Any) -> float:
    """Return 100 x (1 - edit distance of the segments' labels / longer length), in [0, 100].

    Two labellings without any segment agree: 100.
    """
    return segments.edit_score(*pair(truth, prediction, **options).segments())


def segmental_f1(
    truth: ArrayLike, prediction: ArrayLike, threshold: float = 0.5, **options: Any
) -> float:
    """Return the F1 of segments that overlap a true one of their label by IoU >= ``threshold``.

    Each true segment is matched once. Two labellings without any segment agree: 1.
    """
    cuts = pair(truth, prediction, **options).segments()
    return float(segments.f1(segments.match(*cuts, threshold)))


def framewise_metrics(
    truths: Sequence[ArrayLike],
    predictions: Sequence[ArrayLike],
    *,
    background: Any = None,
    weights: Sequence[ArrayLike | None] | None = None,
    masks: Sequence[ArrayLike | None] | None = None,
    thresholds: Sequence[float] = (0.1, 0.25, 0.5),
    average: str = "pooled",
) -> dict[str, float]:
    """Return every frame-wise measure over several videos under its name in ``metrics.json``.

    ``frame_accuracy, frame_f1, cohen_kappa, segmental_f1@0.10 ..., edit_score`` (the last 0..100).

    Args:
        truths: per video the true labels ``[T]``.
        predictions: per video the predicted labels ``[T]``.
        background: see the module.
        weights: per video the frames' durations.
        masks: per video which frames were annotated.
        thresholds: IoU thresholds of segmental F1.
        average: "pooled" counts the frames and segments of all videos together (edit score, which
            has no counts: mean over videos); "video" averages every measure over videos, as Lea et
            al. report, leaving out videos where it is NaN.

    Raises:
        UsageError: another ``average`` or a threshold outside (0, 1].
        DataError: lists of different length, or a video whose labellings do not fit.
    """
    if average not in ("pooled", "video"):
        raise UsageError(f"average is 'pooled' or 'video', not {average!r}.")
    tallies = tally(
        truths,
        predictions,
        background=background,
        weights=weights,
        masks=masks,
        thresholds=thresholds,
    )
    videos = np.eye(len(truths)) if average == "video" else np.ones((1, len(truths)))
    return {name: float(_nan_mean(v)) for name, v in tallies.measures(videos).items()}


@dataclass(frozen=True)
class Tallies:
    """What each of V videos contributes to the measures; pooling videos is adding these up.

    Attributes:
        confusion: ``[V, C, C]``, rows truth.
        matches: per threshold true positives, false positives, false negatives ``[V, 3]``.
        edit: edit scores ``[V]``.
        background: class code left out of the mean of frame F1; -1 for none.
    """

    confusion: Floats
    matches: dict[float, Floats]
    edit: Floats
    background: int

    def measures(self, counts: ArrayLike, *, resampled: bool = False) -> dict[str, Floats]:
        """Return every measure ``[R]`` with video v pooled ``counts[r, v]`` times ``[R, V]``.

        ``resampled`` leaves a class out of the mean of frame F1 where it is true in some video but
        in none of those drawn; see :mod:`.intervals`.
        """
        times = np.asarray(counts, dtype=np.float64)
        confusion = np.tensordot(times, self.confusion, axes=1)
        left_out = np.arange(confusion.shape[-1]) == self.background
        if resampled:
            ever_true = self.confusion.any(axis=(0, 2))
            left_out = left_out | (ever_true & ~confusion.any(axis=-1))
        return {
            "frame_accuracy": _accuracy(confusion),
            "frame_f1": mean_f1(confusion, left_out),
            "cohen_kappa": _kappa(confusion),
            **{f"segmental_f1@{t:.2f}": segments.f1(times @ m) for t, m in self.matches.items()},
            "edit_score": times @ self.edit / times.sum(axis=1),
        }


def tally(
    truths: Sequence[ArrayLike],
    predictions: Sequence[ArrayLike],
    *,
    background: Any = None,
    weights: Sequence[ArrayLike | None] | None = None,
    masks: Sequence[ArrayLike | None] | None = None,
    thresholds: Sequence[float] = (0.1, 0.25, 0.5),
) -> Tallies:
    """Return what each video contributes; arguments and errors of :func:`framewise_metrics`."""
    pairs = _pairs(truths, predictions, background, weights, masks)
    cuts = [p.segments() for p in pairs]
    return Tallies(
        confusion=np.stack([p.confusion() for p in pairs]),
        matches={
            t: np.array([segments.match(*c, t) for c in cuts], dtype=np.float64) for t in thresholds
        },
        edit=np.array([segments.edit_score(*c) for c in cuts]),
        background=pairs[0].background,
    )


def encode(labellings: Sequence[ArrayLike]) -> tuple[list[Ints], list[Any]]:
    """Return labellings as codes into their sorted common classes, and these classes.

    Only the first label of each run is sorted, so a long recording of names costs little.
    """
    arrays = [np.asarray(a) for a in labellings]
    starts = [
        np.flatnonzero(np.append(True, a[1:] != a[:-1])) if len(a) else np.zeros(0, np.int64)
        for a in arrays
    ]
    heads = np.concatenate([a[i] for a, i in zip(arrays, starts, strict=True)])
    classes, codes = np.unique(heads, return_inverse=True)
    pieces = np.split(codes.astype(np.int64), np.cumsum([len(i) for i in starts])[:-1])
    lengths = [np.diff(np.append(i, len(a))) for a, i in zip(arrays, starts, strict=True)]
    return [np.repeat(c, n) for c, n in zip(pieces, lengths, strict=True)], classes.tolist()


def _pairs(
    truths: Sequence[ArrayLike],
    predictions: Sequence[ArrayLike],
    background: Any,
    weights: Sequence[ArrayLike | None] | None,
    masks: Sequence[ArrayLike | None] | None,
) -> list[Pair]:
    n = len(truths)
    weights, masks = weights or [None] * n, masks or [None] * n
    if not n or not n == len(predictions) == len(weights) == len(masks):
        raise DataError(
            f"Expected one entry per video: {n} truths, {len(predictions)} predictions, "
            f"{len(weights)} weights, {len(masks)} masks."
        )
    for i, (a, b) in enumerate(zip(truths, predictions, strict=True)):
        if np.ndim(a) != 1 or np.shape(a) != np.shape(b):
            raise DataError(
                f"Labellings of video {i} are not of the same frames: {np.shape(a)}, {np.shape(b)}."
            )
    codes, classes = encode([*truths, *predictions])
    code = classes.index(background) if background in classes else -1
    return [
        _pair(codes[i], codes[n + i], weights[i], masks[i], classes, code, where=f"video {i}")
        for i in range(n)
    ]


def _pair(
    truth: Ints,
    guess: Ints,
    weights: ArrayLike | None,
    mask: ArrayLike | None,
    classes: list[Any],
    background: int,
    where: str,
) -> Pair:
    keep = np.ones(len(truth), bool) if mask is None else np.asarray(mask, bool)
    if keep.shape != truth.shape:
        raise DataError(f"The mask of {where} has shape {keep.shape}, its labels {truth.shape}.")
    if not keep.any():
        raise DataError(f"No frame of {where} is annotated: nothing to compare.")
    durations = as_weights(weights, len(truth))
    stop = np.cumsum(durations)
    edges = np.stack([np.append(0.0, stop[:-1]), stop], axis=1)
    breaks = np.append(True, ~keep[:-1])
    return Pair(
        truth[keep], guess[keep], durations[keep], breaks[keep], edges[keep], classes, background
    )


def _accuracy(confusion: Floats) -> Floats:
    right: Floats = np.trace(confusion, axis1=-2, axis2=-1)
    total: Floats = confusion.sum(axis=(-2, -1))
    return right / total


def _class_f1(confusion: Floats) -> Floats:
    """Return F1 per class ``[..., C]``, NaN for classes seen in neither."""
    both: Floats = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return 2 * np.diagonal(confusion, axis1=-2, axis2=-1) / or_nan(both)


def _kappa(confusion: Floats) -> Floats:
    total: Floats = confusion.sum(axis=(-2, -1))
    share = confusion / total[..., None, None]
    chance: Floats = (share.sum(axis=-1) * share.sum(axis=-2)).sum(axis=-1)
    room = np.where(chance < 1 - 1e-12, 1 - chance, np.nan)
    return (_accuracy(confusion) - chance) / room


def _nan_mean(values: Floats) -> Floats:
    """Return the mean over the last axis of what is not NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    total: Floats = np.where(known, values, 0).sum(axis=-1)
    return total / or_nan(known.sum(axis=-1))
