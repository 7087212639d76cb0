"""Events in order: what has begun by a moment, and what was going on at one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from actionspace.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.events.table import Events

UNKNOWN = -1
"""The number of a label that is none of the classes, or missing."""


@dataclass(frozen=True)
class Timeline:
    """One sequence of events, by their starts.

    Attributes:
        starts, ends: seconds, float64 ``[n]``.
        labels: class numbers, int64 ``[n, K]`` for K columns; -1 = none of the classes.
    """

    starts: np.ndarray
    ends: np.ndarray
    labels: np.ndarray

    def begun(self, until: float) -> int:
        """Return how many events have begun by a moment: those whose labels are known then."""
        return int(np.searchsorted(self.starts, until, side="right"))

    def during(self, at: np.ndarray) -> np.ndarray:
        """Return the labels of what goes on at moments ``[T]``, int64 ``[T, K]``; -1 = nothing.

        Of several events at once it is the one that began last.
        """
        last = np.searchsorted(self.starts, at, side="right") - 1
        found = np.full((len(at), self.labels.shape[1]), UNKNOWN, np.int64)
        inside = (last >= 0) & (at < self.ends[np.maximum(last, 0)]) if len(self.starts) else None
        if inside is not None:
            found[inside] = self.labels[last[inside]]
        return found


@dataclass(frozen=True)
class Asked:
    """Events whose labels are to be foretold, and the sequences that they lie in.

    Attributes:
        ids, videos: of each event, ``[E]``.
        starts, ends: seconds, float64 ``[E]``.
        targets: class numbers, int64 ``[E, K]``; -1 = none of the classes, or no label.
        sequence: number of the timeline of each event, int64 ``[E]``.
        timelines: the sequences.
    """

    ids: np.ndarray
    videos: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    targets: np.ndarray
    sequence: np.ndarray
    timelines: tuple[Timeline, ...]

    def __len__(self) -> int:
        return len(self.starts)


def usable(events: Events, columns: Sequence[str]) -> np.ndarray:
    """Return which rows are events with times and a label in a column, bool ``[E]``.

    Raises:
        DataError: there is no such column.
    """
    for column in columns:
        if column not in events.heads:
            hint = did_you_mean(column, events.heads) or f" There is: {', '.join(events.heads)}."
            raise DataError(f"The manifest has no label column '{column}'.{hint} Say columns=NAME.")
    rows = events.rows
    labelled = rows[list(columns)].notna().any(axis=1)
    kept: np.ndarray = ((rows["status"] == "event") & rows["start"].notna() & labelled).to_numpy()
    return kept


def numbered(rows: pd.DataFrame, classes: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return the class numbers of rows, int64 ``[n, K]``; -1 for what is no class.

    Raises:
        DataError: an event has several labels in one column.
    """
    table = np.full((len(rows), len(classes)), UNKNOWN, np.int64)
    for k, (column, names) in enumerate(classes.items()):
        number = {name: i for i, name in enumerate(names)}
        texts = rows[column]
        several = texts.notna() & texts.astype(str).str.contains(r"(?<!\\)\|", regex=True)
        if several.any():
            row = rows[several].iloc[0]
            raise DataError(
                f"{row['video']}: the event '{row['id']}' has several labels in '{column}' "
                f"({row[column]}). Anticipation foretells one; give each its own event."
            )
        table[:, k] = [number.get(text, UNKNOWN) for text in texts]
    return table


def asked(
    events: Events, classes: Mapping[str, Sequence[str]], by: str, *, all_: bool = False
) -> Asked:
    """Return the events of a manifest as questions, in its order, with their sequences.

    Args:
        events: the manifest, or a split of it.
        classes: per column the class names in the order of their numbers.
        by: ``video`` or ``subject``, see :class:`.options.HistoryConfig`.
        all_: also events without a label (what a challenge asks).

    Raises:
        DataError: a column is missing, or an event has several labels.
    """
    columns = list(classes)
    if all_:
        kept = ((events.rows["status"] == "event") & events.rows["start"].notna()).to_numpy()
        events = _with_columns(events, columns)
    else:
        kept = usable(events, columns)
    rows = events.rows[kept]
    labels = numbered(rows, classes)
    starts, ends = (rows[name].to_numpy(np.float64) for name in ("start", "end"))
    keys = rows["video"].astype(str)
    if by == "subject":
        keys = keys + "\n" + rows["subject"].fillna("").astype(str)
    names, sequence = np.unique(keys.to_numpy(str), return_inverse=True)
    timelines = []
    for k in range(len(names)):
        mine = np.flatnonzero(sequence == k)
        mine = mine[np.lexsort((ends[mine], starts[mine]))]
        timelines.append(Timeline(starts[mine], ends[mine], labels[mine]))
    ids, videos = (rows[name].to_numpy(object) for name in ("id", "video"))
    return Asked(ids, videos, starts, ends, labels, sequence.astype(np.int64), tuple(timelines))


def _with_columns(events: Events, columns: Sequence[str]) -> Events:
    from dataclasses import replace

    missing = {c: None for c in columns if c not in events.rows.columns}
    return replace(events, rows=events.rows.assign(**missing)) if missing else events
