"""Detection of moments: average precision within tolerances, and how far off times are.

As in action spotting (SoccerNet: Giancola et al., CVPR Workshops 2018; E2E-Spot: Hong et al., ECCV
2022): within a video and a class, predictions are taken from the best score down, and each finds
the nearest annotated moment still free, if it is at most the tolerance away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from actionspace.errors import DataError, UsageError
from actionspace.metrics.detection import DetectionResult, class_ap, renumbered
from actionspace.metrics.detection_matching import Instances, Pairs, keys, match
from actionspace.metrics.inputs import Bools, Floats, Ints

TOLERANCES = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds that a mean is taken over, unless others are given."""
_EXACT = 1e-9  # seconds, or frames, by which rounding may put a moment beyond a tolerance


@dataclass(frozen=True)
class PointResult:
    """What predicted moments reach.

    Attributes:
        seconds, frames: the tolerances.
        result: AP and what was found, at the tolerances in seconds and then those in frames, which
            are its ``thresholds``; spans have no extent.
    """

    seconds: tuple[float, ...]
    frames: tuple[float, ...]
    result: DetectionResult

    @property
    def names(self) -> tuple[str, ...]:
        """What tolerances are called in the names of measures."""
        return (*(f"{t:g}s" for t in self.seconds), *(f"{n:g}f" for n in self.frames))

    @property
    def averaged(self) -> slice:
        """The tolerances that the mean is taken over: those in seconds, if there are any."""
        return slice(0, len(self.seconds) or len(self.frames))

    def metrics(self) -> dict[str, float]:
        """Return ``point_map`` (mean over tolerances), ``point_ap@0.5s`` ..., ``point_ap@2f`` ...;
        each is the mean over the classes.
        """
        return self.named(self.result.ap.mean(axis=1))

    def named(self, each: Floats) -> dict[str, float]:
        """Return average precisions ``[T]`` by name, and their mean."""
        out = {"point_map": float(each[self.averaged].mean())}
        return out | {f"point_ap@{n}": float(v) for n, v in zip(self.names, each, strict=True)}

    def differences(self) -> tuple[Floats, Ints]:
        """Return by how many seconds found moments are predicted too late, and their classes.

        Found is what is within the widest tolerance in seconds (in frames, if there is no other).
        """
        widest = int(np.argmax(self.result.thresholds[self.averaged]))
        found = self.result.found[:, widest]
        right = found >= 0
        guess, truth = self.result.guess, self.result.truth
        late = guess.spans[right, 0] - truth.spans[found[right], 0]
        return late, guess.labels[right]

    def timing(self, label: int | None = None) -> dict[str, float]:
        """Return how far off found moments are, of a class or of all; NaN where none is found.

        ``timing_bias`` is the mean of the differences (late is positive), ``timing_median`` their
        median, ``timing_std`` their standard deviation, ``timing_error`` the mean of what they are
        without sign; all in seconds.
        """
        late, labels = self.differences()
        return timing(late if label is None else late[labels == label])


def timing(late: Floats) -> dict[str, float]:
    """Return mean, mean of the sizes, median and standard deviation of differences in seconds."""
    if not len(late):
        return dict.fromkeys(_TIMING, float("nan"))
    values = (late.mean(), np.abs(late).mean(), np.median(late), late.std())
    return dict(zip(_TIMING, (float(v) for v in values), strict=True))


_TIMING = ("timing_bias", "timing_error", "timing_median", "timing_std")


def evaluate_points(
    truth: Instances,
    guess: Instances,
    seconds: Sequence[float] = TOLERANCES,
    frames: Sequence[float] = (),
    fps: Floats | None = None,
) -> PointResult:
    """Measure predicted moments against annotated ones; spans have start = end.

    Args:
        truth: the annotations.
        guess: the predictions, with scores; those of classes that are not annotated do not count.
        seconds: tolerances.
        frames: tolerances as well, counted in frames of the video.
        fps: frames per second, by video number; needed for ``frames``.

    Raises:
        UsageError: no tolerance, or one that is negative.
        DataError: nothing is annotated, predictions without scores, a video without fps.
    """
    levels = np.array([*seconds, *frames], dtype=np.float64)
    if not len(levels) or not (levels >= 0).all():
        raise UsageError(f"Tolerances are at least 0: {[*seconds, *frames]}.")
    if not len(truth):
        raise DataError("Nothing is annotated, so there is nothing to find.")
    if len(guess.scores) != len(guess):
        raise DataError("The predictions have no scores.")
    classes = np.unique(truth.labels)
    labels = np.searchsorted(classes, truth.labels)
    truth = Instances(truth.video, truth.spans, labels, truth.scores)
    guess = renumbered(guess, classes)
    units = [(np.ones(len(guess)), list(seconds))]
    if frames:
        units.append((_rate(guess, fps), list(frames)))
    found = np.concatenate(
        [_found(truth, guess, rate, np.array(most)) for rate, most in units if most], axis=1
    )
    support = np.bincount(truth.labels, minlength=len(classes))
    reached = np.zeros((len(levels), 0, len(truth)), bool)
    ap = class_ap(guess, found >= 0, support)
    result = DetectionResult(levels, classes, ap, (), reached, truth, guess, found)
    return PointResult(tuple(map(float, seconds)), tuple(map(float, frames)), result)


def _rate(guess: Instances, fps: Floats | None) -> Floats:
    known = fps is not None and len(guess.video) and guess.video.max() < len(fps)
    rate = fps[guess.video] if known and fps is not None else np.full(len(guess), np.nan)
    if not (rate > 0).all():
        raise DataError(
            "Tolerances in frames need the frames per second of every video: give the videos "
            "table the column 'fps', or use tolerances in seconds."
        )
    return rate


def _found(truth: Instances, guess: Instances, rate: Floats, most: Floats) -> Ints:
    """Return the annotation ``[M, T]`` that each prediction finds within each tolerance.

    A second has ``rate`` ``[M]`` units of the tolerances ``most`` ``[T]``.
    """
    pairs = _near(truth, guess, (most.max() + _EXACT) / rate)
    apart = np.abs(guess.spans[pairs.guess, 0] - truth.spans[pairs.truth, 0]) * rate[pairs.guess]
    return match(truth, guess, -most - _EXACT, Pairs(pairs.guess, pairs.truth, -apart))


def _near(truth: Instances, guess: Instances, radius: Floats) -> Pairs:
    """Return the pairs of one video and class that are at most ``radius`` ``[M]`` (s) apart."""
    of_truth, of_guess = keys(truth, guess)
    time = guess.spans[:, 0]
    order = np.lexsort((truth.spans[:, 0], of_truth))
    lane, moment = of_truth[order], truth.spans[order, 0]
    first = _before(lane, moment, of_guess, time - radius)
    last = _before(lane, moment, of_guess, time + radius)
    many = last - first
    g = np.repeat(np.arange(len(guess)), many)
    behind = np.arange(len(g)) - np.repeat(np.cumsum(many) - many, many)
    return Pairs(g, order[first[g] + behind], np.zeros(len(g)))


def _before(lane: Ints, time: Floats, of: Ints, until: Floats) -> Ints:
    """Return how many (lane, time) in sorted tables come before each (of, until)."""
    asked = np.r_[np.zeros(len(lane), bool), np.ones(len(of), bool)]
    order = np.lexsort((np.r_[time, until], np.r_[lane, of]))
    passed: Bools = ~asked[order]
    count = np.empty(len(order), np.int64)
    count[order] = np.cumsum(passed)
    return count[len(lane) :]
