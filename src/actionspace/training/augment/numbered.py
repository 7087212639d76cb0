"""Samples whose batches say which they are, so that they can be augmented."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from actionspace.training.task import Items


class Numbered:
    """The same samples; a batch is ``(data, indices, epoch)``.

    ``data`` is what the samples' own ``collate`` makes, on the training device as ever; ``indices``
    (int64 ``[B]``) and ``epoch`` stay on the CPU, where random numbers are drawn.
    """

    def __init__(self, items: Items) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def name(self, index: int) -> str:
        """Return what messages call a sample."""
        return self._items.name(index)

    def load(self, index: int, epoch: int) -> tuple[Any, int, int]:
        """Return a sample, its number and the epoch."""
        return self._items.load(index, epoch), index, epoch

    def collate(self, samples: Sequence[tuple[Any, int, int]]) -> tuple[Any, np.ndarray, int]:
        """Return the batch, the samples' numbers and the epoch."""
        data, indices, epochs = zip(*samples, strict=True)
        return self._items.collate(data), np.array(indices, np.int64), epochs[0]
