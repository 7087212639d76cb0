"""Heads that came out of the loop, calibrated on rows that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from actionspace.heads.linear import LinearHead
from actionspace.recognition.head import Fits, Fitted, as_fitted, calibrate
from actionspace.recognition.rows import Rows, join

if TYPE_CHECKING:
    from actionspace.recognition.task import Task


@dataclass(frozen=True)
class Trained:
    """A head as it came out of the loop.

    Attributes:
        head: the classifier, not calibrated.
        untaught: numbers of the classes that none of its training samples was of.
    """

    head: LinearHead
    untaught: np.ndarray

    def judge(self, rows: Rows) -> np.ndarray:
        """Return logits ``[R, C]`` of rows it has not seen, to calibrate on.

        They are NaN for rows of a class it was not taught: of those no score can be right.
        """
        logits = self.head.scores(rows.features)
        if not self.head.multi_label:
            logits[np.isin(rows.targets, self.untaught)] = np.nan
        return logits


def calibrate_one(task: Task, column: str, trained: Trained, judged: Rows | None) -> Fits:
    """Calibrate a head on the validation split, if there is one with labels of its column."""
    rows = None if judged is None else task.rows_of(column, judged)
    if rows is None or not len(rows.event):
        return Fits(as_fitted(trained.head))
    scale = task.recipe.head.calibrate
    return Fits(calibrate(trained.head, rows, trained.judge(rows), scale=scale))


def held_out_rows(task: Task, folds: int, judged: Rows | None) -> list[Rows]:
    """Return, per fold, the rows of the videos that its head has not seen.

    Args:
        task: with the folds' encoders, if they have their own.
        folds: how many there are.
        judged: rows of all videos; None = each fold's encoder sees them in its own way.
    """
    if judged is None:
        return [task.held_out_rows(fold) for fold in range(folds)]
    return [judged.where(~_of(judged, task.learnt(fold))) for fold in range(folds)]


def calibrate_folds(
    task: Task, column: str, each: Sequence[Trained], final: Trained, parts: Sequence[Rows]
) -> Fits:
    """Calibrate every head of a column on what the folds' heads say of rows they have not seen.

    A fold's own head leaves out the videos it is tested on.

    Args:
        task: says which videos a fold learns from.
        column: of the heads.
        each: the head of each fold.
        final: the head that stays.
        parts: the rows of each fold, see :func:`held_out_rows`.
    """
    own = [task.rows_of(column, part) for part in parts]
    rows = own[0] if len(own) == 1 else join(own)
    held_out = np.concatenate([t.judge(part) for t, part in zip(each, own, strict=True)])
    scale = task.recipe.head.calibrate
    fitted: list[Fitted] = []
    for fold, trained in enumerate(each):
        mask = _of(rows, task.learnt(fold))
        fitted.append(calibrate(trained.head, rows.where(mask), held_out[mask], scale=scale))
    return Fits(calibrate(final.head, rows, held_out, scale=scale), fitted)


def _of(rows: Rows, videos: set[str]) -> np.ndarray:
    """Return a mask ``[R]`` of the rows of some videos."""
    return np.isin(rows.videos, list(videos))
