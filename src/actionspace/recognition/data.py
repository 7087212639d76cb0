"""The manifest as a probe sees it: targets, groups, splits and the gaps where nothing happens."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actionspace.errors import DataError, did_you_mean
from actionspace.training.splits import with_splits as with_splits

if TYPE_CHECKING:
    from actionspace.events.table import Events

Say = Callable[[str], None]
Column = str | tuple[str, ...]
"""A head column of the manifest, or several that one network answers."""


@dataclass(frozen=True)
class Targets:
    """What each event is, as numbers.

    Attributes:
        classes: class names in the order of the head's outputs.
        multi_label: whether an event may be of several classes.
        values: int64 class numbers ``[E]`` (-1 = no label or an unknown one), or with several
            labels zeros and ones ``[E, C]`` (bool).
    """

    classes: list[str]
    multi_label: bool
    values: np.ndarray

    def of(self, events: Events, column: Column) -> np.ndarray:
        """Return what other events are, in these classes; see ``values``."""
        [name] = as_columns(column)
        return targets(events, name, self.classes, self.multi_label).values


def as_columns(column: Column) -> tuple[str, ...]:
    """Return one column or several as a tuple."""
    return (column,) if isinstance(column, str) else column


def load(data: str | os.PathLike[str] | Events, root: str | None = None) -> Events:
    """Read a manifest, or pass on one that is read already."""
    from actionspace.events.table import Events

    if isinstance(data, Events):
        return data
    from actionspace.events import io

    return io.read(Path(data), root=Path(root) if root else None)


def check_column(events: Events, column: Column) -> None:
    """Refuse a head column the manifest lacks.

    Raises:
        DataError: no such column, or not one event with a label in it.
    """
    for name in as_columns(column):
        if name not in events.heads:
            hint = did_you_mean(name, events.heads) or f" There is: {', '.join(events.heads)}."
            raise DataError(f"The manifest has no label column '{name}'.{hint}")
        if not use(events, name).any():
            raise DataError(
                f"The manifest has {len(events)} events and none has a '{name}'. Fill the column "
                "in, or name another one as head.column."
            )


def use(events: Events, column: Column) -> np.ndarray:
    """Return, per event, whether it has a label in any of the columns and is not to be ignored
    (bool ``[E]``).
    """
    labelled = events.rows[[*as_columns(column)]].notna().any(axis=1).to_numpy()
    return np.asarray(labelled & (events.rows["status"] == "event").to_numpy(), dtype=bool)


def event_name(events: Events, position: int) -> str:
    """Return what messages call an event: its video, and from when to when in seconds."""
    row = events.rows.iloc[position]
    if np.isnan(row["start"]) and np.isnan(row["end"]):
        return str(row["video"])
    return f"{row['video']} [{row['start']:g}-{row['end']:g} s]"


def targets(
    events: Events,
    column: str,
    classes: Sequence[str] | None = None,
    multi_label: bool | None = None,
) -> Targets:
    """Return what each event is.

    Args:
        events: the manifest.
        column: its head column.
        classes: the classes of a trained head; None = those of the manifest.
        multi_label: None = when any event has several labels.

    Raises:
        DataError: one class only, or several labels where the head knows one.
    """
    names = list(classes) if classes is not None else events.classes(column)
    used = use(events, column)
    labels = [found if ok else [] for found, ok in zip(events.labels(column), used, strict=True)]
    several = any(len(found) > 1 for found in labels)
    multi = several if multi_label is None else multi_label
    if several and not multi:
        at = next(i for i, found in enumerate(labels) if len(found) > 1)
        raise DataError(
            f"Event '{events.rows['id'].iloc[at]}' of '{events.rows['video'].iloc[at]}' has the "
            f"labels {labels[at]}, but the head knows one per event. Set head.multi_label=true."
        )
    if classes is None and len(names) < 2:
        raise DataError(
            f"All labelled events are '{names[0]}': a classifier needs at least two classes. Label "
            "some events of another class, or of nothing happening."
        )
    number = {name: i for i, name in enumerate(names)}
    if multi:
        table = np.zeros((len(labels), len(names)), dtype=bool)
        for i, found in enumerate(labels):
            table[i, [number[n] for n in found if n in number]] = True
        return Targets(names, True, table)
    single = [number.get(found[0], -1) if found else -1 for found in labels]
    return Targets(names, False, np.array(single, dtype=np.int64))


def video_groups(events: Events) -> dict[str, str]:
    """Return each video's group; a video without one is a group of its own."""
    videos = events.videos
    pairs = zip(videos["video"], videos["group"], strict=True)
    return {video: f"video:{video}" if group is None else group for video, group in pairs}


def event_groups(events: Events) -> np.ndarray:
    """Return the group of each event (str ``[E]``)."""
    of = video_groups(events)
    return np.array([of[video] for video in events.rows["video"]], dtype=object)


def check_split_classes(
    events: Events, column: str, say: Say, *, refit: bool = True, refuse: bool = True
) -> None:
    """Compare the classes of the splits.

    Args:
        events: the manifest.
        column: its head column.
        say: takes what the user should know.
        refit: whether the head that stays has learnt from the validation split as well.
        refuse: whether test labels that are nowhere in training are a mistake.

    Raises:
        DataError: they are, and there are some.
    """
    have = set(events.videos["split"])
    by_split = {name: set(events.select(split=name).classes(column)) for name in have if name}
    known = by_split.get("train", set()) | (by_split.get("val", set()) if refit else set())
    unseen = sorted(by_split.get("test", set()) - known)
    if unseen and refuse:
        raise DataError(
            f"The test split has labels that no training video has: {', '.join(unseen)}. Move "
            "videos of these classes to train, set their events' status to ignore, use folds, or "
            "count them as missed with evaluation.unseen=miss."
        )
    if unseen:
        say(f"Nowhere in training, so every one of these counts as missed: {', '.join(unseen)}.")
    only_val = sorted(by_split.get("val", set()) - by_split.get("train", set()))
    if only_val and refit:
        say(f"Only in val, so learned in the last fit only: {', '.join(only_val)}.")
    if "test" in by_split:
        untested = sorted(known - by_split["test"])
        if untested:
            say(f"Never tested, the test split has none: {', '.join(untested)}.")


@dataclass(frozen=True)
class Timing:
    """Duration in seconds and frame rate of a video; NaN where nobody knows."""

    duration: float
    fps: float


def timing(events: Events, video: str) -> Timing:
    """Return a video's timing from the manifest, else from the file."""
    row = events.videos[events.videos["video"] == video].iloc[0]
    duration, fps = float(row["duration"]), float(row["fps"])
    if np.isnan(duration) or np.isnan(fps):
        from actionspace.video.inspect import inspect

        info = inspect(events.path(video), exact=False)
        if info.verdict == "bad":
            return Timing(duration, fps)
        duration = float(info.duration) if np.isnan(duration) and info.duration else duration
        fps = float(info.fps) if np.isnan(fps) and info.fps else fps
    return Timing(duration, fps)


def content_hash(events: Events, column: Column) -> str:
    """Return a hash of what was annotated: rows, labels, splits and groups, not where files lie."""
    from actionspace.paths import sha256_json

    rows = events.rows[["video", "start", "end", *as_columns(column), "status"]].astype(object)
    videos = events.videos[["video", "split", "group", "labelled", "crop"]]
    return sha256_json([rows.to_numpy().tolist(), videos.to_numpy().tolist()])


def find_gaps(events: Events, video: str, duration: float) -> list[tuple[float, float]]:
    """Return the spans (s) of a video that were annotated and hold no event, ignored ones included.

    A video without ``labelled`` spans counts as annotated from beginning to end.
    """
    rows = events.for_video(video)
    if rows["start"].isna().any():
        return []
    spans = events.labelled_spans(video)
    if spans is None:
        spans = [] if np.isnan(duration) else [(0.0, duration)]
    busy = sorted(zip(rows["start"], rows["end"], strict=True))
    gaps: list[tuple[float, float]] = []
    for low, high in spans:
        at = low
        for start, end in busy:
            if end < low or start > high:
                continue
            if start > at:
                gaps.append((at, float(start)))
            at = max(at, float(end))
        if at < high:
            gaps.append((at, float(high)))
    return gaps


def with_gaps(
    events: Events, column: Column, label: str, room: Mapping[str, tuple[float, float]]
) -> Events:
    """Return the manifest with each annotated gap as an event called ``label``.

    Args:
        events: the manifest.
        column: head column that gets the label, or several.
        label: name of the class of nothing happening.
        room: per video its duration and the shortest gap that counts, in seconds; videos that are
            not named get no gaps.
    """
    import pandas as pd

    from actionspace.events.table import Events

    new: list[dict[str, object]] = []
    labels = dict.fromkeys(as_columns(column), label)
    for video, (duration, shortest) in room.items():
        for start, end in find_gaps(events, video, duration):
            if end - start >= shortest:
                name = f"gap:{video}:{len(new)}"
                new.append({"id": name, "video": video, "start": start, "end": end, **labels})
    if not new:
        return events
    rows = pd.concat([events.rows.astype(object), pd.DataFrame(new)], ignore_index=True)
    made = Events.from_frames(rows, events.videos, events.root, events.heads)
    return replace(made, origin=events.origin)
