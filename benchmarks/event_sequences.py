"""Made-up sequences of events whose next label can be told as well as is possible at all.

A chain of labelled events: what follows depends on the last two labels (second order), how long an
event lasts on its label. Every 0.25 s there is a row of features: a direction of the label that
goes on, a weaker one of the label that comes next (a cue that reveals it in part), and white noise.
As transitions, durations and noise are known, the probability of each next label given all rows
seen so far follows exactly, by filtering over (label before, label, next label, rows that remain):
nobody who sees no more can do better on average.
"""

from __future__ import annotations

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
        classes: int = 6,
        longest: int = 16,
        dim: int = 16,
        strength: float = 3.0,
        cue: float = 1.0,
    ) -> World:
        """Draw a world."""
        random = np.random.default_rng((seed, 1))
        first = random.dirichlet(np.full(classes, 0.2), classes)
        second = random.dirichlet(np.full(classes, 0.2), (classes, classes))
        both = 0.7 * first[None] + 0.3 * second + 0.01
        both[:, np.arange(classes), np.arange(classes)] = 0  # a label does not follow itself
        transitions = both / both.sum(-1, keepdims=True)
        middle = random.uniform(4, 10, classes)
        rows = np.arange(1, longest + 1)
        lasts = np.exp(-0.5 * ((rows - middle[:, None]) / 2.5) ** 2)
        directions = random.standard_normal((2, classes, dim))
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        lasts /= lasts.sum(1, keepdims=True)
        return cls(transitions, lasts, strength * directions[0], cue * directions[1])

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

    def foretell(self, seen: np.ndarray, starts: list[int], ahead: int) -> np.ndarray:
        """Return the exact probabilities of what begins at some rows, ``[E, C]``.

        Args:
            seen: features ``[rows, V]``.
            starts: rows at which events begin.
            ahead: rows before these that are not looked at; more than 0.
        """
        count, longest = self.lasts.shape
        arrive = self._arrive(ahead + 1)
        means = self.own[:, None] + self.cue[None]  # [label, next, V]
        wanted = {row - ahead - 1: i for i, row in enumerate(starts)}
        found = np.full((len(starts), count), np.nan)
        apart = (1 - np.eye(count)) / (count * (count - 1))
        state = self._begin(apart)
        for row in range(max(wanted, default=-1) + 1):
            if row:
                ends = state[..., 0].sum(0)  # [label, next]: over the label before
                state = np.concatenate([state[..., 1:], np.zeros_like(state[..., :1])], -1)
                state = state + self._begin(ends)
            square = ((seen[row] - means) ** 2).sum(-1)
            state = state * np.exp(-0.5 * (square - square.min()))[None, :, :, None]
            state /= state.sum()
            if row in wanted:
                marginal = state.sum(0)  # [label, next, remaining]
                weights = np.zeros(count)
                for left in range(1, min(ahead + 1, longest) + 1):
                    part = marginal[..., left - 1]
                    if left == ahead + 1:
                        weights += part.sum(0)
                    else:
                        weights += np.einsum("cn,cnj->j", part, arrive[ahead + 1 - left])
                if weights.sum() > 0:
                    found[wanted[row]] = weights / weights.sum()
        return found

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

    def bayes(self, split: str, horizon: float) -> tuple[np.ndarray, np.ndarray]:
        """Return exact probabilities ``[E, C]`` and labels ``[E]`` of a split, in manifest order.

        NaN where nothing is seen before the event.
        """
        scores, labels = [], []
        for video, (events, seen) in self.drawn.items():
            if video.startswith(split):
                starts = [row for _, row in events]
                scores.append(self.world.foretell(seen, starts, round(horizon / STEP)))
                labels.append(np.array([label for label, _ in events]))
        return np.concatenate(scores), np.concatenate(labels)


def make(folder: Path, seed: int, videos: int = 200, rows: int = 240, **world: float) -> Made:
    """Write ``events.csv``, ``videos.csv`` and a feature store of a world."""
    chosen = World.make(seed, **world)  # type: ignore[arg-type]
    random = np.random.default_rng((seed, 2))
    store = FeatureStore.create(folder / "features", {"dim": chosen.own.shape[1], "made_up": seed})
    times = STEP * np.stack([np.arange(rows), np.arange(1, rows + 1)], 1)
    table, listed, drawn = [], [], {}
    for split, share in SPLITS.items():
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
