"""Made-up sequences of events whose next label can be told as well as is possible at all.

A chain of labelled events: what follows depends on the last two labels (second order), how long an
event lasts on its label (semi-Markov). Every 0.25 s there is a row of features: a direction of the
label that goes on, a weaker one of the label that comes next (a cue that reveals it in part), and
white noise; all directions are at right angles. As transitions, durations and noise are known, the
probability of each next label given all rows seen so far follows exactly, by filtering over (label
before, label, next label, rows that remain): nobody who sees no more can do better on average. The
same filter on the labels themselves is what can be had at most without features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actionspace.events.table import Events
from actionspace.features.store import FeatureStore, VideoFeatures

STEP = 0.25  # seconds from row to row
SPLITS = {"train": 0.6, "val": 0.15, "test": 0.25}


@dataclass(frozen=True)
class World:
    """How events follow each other and what is seen of them.

    Attributes:
        transitions: of the label before, the label and the next, ``[C, C, C]``.
        lasts: probability of 1 .. D rows for each label, ``[C, D]``.
        own, cue: directions of the label and of the next one, ``[C, V]``; the noise is 1.
    """

    transitions: np.ndarray
    lasts: np.ndarray
    own: np.ndarray
    cue: np.ndarray

    @classmethod
    def make(
        cls,
        seed: int,
        classes: int = 12,
        longest: int = 24,
        strength: float = 4.0,
        cue: float = 1.2,
    ) -> World:
        """Draw a world."""
        random = np.random.default_rng((seed, 1))
        first = random.dirichlet(np.full(classes, 0.2), classes)
        second = random.dirichlet(np.full(classes, 0.2), (classes, classes))
        both = 0.7 * first[None] + 0.3 * second + 0.01
        both[:, np.arange(classes), np.arange(classes)] = 0  # a label does not follow itself
        transitions = both / both.sum(-1, keepdims=True)
        middle = random.uniform(8, 16, classes)
        rows = np.arange(1, longest + 1)
        lasts = np.exp(-0.5 * ((rows - middle[:, None]) / 2.5) ** 2)
        lasts /= lasts.sum(1, keepdims=True)
        directions = np.linalg.qr(random.standard_normal((2 * classes, 2 * classes)))[0]
        return cls(transitions, lasts, strength * directions[:classes], cue * directions[classes:])

    @property
    def classes(self) -> list[str]:
        """Names of the labels."""
        return [f"label_{k}" for k in range(len(self.lasts))]

    def draw(
        self, rows: int, random: np.random.Generator
    ) -> tuple[list[tuple[int, int]], np.ndarray]:
        """Return events as (label, first row), and features ``[rows, V]``."""
        count = len(self.lasts)
        before, label = random.choice(count, 2, replace=False)
        events, now, next_ = [], 0, np.zeros(rows, np.int64)
        own = np.zeros(rows, np.int64)
        while now < rows:
            after = random.choice(count, p=self.transitions[before, label])
            length = 1 + random.choice(self.lasts.shape[1], p=self.lasts[label])
            events.append((int(label), now))
            own[now : now + length], next_[now : now + length] = label, after
            before, label, now = label, after, now + length
        seen = self.own[own] + self.cue[next_] + random.standard_normal((rows, self.own.shape[1]))
        return events, seen

    def foretell(
        self, seen: np.ndarray, starts: Sequence[int], horizons: Sequence[int]
    ) -> np.ndarray:
        """Return the exact probabilities of what begins at some rows, ``[H, E, C]``.

        NaN where nothing is seen before.

        Args:
            seen: features ``[rows, V]``.
            starts: rows at which events begin.
            horizons: rows before these that are not looked at; more than 0.
        """
        means = self.own[:, None] + self.cue[None]  # [label, next, V]
        square = ((seen[:, None, None] - means) ** 2).sum(-1)
        likely = np.exp(-0.5 * (square - square.min((1, 2), keepdims=True)))
        return self._filter(likely, starts, horizons)

    def foretell_by_labels(
        self, events: Sequence[tuple[int, int]], rows: int, horizons: Sequence[int]
    ) -> np.ndarray:
        """Return the same of one who is told each label when it begins, and sees no features."""
        own = np.repeat([k for k, _ in events], np.diff([*(row for _, row in events), rows]))
        likely = np.eye(len(self.lasts))[own][:, :, None].repeat(len(self.lasts), 2)
        # what begins at the very moment until which labels are known is known: a row more
        return self._filter(likely, [row for _, row in events], [h - 1 for h in horizons])

    def _filter(
        self, likely: np.ndarray, starts: Sequence[int], horizons: Sequence[int]
    ) -> np.ndarray:
        """Return ``[H, E, C]``, from the likelihoods ``[rows, label, next]``."""
        count = len(self.lasts)
        arrive = self._arrive(max(horizons) + 1)
        wanted: dict[int, list[tuple[int, int]]] = {}
        for h, ahead in enumerate(horizons):
            for e, row in enumerate(starts):
                wanted.setdefault(row - ahead - 1, []).append((h, e))
        found = np.full((len(horizons), len(starts), count), np.nan)
        state = self._begin((1 - np.eye(count)) / (count * (count - 1)))
        for row in range(max(wanted, default=-1) + 1):
            if row:
                begin = self._begin(state[..., 0].sum(0))  # [label, next]: over the label before
                begin[..., :-1] += state[..., 1:]
                state = begin
            state *= likely[row][None, :, :, None]
            state /= state.sum()
            for h, e in wanted.get(row, ()):
                found[h, e] = self._next(state.sum(0), horizons[h], arrive)
        return found

    def _next(self, state: np.ndarray, ahead: int, arrive: np.ndarray) -> np.ndarray:
        """Return ``[C]`` from ``[label, next, rows that remain]``: of ``ahead`` rows later."""
        weights = np.zeros(len(state))
        for left in range(min(ahead + 1, state.shape[-1])):
            if left == ahead:
                weights += state[..., left].sum(0)
            else:
                weights += np.einsum("cn,cnj->j", state[..., left], arrive[ahead - left])
        total = weights.sum()
        return np.asarray(weights / total) if total > 0 else np.full(len(weights), np.nan)

    def _begin(self, pairs: np.ndarray) -> np.ndarray:
        """Return the state ``[before, label, next, remaining]`` of labels that begin now."""
        return pairs[:, :, None, None] * self.transitions[..., None] * self.lasts[None, :, None]

    def _arrive(self, most: int) -> np.ndarray:
        """Return ``[rows, before, label, j]``: how likely j begins so many rows after label did."""
        count, longest = self.lasts.shape
        found = np.zeros((most + 1, count, count, count))
        for rows in range(1, most + 1):
            if rows <= longest:
                found[rows] = self.lasts[None, :, rows - 1, None] * self.transitions
            for first in range(1, min(rows - 1, longest) + 1):
                later = np.einsum("pck,ckj->pcj", self.transitions, found[rows - first])
                found[rows] += self.lasts[None, :, first - 1, None] * later
        return found


@dataclass(frozen=True)
class Made:
    """What was written: the manifest, where, and what is needed to foretell it exactly."""

    world: World
    manifest: Path
    features: Path
    drawn: dict[str, tuple[list[tuple[int, int]], np.ndarray]]

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of a split's events ``[E]``, in the order of the manifest."""
        return np.array([k for events, _ in self._of(split) for k, _ in events])

    def bayes(self, split: str, horizons: Sequence[float], by: str = "features") -> np.ndarray:
        """Return exact probabilities ``[H, E, C]`` of a split's events, some seconds before each.

        NaN where nothing is seen before the event.

        Args:
            split: which.
            horizons: seconds.
            by: what is known of the past: ``features``, or ``labels``.
        """
        steps = [round(h / STEP) for h in horizons]
        parts = [
            self.world.foretell(seen, [row for _, row in events], steps)
            if by == "features"
            else self.world.foretell_by_labels(events, len(seen), steps)
            for events, seen in self._of(split)
        ]
        return np.concatenate(parts, axis=1)

    def _of(self, split: str) -> list[tuple[list[tuple[int, int]], np.ndarray]]:
        return [drawn for video, drawn in self.drawn.items() if video.startswith(split)]


def make(
    folder: Path,
    seed: int,
    videos: int = 200,
    rows: int = 240,
    shares: Mapping[str, float] = SPLITS,
    **world: float,
) -> Made:
    """Write ``events.csv``, ``videos.csv`` and a feature store of a world."""
    chosen = World.make(seed, **world)  # type: ignore[arg-type]
    random = np.random.default_rng((seed, 2))
    store = FeatureStore.create(folder / "features", {"dim": chosen.own.shape[1], "made_up": seed})
    times = STEP * np.stack([np.arange(rows), np.arange(1, rows + 1)], 1)
    table, listed, drawn = [], [], {}
    for split, share in shares.items():
        for k in range(round(share * videos)):
            name = f"{split}_{k:03d}.mp4"
            events, seen = chosen.draw(rows, random)
            ends = [row for _, row in events[1:]] + [rows]
            table += [
                {
                    "video": name,
                    "start": row * STEP,
                    "end": end * STEP,
                    "label": chosen.classes[label],
                }
                for (label, row), end in zip(events, ends, strict=True)
            ]
            listed.append({"video": name, "split": split, "duration": rows * STEP})
            store.put(name, f"{len(listed):032x}", VideoFeatures(seen.astype(np.float32), times))
            drawn[name] = events, seen
    store.save_index()
    events = Events.from_frames(table, listed, folder / "manifest")
    return Made(chosen, events.to_csv(folder / "manifest"), folder / "features", drawn)
