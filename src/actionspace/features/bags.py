"""Which feature rows belong to which event.

An event owns a *bag* of rows. With dense rows: those whose centre lies in ``[start, end)``, or,
if there is none, the one row that overlaps the event most. With event rows: its own views. Heads
train on all rows of a bag, each with weight ``1 / size``, and average the scores of a bag.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from actionspace.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.events.table import Events
    from actionspace.features.foreign import Features
    from actionspace.features.store import VideoFeatures


@dataclass(frozen=True)
class Bags:
    """Rows of features and the event each belongs to; R rows, E events."""

    features: np.ndarray
    """Float32 ``[R, D]``, or tokens ``[R, L, D]``; the views of a row are rows of their own."""
    owner: np.ndarray
    """Int64 ``[R]``: position in ``events.rows`` of the event each row belongs to, ascending."""
    size: np.ndarray
    """Int64 ``[E]``: rows of each event; 0 for an event without features or without a label."""
    missing: dict[str, str]
    """Videos without features, with the reason the extraction gave."""

    @property
    def weight(self) -> np.ndarray:
        """Float64 ``[R]``: ``1 / size`` of the owner, so that each event weighs the same."""
        return np.asarray(1.0 / self.size[self.owner])

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Average row values ``[R, ...]`` over each bag -> ``[E, ...]``; NaN for an empty bag."""
        total = np.zeros((len(self.size), *values.shape[1:]), dtype=np.float64)
        np.add.at(total, self.owner, values)
        size = self.size.reshape(-1, *[1] * (values.ndim - 1))
        with np.errstate(invalid="ignore"):
            return np.where(size > 0, total / np.maximum(size, 1), np.nan)


def bags(
    events: Events,
    store: Features,
    head: str | tuple[str, ...] | None = None,
    *,
    tokens: bool = False,
) -> Bags:
    """Gather the rows of every event.

    Args:
        events: the manifest; positions in ``owner`` and ``size`` are positions in its rows.
        store: a feature store, or a directory opened with ``open_features``.
        head: only events that carry a label for this head (or any of these) get a bag. Ignored
            events never do.
        tokens: keep the tokens of a store that holds some; False = their mean.

    Raises:
        StoreError: a video has neither features nor a reason for having none, or event features
            lack an event.
    """
    wanted = events.rows["status"].to_numpy() == "event"
    if head is not None:
        heads = [head] if isinstance(head, str) else [*head]
        wanted &= events.rows[heads].notna().any(axis=1).to_numpy()
    parts: list[np.ndarray] = []
    size = np.zeros(len(events.rows), dtype=np.int64)
    owners: list[np.ndarray] = []
    missing: dict[str, str] = {}
    skipped = store.skipped()
    many = getattr(store, "tokens", None) is not None
    for video, position in _by_video(events.rows, wanted):
        if video not in store:
            if video in skipped:
                missing[video] = skipped[video]
                continue
            raise StoreError(
                f"The features hold nothing of '{video}', which has labelled events; run "
                f"`actionspace extract` on this manifest again."
            )
        found = store.get(video)
        start = events.rows["start"].to_numpy(dtype=np.float64)[position]
        end = events.rows["end"].to_numpy(dtype=np.float64)[position]
        try:
            which, rows = select_rows(found, start, end, store.rows)
        except StoreError as e:
            raise StoreError(f"'{video}': {e}") from e
        values = found.features[rows].astype(np.float32)
        if many and not tokens:
            values = values.mean(axis=-2)
        inner = values.shape[-2:] if many and tokens else values.shape[-1:]
        views = values.shape[1] if values.ndim > 1 + len(inner) else 1
        parts.append(values.reshape(-1, *inner))
        owners.append(np.repeat(position[which], views))
        size[position] = np.bincount(which, minlength=len(position)) * views
    owner = np.concatenate(owners) if owners else np.zeros(0, dtype=np.int64)
    empty = (0, getattr(store, "n_tokens", 1), store.dim) if many and tokens else (0, store.dim)
    features = np.concatenate(parts) if parts else np.zeros(empty, dtype=np.float32)
    del parts
    order = np.argsort(owner, kind="stable")
    if (np.diff(order) != 1).any():  # a manifest sorted by video needs no second copy
        owner, features = owner[order], features[order]
    return Bags(features, owner, size, missing)


def select_rows(
    found: VideoFeatures, start: np.ndarray, end: np.ndarray, rows: str = "dense"
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(which, row)``: pairs of event number and row number of one video.

    ``start`` and ``end`` are seconds ``[E]``; NaN stands for the beginning and end of the video.
    """
    if not len(found.times):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    whole = float(found.meta.get("duration") or found.times[:, 1].max())
    start = np.where(np.isnan(start), 0.0, start)
    end = np.where(np.isnan(end), whole, end)
    if rows == "events":
        return np.arange(len(start)), _own_rows(found, start, end)
    return _dense_rows(found.times, start, end)


def _own_rows(found: VideoFeatures, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    lookup = {(float(s), float(e)): i for i, (s, e) in enumerate(found.times)}
    rows = [lookup.get((float(s), float(e)), -1) for s, e in zip(start, end, strict=True)]
    if -1 in rows:
        at = rows.index(-1)
        partial = found.meta.get("partial")
        why = f" (the video is partial: {partial})" if partial else ""
        raise StoreError(
            f"the event {start[at]:g}-{end[at]:g} s has no features{why}; events were added or "
            f"moved since the extraction: run `actionspace extract` on this manifest again."
        )
    return np.array(rows, dtype=np.int64)


def _dense_rows(
    times: np.ndarray, start: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    centre = times.mean(axis=1)
    order = np.argsort(centre, kind="stable")
    low = np.searchsorted(centre[order], start, side="left")
    high = np.maximum(np.searchsorted(centre[order], end, side="left"), low)
    count = high - low
    for event in np.flatnonzero(count == 0):
        low[event] = _most_overlapping(times[order], start[event], end[event])
    count = np.maximum(count, 1)
    which = np.repeat(np.arange(len(start)), count)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    return which, order[np.repeat(low, count) + offset]


def _most_overlapping(times: np.ndarray, start: float, end: float) -> int:
    """Return the row with the largest overlap; among equals the nearest centre, then the first."""
    overlap = np.minimum(times[:, 1], end) - np.maximum(times[:, 0], start)
    distance = np.abs(times.mean(axis=1) - (start + end) / 2)
    return int(np.lexsort((distance, -overlap))[0])


def _by_video(rows: pd.DataFrame, wanted: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    import pandas as pd

    position = np.flatnonzero(wanted)
    names = rows["video"].to_numpy()[position]
    codes, unique = pd.factorize(names)
    order = np.argsort(codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    for chunk in np.split(order, cuts) if len(order) else []:
        yield str(unique[codes[chunk[0]]]), position[chunk]
