"""Scores over time: the raw scores that predictions keep per row, as curves and per event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from actionspace.training.predictions import Predictions

Curves = tuple[np.ndarray, dict[str, np.ndarray]]
"""Times ``[N]`` in seconds and per class the probabilities ``[N]``."""


@dataclass(frozen=True)
class RowScores:
    """Raw scores of the rows that lie on a grid over each video.

    Attributes:
        classes: the C names.
        multi: independent probabilities instead of one distribution.
        average: ``prob`` or ``score``: what is averaged over the rows of an event.
        spans: ``[R, 2]`` start and end in seconds.
        raw: logits ``[R, C]``.
        places: per video the numbers of its rows.
    """

    classes: list[str]
    multi: bool
    average: str
    spans: np.ndarray
    raw: np.ndarray
    places: dict[str, np.ndarray]

    @classmethod
    def of(cls, predictions: Predictions, head: str) -> RowScores:
        """Take the rows out of a predictions folder; none where it keeps none."""
        table, classes = predictions.rows, predictions.classes(head)
        raw = predictions.raw.get(head)
        if raw is None or not len(table):
            table, raw = table.iloc[:0].reindex(columns=["video", "start", "end"]), np.zeros((0, 1))
        elif "anchored" in table:
            dense = ~table["anchored"].to_numpy(bool)
            table, raw = table[dense], raw[dense]
        return cls(
            classes,
            bool(predictions.labels["heads"][head].get("multi_label")),
            str(predictions.labels.get("average", "prob")),
            table[["start", "end"]].to_numpy(float),
            raw.astype(float),
            {str(k): np.asarray(v) for k, v in table.groupby("video", sort=False).indices.items()},
        )

    def over_time(self, video: str) -> Curves | None:
        """Return a video's probabilities over time, views averaged; None where it has no rows."""
        place = self.places.get(video)
        if place is None or len(place) < 2:
            return None
        values = self._probabilities(self.raw[place])
        times, which = np.unique(self.spans[place].mean(axis=1), return_inverse=True)
        summed = np.zeros((len(times), values.shape[1]))
        np.add.at(summed, which, values)
        mean = summed / np.bincount(which)[:, None]
        return times, dict(zip(self.classes, mean.T, strict=True))

    def of_events(self, video: str, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return the mean probabilities ``[E, C]`` of events of a video (seconds ``[E]``).

        An event owns the rows whose centre lies in it, else the row overlapping it most. NaN where
        the video has no rows.
        """
        from actionspace.features.bags import select_rows
        from actionspace.features.store import VideoFeatures

        out = np.full((len(start), len(self.classes)), np.nan)
        place = self.places.get(video)
        if place is None:
            return out
        raw = self.raw[place]
        each = raw if self.average == "score" else self._probabilities(raw)
        which, row = select_rows(VideoFeatures(each, self.spans[place]), start, end)
        summed, count = np.zeros_like(out), np.bincount(which, minlength=len(out))
        np.add.at(summed, which, each[row])
        have = count > 0
        mean = summed[have] / count[have][:, None]
        out[have] = self._probabilities(mean) if self.average == "score" else mean
        return out

    def _probabilities(self, logits: np.ndarray) -> np.ndarray:
        from scipy.special import expit, softmax

        return np.asarray(expit(logits) if self.multi else softmax(logits, axis=1))
