"""Accuracies of a leaderboard with intervals, and what is and is not told apart.

All entries are tested on the same events and resampled by the same draws of groups, so that the
difference of two is resampled as a pair. Mean class accuracy is the mean of recall over the classes
that were tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from actionspace.metrics.inputs import Floats, Ints, divide, or_nan
from actionspace.metrics.intervals import Interval, draws, percentile


@dataclass(frozen=True)
class Score:
    """One measure: its value, its 95 % interval and its replicates ``[n]``."""

    value: float
    interval: Interval
    replicates: Floats

    def minus(self, other: Score) -> Score:
        """Return the difference to another score of the same draws."""
        apart = self.replicates - other.replicates
        return Score(self.value - other.value, percentile(apart), apart)


class Judge:
    """Scores the answers to one set of events."""

    def __init__(
        self, truth: Ints, groups: np.ndarray, classes: int, resamples: int, seed: int
    ) -> None:
        """Draw the replicates.

        Args:
            truth: class numbers of the tested events ``[E]``.
            groups: of the events ``[E]``.
            classes: number C of classes.
            resamples: number of replicates.
            seed: of the draws.
        """
        self._truth, self._classes = truth, classes
        self._member, self._counts = draws(groups, len(truth), resamples, seed)
        self._support = self._count(np.ones(len(truth)))
        self._seed = seed
        self.groups = int(self._counts.shape[1])

    def mean_class_accuracy(self, guess: Ints) -> Score:
        """Return the mean of recall over the tested classes; ``guess`` is ``[E]`` or, for several
        draws of labels, ``[draws, E]``: then their mean, resampled over draws and groups."""
        many = np.atleast_2d(guess)
        tallies = np.stack([self._count(one == self._truth) for one in many])
        value = float(_mean_recall(tallies.mean(axis=0).sum(axis=0), self._support.sum(axis=0)))
        share = self._shares_of_draws(len(many))
        hits = sum(share[:, at, None] * (self._counts @ tally) for at, tally in enumerate(tallies))
        return self._score(value, _mean_recall(np.asarray(hits), self._counts @ self._support))

    def top1_accuracy(self, guess: Ints) -> Score:
        """Return the share of events named right; ``guess`` is ``[E]``."""
        right = self._count(guess == self._truth).sum(axis=1)
        size = self._support.sum(axis=1)
        replicates = divide(self._counts @ right, self._counts @ size)
        return self._score(float(right.sum() / size.sum()), replicates)

    def _score(self, value: float, replicates: Floats) -> Score:
        interval = percentile(replicates) if self.groups > 1 else (float("nan"), float("nan"))
        return Score(value, interval, replicates)

    def _shares_of_draws(self, count: int) -> Floats:
        """Return how much each draw of labels counts in each replicate ``[n, draws]``."""
        random, n = np.random.default_rng([self._seed, count]), len(self._counts)
        picks = random.multinomial(count, np.full(count, 1 / count), size=n)
        shares: Floats = np.asarray(picks / count, dtype=np.float64)
        return shares

    def _count(self, values: np.ndarray) -> Floats:
        """Return sums per group and true class ``[G, C]``."""
        cell = self._member * self._classes + self._truth
        groups = int(self._member.max()) + 1
        sums = np.bincount(cell, values.astype(np.float64), groups * self._classes)
        table: Floats = np.asarray(sums, np.float64).reshape(groups, self._classes)
        return table


def _mean_recall(hits: Floats, support: Floats) -> Floats:
    """Return the mean over the classes that occur, of sums ``[..., C]``."""
    total: Floats = divide(hits, support).sum(axis=-1)
    return total / or_nan((support > 0).sum(axis=-1))
