"""Cached features of labelled events as samples: what a head learns from without any video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from actionspace.recognition import data as manifest
from actionspace.recognition.rows import Rows

if TYPE_CHECKING:
    from actionspace.events.table import Events


class ViewTable:
    """Rows of features, drawn anew in each epoch.

    Attributes:
        owner: int64 ``[N]``, position in ``events.rows`` of the event of each sample.
    """

    def __init__(
        self,
        events: Events,
        rows: Rows,
        *,
        take: Literal["turn", "random", "all"],
        seed: int = 0,
    ) -> None:
        """Take the rows of labelled events.

        Args:
            events: the manifest, for names.
            rows: its features; events without any are no samples.
            take: ``turn`` = the rows of an event are its views (``store.rows == "events"``) and
                epoch e sees row e mod V, the view that :class:`~.clip_samples.ClipSamples` would
                cut in that epoch; ``random`` = of an event's rows on a dense grid each epoch draws
                one; ``all`` = every row is a sample of its own, the same in each epoch: what an
                evaluation averages by ``owner``.
            seed: of the drawing.
        """
        if take == "all":
            self.owner = rows.event
            self._first = np.arange(len(rows.event))
            self._size = np.ones_like(self._first)
        else:
            found = np.unique(rows.event, return_index=True, return_counts=True)
            self.owner, self._first, self._size = found
        self._events, self._random, self._seed = events, take == "random", seed
        self._features = torch.from_numpy(rows.features)
        self._targets = torch.from_numpy(rows.targets[self._first])
        self._drawn: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.owner)

    def name(self, index: int) -> str:
        """Return the video of a sample and where in it."""
        return manifest.event_name(self._events, int(self.owner[index]))

    def gather(self, indices: np.ndarray, epoch: int) -> tuple[Tensor, Tensor]:
        """Return features float32 ``[B, D]`` and targets int64 ``[B]`` or bool ``[B, C]``."""
        at = torch.from_numpy(indices)
        return self._features[self._rows(epoch)[at]], self._targets[at]

    def _rows(self, epoch: int) -> Tensor:
        """Return the row that each sample has in an epoch, int64 ``[N]``."""
        drawn = self._drawn
        if drawn is None or drawn[0] != epoch:
            offset = epoch % self._size
            if self._random:
                chance = np.random.default_rng((self._seed, epoch)).random(len(self._size))
                offset = (chance * self._size).astype(np.int64)
            self._drawn = drawn = epoch, torch.from_numpy(self._first + offset)
        return drawn[1]
