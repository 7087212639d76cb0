"""Rows of feature stores as windows are cut from them; some of them are kept in memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from actionspace.anticipation.window import spacing
from actionspace.errors import StoreError

if TYPE_CHECKING:
    from actionspace.features.joined import Source

#: Bytes of features that are kept in memory, over all stores of a training.
KEPT = 4 << 30


class Rows:
    """The rows of one store, video by video, with the times they cover.

    Args:
        source: the features.
        kept: bytes that may be kept in memory.
    """

    def __init__(self, source: Source, kept: int = KEPT) -> None:
        self.source, self._limit = source, kept
        self._of: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._apart: dict[str, float] = {}
        self._bytes, self._lock = 0, threading.Lock()

    @property
    def dim(self) -> int:
        """Values of one row, or of one of its tokens."""
        return self.source.dim

    @property
    def tokens(self) -> int:
        """Tokens of one row; 1 of pooled features."""
        return int(getattr(self.source, "n_tokens", 1))

    def apart(self, video: str) -> float:
        """Return the usual seconds between the ends of two rows of a video.

        Raises:
            StoreError: as :meth:`get`.
        """
        if video not in self._apart:
            self._apart[video] = spacing(self.get(video)[1][:, 1])
        return self._apart[video]

    def get(self, video: str) -> tuple[np.ndarray, np.ndarray]:
        """Return rows ``[N, L, D]`` as they are stored, L tokens each, and their times ``[N, 2]``.

        Raises:
            StoreError: there are none, or they are damaged, in several views, or out of order.
        """
        found = self._of.get(video)
        if found is not None:
            return found
        read = self.source.get(video)
        features, times = np.asarray(read.features), np.asarray(read.times, np.float64)
        if features.ndim == 2:
            features = features[:, None]
        if features.ndim != 3 or features.shape[1:] != (self.tokens, self.dim) or not len(times):
            raise StoreError(
                f"The features of '{video}' have shape {list(np.shape(read.features))}; expected "
                f"[rows, {self.dim}] or [rows, {self.tokens}, {self.dim}], one view of each row."
            )
        if not np.isfinite(features).all():
            raise StoreError(f"The features of '{video}' hold values that are not finite.")
        if (np.diff(times[:, 1]) < 0).any():
            raise StoreError(f"The rows of '{video}' do not end in rising order; extract again.")
        with self._lock:
            if video not in self._of and self._bytes + features.nbytes <= self._limit:
                self._bytes += features.nbytes
                self._of[video] = features, times
        return features, times
