"""One video as the network sees it: features by row, segments in rows, and the way back to time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from actionspace.errors import DataError, StoreError
from actionspace.features.store import VideoFeatures
from actionspace.localization.learning.assign import Truth, collect

#: Rows by which a moment may lie beside where an even grid has it.
UNEVEN = 0.5


@dataclass(frozen=True)
class RowGrid:
    """When the rows of a video are.

    With features of ``stride`` and ``num_frames`` frames at ``fps``, ``step`` is stride / fps and
    ``first`` half of num_frames / fps, so that a row is at its centre.

    Attributes:
        step: seconds between two rows.
        first: second at the centre of row 0.
        offset: rows from the video's beginning to the centre of its first row; the same for a
            window of the video, of which row 0 is another.
    """

    step: float
    first: float
    offset: float

    @classmethod
    def of(cls, times: np.ndarray, video: str = "") -> RowGrid:
        """Return the grid on which rows lie that cover ``times`` (seconds ``[N, 2]``).

        Raises:
            StoreError: there are no rows, or they are not evenly spaced.
        """
        if not len(times):
            raise StoreError(f"'{video}' has no rows of features.")
        starts = times[:, 0]
        width = float(times[0, 1] - times[0, 0])
        step = float(starts[-1] - starts[0]) / (len(times) - 1) if len(times) > 1 else width
        even = starts[0] + step * np.arange(len(times))
        if not step > 0 or np.abs(starts - even).max() > UNEVEN * step:
            raise StoreError(
                f"'{video}': its rows are not evenly spaced, because its frame rate varies or some "
                f"rows are missing. Extract again with views at a fixed rate (fps=), or leave the "
                f"video out."
            )
        first = float(starts[0]) + width / 2
        return cls(step, first, first / step)

    def to_rows(self, seconds: np.ndarray) -> np.ndarray:
        """Return where moments lie, in rows (fractions, below 0 and beyond the end as well)."""
        return (seconds - self.first) / self.step

    def to_seconds(self, rows: Tensor) -> Tensor:
        """Return the moments of positions in rows; the inverse of :meth:`to_rows`."""
        return rows * self.step + self.first

    def from_row(self, start: int) -> RowGrid:
        """Return the grid of a window that begins at a row."""
        return replace(self, first=self.first + start * self.step)


@dataclass(frozen=True)
class Sample:
    """A video, or a window of it.

    Attributes:
        video: its path in the manifest.
        features: float32 ``[C, T]``.
        segments: float32 ``[N, 2]``, start and end in rows.
        labels: int64 ``[N]``.
        grid: the way from rows to seconds.
        duration: seconds of the whole video; NaN where nobody knows.
        uncounted: float32 ``[M, 2]``, spans in rows of which nobody knows what happens there.
    """

    video: str
    features: Tensor
    segments: Tensor
    labels: Tensor
    grid: RowGrid
    duration: float
    uncounted: Tensor

    def __len__(self) -> int:
        return int(self.features.shape[1])

    def cut(self, start: int, stop: int, segments: Tensor, labels: Tensor) -> Sample:
        """Return the window of some rows with these segments, counted from its start."""
        features, grid = self.features[:, start:stop], self.grid.from_row(start)
        same = replace(self, features=features, segments=segments, labels=labels, grid=grid)
        return replace(same, uncounted=self.uncounted - start)


@dataclass(frozen=True)
class SampleBatch:
    """Samples padded to one length with zeros.

    Attributes:
        features: float32 ``[B, C, P]``.
        mask: bool ``[B, 1, P]``, True where there are features.
        truth: the events of each sample.
        videos, grids, durations: of each sample.
        uncounted: float32 ``[B, M, 2]``, spans of each sample that do not count, filled up with
            empty ones; None if no sample has any.
    """

    features: Tensor
    mask: Tensor
    truth: Truth
    videos: tuple[str, ...]
    grids: tuple[RowGrid, ...]
    durations: tuple[float, ...]
    uncounted: Tensor | None = None


PaddedLength = Callable[[int], int]
"""Returns the length to which samples are padded of which the longest has so many rows."""


def make_sample(
    video: str,
    found: VideoFeatures,
    seconds: np.ndarray,
    labels: np.ndarray,
    duration: float,
    uncounted: np.ndarray | None = None,
) -> Sample:
    """Return a whole video.

    Args:
        video: its path in the manifest.
        found: features ``[T, C]``.
        seconds: starts and ends of its events ``[N, 2]``.
        labels: class numbers ``[N]``.
        duration: of the video in seconds, or NaN.
        uncounted: starts and ends of the spans that do not count ``[M, 2]``.

    Raises:
        StoreError: rows have views, or are not evenly spaced.
    """
    if found.features.ndim != 2:
        raise StoreError(
            f"'{video}' has features of shape {list(found.features.shape)}; localization takes one "
            f"vector per row. Extract with one view: geometry=center (or full)."
        )
    grid = RowGrid.of(found.times, video)
    segments = grid.to_rows(seconds.reshape(-1, 2)).astype(np.float32)
    spans = np.zeros((0, 2)) if uncounted is None else grid.to_rows(uncounted)
    return Sample(
        video,
        torch.from_numpy(np.ascontiguousarray(found.features.T, dtype=np.float32)),
        torch.from_numpy(segments),
        torch.from_numpy(labels.astype(np.int64)),
        grid,
        duration,
        torch.from_numpy(spans.astype(np.float32)),
    )


def collate(samples: Sequence[Sample], padded: PaddedLength) -> SampleBatch:
    """Put samples into one batch; ``padded`` is the network's rule.

    Raises:
        DataError: the rule gives fewer rows than the longest sample has.
    """
    lengths = [len(s) for s in samples]
    size = padded(max(lengths))
    if size < max(lengths):
        raise DataError(f"A video of {max(lengths)} rows of features does not fit into {size}.")
    parts = [functional.pad(s.features, (0, size - len(s))) for s in samples]
    return SampleBatch(
        torch.stack(parts),
        (torch.arange(size) < torch.tensor(lengths)[:, None])[:, None],
        collect([s.segments for s in samples], [s.labels for s in samples]),
        tuple(s.video for s in samples),
        tuple(s.grid for s in samples),
        tuple(s.duration for s in samples),
        _side_by_side([s.uncounted for s in samples]),
    )


def _side_by_side(spans: Sequence[Tensor]) -> Tensor | None:
    if not any(len(own) for own in spans):
        return None
    return torch.nn.utils.rnn.pad_sequence(list(spans), batch_first=True)
