"""Questions as samples of the trainer: an observed window, what is known, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from actionspace.anticipation.history import past
from actionspace.anticipation.options import HorizonConfig
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.anticipation.rows import Rows
from actionspace.anticipation.timeline import Asked
from actionspace.anticipation.window import observed, slot_count


@dataclass(frozen=True)
class Observed:
    """What ``B`` questions show; without a leading dimension what one does.

    Attributes:
        rows: of each store its rows, oldest first, float32 ``[B, T, L, D]``; zero where there is
            none. No store where the network is given labels alone.
        known: of each store which rows there are, bool ``[B, T]``.
        labels: of past events, int64 ``[B, H, K]``; see :class:`.history.Past`.
        times: ``[B, H, 3]``.
        past: which past events there are, bool ``[B, H]``.
        horizon: seconds until the event, float32 ``[B]``.
        targets: class numbers, int64 ``[B, K]``; -1 = unknown.
        during: labels at the slot after each row of the first store, int64 ``[B, T, K]``; -1 =
            nothing, and after the last. Training alone looks at them.
    """

    rows: tuple[Tensor, ...]
    known: tuple[Tensor, ...]
    labels: Tensor
    times: Tensor
    past: Tensor
    horizon: Tensor
    targets: Tensor
    during: Tensor

    def to(self, device: torch.device) -> Observed:
        """Return the same on another device."""

        def moved(value: Tensor | tuple[Tensor, ...]) -> Any:
            return value.to(device) if isinstance(value, Tensor) else tuple(map(moved, value))

        return Observed(**{f.name: moved(getattr(self, f.name)) for f in fields(self)})


def window_end(
    start: float, end: float, horizon: float, anchor: str = "start", point: float = 0.0
) -> float:
    """Return the second at which the window of an event ends.

    Args:
        start, end: of the event.
        horizon: seconds between window and anchor.
        anchor: ``start`` or ``end`` (compat), see :class:`.options.WindowConfig`.
        point: share of the event by which ``end`` is moved towards its start.
    """
    at = start if anchor == "start" else point * start + (1 - point) * end
    return at - horizon


def draw_horizons(config: HorizonConfig, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return horizons for training samples, float64 ``[size]``."""
    low, high = config.train
    if config.train_step is not None:
        count = int(np.floor((high - low) / config.train_step + 1e-9)) + 1
        return low + config.train_step * rng.integers(count, size=size)
    return rng.uniform(low, high, size)


class Questions:
    """Events with what is observed before each.

    Args:
        asked: the events.
        stores: rows of features; none where the network is given labels alone.
        recipe: window, history and horizons.
        steps: seconds between the slots of each store.
        horizon: for every event; None = drawn at random, for training.
    """

    def __init__(
        self,
        asked: Asked,
        stores: Sequence[Rows],
        recipe: AnticipationRecipe,
        steps: Sequence[float],
        horizon: float | None = None,
    ) -> None:
        self.asked, self.horizon = asked, horizon
        self._stores, self._steps, self._recipe = tuple(stores), tuple(steps), recipe
        self._drawn: tuple[int, np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.asked)

    @property
    def numbers(self) -> int:
        """Values of all rows of one window."""
        slots = (slot_count(self._recipe.window.seconds, step) for step in self._steps)
        return sum(n * s.tokens * s.dim for n, s in zip(slots, self._stores, strict=True))

    def name(self, index: int) -> str:
        """Return the event and where it is."""
        asked = self.asked
        return f"{asked.videos[index]}, event {asked.ids[index]} at {asked.starts[index]:.2f} s"

    def until(self, index: int, epoch: int) -> tuple[float, float]:
        """Return the end of a sample's window and its horizon, in seconds."""
        asked, window = self.asked, self._recipe.window
        horizon, point = self.horizon, 0.0
        if horizon is None:
            horizon, point = (float(values[index]) for values in self._draws(epoch))
        span = float(asked.starts[index]), float(asked.ends[index])
        return window_end(*span, horizon, window.anchor, point), horizon

    def _draws(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the horizon and the point of every sample in an epoch, ``[N]`` each.

        They are drawn at once: a generator for each sample takes longer than all the rest of it.
        """
        drawn = self._drawn
        if drawn is None or drawn[0] != epoch:
            recipe, size = self._recipe, len(self)
            rng = np.random.default_rng((recipe.training.seed, epoch))
            horizons = draw_horizons(recipe.horizon, size, rng)
            drawn = self._drawn = epoch, horizons, rng.uniform(*recipe.window.point, size)
        return drawn[1:]

    def load(self, index: int, epoch: int) -> Observed:
        """Cut the window of an event.

        Raises:
            StoreError: its video has no features, or they are damaged.
        """
        asked, recipe = self.asked, self._recipe
        until, horizon = self.until(index, epoch)
        timeline = asked.timelines[asked.sequence[index]]
        rows, known, during = [], [], np.zeros((0, asked.targets.shape[1]), np.int64)
        for k, (store, step) in enumerate(zip(self._stores, self._steps, strict=True)):
            video = str(asked.videos[index])
            features, times = store.get(video)
            slots = observed(times, until, recipe.window.seconds, step, store.apart(video))
            taken = features[slots.rows].astype(np.float32)
            taken[~slots.known] = 0
            rows.append(torch.from_numpy(taken))
            known.append(torch.from_numpy(slots.known))
            if k == 0:
                during = timeline.during(np.append(slots.at[1:], np.inf))
        seen = past(timeline, until, recipe.history.events if recipe.knows else 0)
        return Observed(
            tuple(rows),
            tuple(known),
            torch.from_numpy(seen.labels),
            torch.from_numpy(seen.times),
            torch.from_numpy(seen.known),
            torch.tensor(horizon, dtype=torch.float32),
            torch.from_numpy(asked.targets[index]),
            torch.from_numpy(during),
        )

    def collate(self, samples: Sequence[Observed]) -> Observed:
        """Return the samples as one batch."""
        stores = range(len(self._stores))
        return Observed(
            tuple(torch.stack([s.rows[k] for s in samples]) for k in stores),
            tuple(torch.stack([s.known[k] for s in samples]) for k in stores),
            torch.stack([s.labels for s in samples]),
            torch.stack([s.times for s in samples]),
            torch.stack([s.past for s in samples]),
            torch.stack([s.horizon for s in samples]),
            torch.stack([s.targets for s in samples]),
            torch.stack([s.during for s in samples]),
        )
