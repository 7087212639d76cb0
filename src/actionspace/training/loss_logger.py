"""Means of the last values of several losses, for loops that one writes oneself.

The trainer keeps such records by itself (:mod:`.records`, :mod:`.averages`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import SupportsFloat

from actionspace.errors import UsageError


class LossLogger:
    """Moving averages of losses.

    Args:
        window: values of each that are looked back on.

    Raises:
        UsageError: the window is below 1.
    """

    def __init__(self, window: int = 100) -> None:
        if window < 1:
            raise UsageError(f"A window of {window} values has no mean; give at least 1.")
        self.window = window
        self._values: dict[str, deque[float]] = {}

    def update(self, losses: Mapping[str, SupportsFloat]) -> None:
        """Take in the losses of a step: numbers, or tensors of one (which a GPU is waited for)."""
        for name, value in losses.items():
            kept = self._values.setdefault(name, deque(maxlen=self.window))
            kept.append(float(value))

    def averages(self) -> dict[str, float]:
        """Return the mean of each loss over its last ``window`` values."""
        return {name: sum(kept) / len(kept) for name, kept in self._values.items()}

    def scalars(self, prefix: str = "train/") -> dict[str, float]:
        """Return the averages under the names that TensorBoard is to group them by."""
        return {prefix + name: mean for name, mean in self.averages().items()}

    def summary(self) -> str:
        """Return the averages in one line."""
        return ", ".join(f"{name} {mean:.4g}" for name, mean in self.averages().items())
