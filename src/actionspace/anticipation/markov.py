"""What comes next by the labels alone: nothing is trained but counts of the training events.

All of them are told what had begun by the end of the window, ``horizon`` seconds before the event
(with ``window.anchor=end`` as well): the last label known is the context, whether or not that event
is over by then, and although another may begin in between. Contexts are counted from the training
events at the same horizon, so that such gaps are in the counts.

* ``prior``: how common each label is.
* ``markov``: given the last label known; rare contexts lean on the prior.
* ``markov2``: given the last two; rare pairs lean on ``markov``.
* ``semi_markov``: given the last label and for how long it has been going on. Labels follow each
  other by first-order transitions, the time from one start to the next is log-normal for each
  label, and the event is known to begin exactly when it does: other events may begin before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from actionspace.anticipation.timeline import UNKNOWN, Asked, Timeline

NAMES = ("prior", "markov", "markov2", "semi_markov")
LEAN = 3.0
"""Events that the less detailed estimate counts for, where a context was seen little."""
STEPS = 20
"""Steps of time in a horizon, for ``semi_markov``."""
MOST_CLASSES = 300
"""More classes than these are too many for ``semi_markov``, whose time grows with their cube."""


@dataclass(frozen=True)
class Context:
    """What was known before some events, and what they were, in one column.

    Attributes:
        last, before: class numbers of the last event that had begun and of the one before it,
            int64 ``[E]``; -1 = none, or none of the classes.
        since: seconds since the last one began, float64 ``[E]``; NaN = none.
        target: class numbers ``[E]``; -1 = unknown.
    """

    last: np.ndarray
    before: np.ndarray
    since: np.ndarray
    target: np.ndarray


def context_of(
    timelines: Sequence[Timeline],
    sequence: np.ndarray,
    starts: np.ndarray,
    targets: np.ndarray,
    horizon: float,
    column: int,
) -> Context:
    """Return what is known ``horizon`` seconds before each event.

    Args:
        timelines: the sequences.
        sequence: number of each event's sequence ``[E]``.
        starts: seconds ``[E]``.
        targets: class numbers ``[E]``.
        horizon: seconds.
        column: which column of labels.
    """
    size = len(starts)
    last, before = np.full(size, UNKNOWN), np.full(size, UNKNOWN)
    since = np.full(size, np.nan)
    for i in range(size):
        line, until = timelines[sequence[i]], starts[i] - horizon
        count = line.begun(until)
        if count:
            last[i], since[i] = line.labels[count - 1, column], until - line.starts[count - 1]
        if count > 1:
            before[i] = line.labels[count - 2, column]
    return Context(last, before, since, targets)


@dataclass(frozen=True)
class Baselines:
    """The baselines of one column.

    Attributes:
        timelines: the sequences of the training events.
        classes: how many there are.
        column: which column of labels it is.
    """

    timelines: tuple[Timeline, ...]
    classes: int
    column: int

    def probabilities(self, asked: Asked, horizon: float) -> dict[str, np.ndarray]:
        """Return probabilities ``[E, C]`` of each baseline; ``semi_markov`` if it can be had."""
        told = context_of(
            asked.timelines,
            asked.sequence,
            asked.starts,
            asked.targets[:, self.column],
            horizon,
            self.column,
        )
        seen = self._training(horizon)
        found = {
            "prior": np.repeat(self.prior[None], len(asked), 0),
            "markov": self._first(seen, told),
            "markov2": self._second(seen, told),
        }
        if self.classes <= MOST_CLASSES:
            found["semi_markov"] = self._renewal(told, horizon)
        return found

    @cached_property
    def prior(self) -> np.ndarray:
        """How common each label is, float64 ``[C]``; one that never occurs counts as one event."""
        labels = np.concatenate([line.labels[:, self.column] for line in self.timelines])
        counts = np.bincount(labels[labels >= 0], minlength=self.classes) + 1.0
        return np.asarray(counts / counts.sum())

    def _training(self, horizon: float) -> Context:
        starts = np.concatenate([line.starts for line in self.timelines])
        targets = np.concatenate([line.labels[:, self.column] for line in self.timelines])
        sequence = np.repeat(
            np.arange(len(self.timelines)), [len(line.starts) for line in self.timelines]
        )
        return context_of(self.timelines, sequence, starts, targets, horizon, self.column)

    def _table(self, seen: Context) -> np.ndarray:
        """Return first-order probabilities ``[C + 1, C]``; the last row is of no known label."""
        counts = np.zeros((self.classes + 1, self.classes))
        known = seen.target >= 0
        np.add.at(counts, (seen.last[known], seen.target[known]), 1)
        return np.asarray((counts + LEAN * self.prior) / (counts.sum(1, keepdims=True) + LEAN))

    def _first(self, seen: Context, told: Context) -> np.ndarray:
        return np.asarray(self._table(seen)[told.last])

    def _second(self, seen: Context, told: Context) -> np.ndarray:
        table = self._table(seen)
        width = self.classes + 1
        known = seen.target >= 0
        pairs = (seen.before % width) * width + seen.last % width
        own, number = np.unique(pairs[known], return_inverse=True)
        counts = np.zeros((len(own), self.classes))
        np.add.at(counts, (number, seen.target[known]), 1)
        asked = (told.before % width) * width + told.last % width
        at = np.searchsorted(own, asked).clip(0, max(len(own) - 1, 0))
        mine = np.where((own[at] == asked)[:, None], counts[at], 0.0) if len(own) else 0.0
        lean = table[told.last]
        total = np.sum(mine, axis=1, keepdims=True) if len(own) else 0.0
        return np.asarray((mine + LEAN * lean) / (total + LEAN))

    def _renewal(self, told: Context, horizon: float) -> np.ndarray:
        """Return the probabilities of what begins at the horizon, given that something does."""
        step = horizon / STEPS
        begins = self._begins(step)
        found = np.repeat(self.prior[None], len(told.last), 0)
        for i in np.flatnonzero(told.last >= 0):
            label = int(told.last[i])
            first = self.durations.residual(label, float(told.since[i]), step)
            weights = first @ begins[label]
            if weights.sum() > 0:
                found[i] = weights / weights.sum()
        return found

    def _begins(self, step: float) -> np.ndarray:
        """Return ``[C, STEPS, C]``: by the step at which a label ends, how likely each of those
        that may begin at the last step is.
        """
        arrive = self._arrivals(step)
        follows = self.transitions
        later = [follows @ arrive[STEPS - 2 - s] for s in range(STEPS - 1)]
        return np.stack([*later, follows], axis=1)

    def _arrivals(self, step: float) -> np.ndarray:
        """Return ``[STEPS, C, C]``: how likely what begins s + 1 steps after what began now."""
        own = np.stack([self.durations.fresh(c, step) for c in range(self.classes)])
        arrive = np.zeros((STEPS, self.classes, self.classes))
        for s in range(STEPS):
            arrive[s] = own[:, s, None] * self.transitions
            for r in range(s):
                arrive[s] += own[:, r, None] * (self.transitions @ arrive[s - r - 1])
        return arrive

    @cached_property
    def transitions(self) -> np.ndarray:
        """First-order transitions from one event to the next, float64 ``[C, C]``."""
        counts = np.zeros((self.classes, self.classes))
        for line in self.timelines:
            labels = line.labels[:, self.column]
            a, b = labels[:-1], labels[1:]
            known = (a >= 0) & (b >= 0)
            np.add.at(counts, (a[known], b[known]), 1)
        return np.asarray((counts + LEAN * self.prior) / (counts.sum(1, keepdims=True) + LEAN))

    @cached_property
    def durations(self) -> Durations:
        """How long it is from one start to the next, by label."""
        logs: list[list[float]] = [[] for _ in range(self.classes)]
        for line in self.timelines:
            apart = np.diff(line.starts)
            for label, seconds in zip(line.labels[:-1, self.column], apart, strict=True):
                if label >= 0 and seconds > 0:
                    logs[label].append(float(np.log(seconds)))
        return Durations.of(logs)


@dataclass(frozen=True)
class Durations:
    """Log-normal times from one start to the next, by label; rare labels lean on all of them.

    Attributes:
        mean, std: of the natural logarithm of seconds, float64 ``[C]``.
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, logs: Sequence[Sequence[float]]) -> Durations:
        """Fit, from the logarithms seen of each label."""
        every = np.concatenate([np.asarray(part, np.float64) for part in logs] + [np.zeros(0)])
        middle, spread = (every.mean(), every.std()) if len(every) > 1 else (0.0, 1.0)
        means, stds = [], []
        for part in logs:
            values = np.asarray(part, np.float64)
            n = len(values)
            mean = (values.sum() + LEAN * middle) / (n + LEAN)
            square = ((values - mean) ** 2).sum() + LEAN * spread**2
            means.append(mean)
            stds.append(max(float(np.sqrt(square / (n + LEAN))), 0.05))
        return cls(np.array(means), np.array(stds))

    def share(self, label: int, seconds: np.ndarray) -> np.ndarray:
        """Return the probability that it takes at most so many seconds."""
        from scipy.special import ndtr

        with np.errstate(divide="ignore"):
            z = (np.log(np.maximum(seconds, 0.0)) - self.mean[label]) / self.std[label]
        return np.asarray(ndtr(z))

    def fresh(self, label: int, step: float) -> np.ndarray:
        """Return the probability of each of ``STEPS`` steps from now, of what begins now."""
        return np.diff(self.share(label, step * np.arange(STEPS + 1)))

    def residual(self, label: int, since: float, step: float) -> np.ndarray:
        """Return the same of what began ``since`` seconds ago and has not been followed yet."""
        shares = self.share(label, since + step * np.arange(STEPS + 1))
        left = 1 - shares[0]
        if left < 1e-9:  # far beyond all that was seen: any moment is as likely
            return np.full(STEPS, 1 / STEPS)
        return np.asarray(np.diff(shares) / left)
