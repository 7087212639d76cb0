"""Predictions of several models side by side: classes in one order, the same events found.

Everything goes by name (of classes, of videos) and by time, nothing by position.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.training.predictions import Predictions, read_predictions

PathLike = str | os.PathLike[str]
_BESIDE = ["id", "video", "start", "end", "subject", "modifiers"]


def read_aligned(paths: Sequence[PathLike], like: Predictions | None = None) -> list[Predictions]:
    """Read predictions folders and bring the classes of all into the order of the first.

    Args:
        paths: the folders, at least two.
        like: predictions whose order of classes is taken instead.

    Raises:
        UsageError: there are fewer than two folders.
        RunError: a folder holds no predictions.
        DataError: heads or classes differ.
    """
    if len(paths) < 2:
        raise UsageError(f"There is nothing to fuse: {len(paths)} predictions folder(s), not two.")
    many = [read_predictions(path) for path in paths]
    first = like or many[0]
    ordered = [_in_order(p, first, path) for p, path in zip(many, paths, strict=True)]
    return [_named_as(p, first) for p in ordered]


def _named_as(found: Predictions, like: Predictions) -> Predictions:
    """Give videos the paths they have in ``like``, if the two have not one path in common.

    Then what has the same name is the same video, such as the pictures in ``rgb_frames/P01_01`` and
    the flow in ``flow_frames/P01_01``.
    """
    names, known = _by_name(found), _by_name(like)
    if set(found.events.videos["video"]) & set(like.events.videos["video"]):
        return found
    path = {old: known[name] for name, old in names.items() if name in known}
    if not path:
        return found

    def renamed(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(video=table["video"].replace(path))

    events = found.events
    events = replace(events, rows=renamed(events.rows), videos=renamed(events.videos))
    labels = dict(found.labels)
    labels["untrimmed"] = [path.get(v, v) for v in labels.get("untrimmed", [])]
    labels["skipped"] = {path.get(v, v): why for v, why in labels.get("skipped", {}).items()}
    truth = None if found.truth is None else renamed(found.truth)
    return replace(found, events=events, labels=labels, rows=renamed(found.rows), truth=truth)


def _by_name(found: Predictions) -> dict[str, str]:
    """Return the videos by name, without those that share theirs."""
    videos = [str(video) for video in found.events.videos["video"]]
    names = [PurePosixPath(video).stem for video in videos]
    count = Counter(names)
    return {name: video for name, video in zip(names, videos, strict=True) if count[name] == 1}


def _in_order(found: Predictions, like: Predictions, path: PathLike) -> Predictions:
    heads, other = found.labels["heads"], like.labels["heads"]
    if set(heads) != set(other):
        raise DataError(f"{path} has the heads {sorted(heads)}, the others {sorted(other)}.")
    scores, raw, abouts = dict(found.scores), dict(found.raw), dict(heads)
    for head, about in heads.items():
        have, want = found.classes(head), like.classes(head)
        for name in sorted(set(want) ^ set(have)):
            side, rest = ("lacks", have) if name in want else ("alone has", want)
            raise DataError(
                f"{path} {side} the class '{name}'.{did_you_mean(name, rest)} Models that are "
                "fused must know the same classes under the same names."
            )
        if bool(about.get("multi_label")) != bool(other[head].get("multi_label")):
            raise DataError(f"{path}: '{head}' has several labels per event, or the others have.")
        order = [have.index(name) for name in want]
        scores[head] = scores[head][:, order]
        if head in raw:
            raw[head] = raw[head][:, order]
        limits = list(about.get("thresholds") or [])
        limits = [limits[i] for i in order] if len(limits) == len(order) else limits
        abouts[head] = {**about, "classes": want, "thresholds": limits}
    labels = {**found.labels, "heads": {head: abouts[head] for head in other}}
    return replace(found, scores=scores, raw=raw, labels=labels)


def match_events(
    many: Sequence[Predictions], untrimmed: set[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the clips' events of all models, and where each model has them: ``[K, E]``, -1 = not.

    The same event has the same video and times (to a millisecond), and the same id; an event whose
    id is not found elsewhere is taken by video, times and subject.
    """
    number: dict[tuple[str, ...], int] = {}
    known: list[pd.Series[Any]] = []
    pairs: list[tuple[int, int, int]] = []
    for model, found in enumerate(many):
        taken: set[int] = set()
        for position, (_, row) in enumerate(found.events.rows.iterrows()):
            if row["video"] in untrimmed:
                continue
            place = (str(row["video"]), f"{row['start']:.3f}", f"{row['end']:.3f}")
            keys = [(*place, "id", str(row["id"])), (*place, "subject", str(row["subject"]))]
            free = [number[k] for k in keys if number.get(k, -1) not in {-1, *taken}]
            event = free[0] if free else len(known)
            if not free:
                known.append(row)
            for key in keys:
                number.setdefault(key, event)
            taken.add(event)
            pairs.append((model, event, position))
    where = np.full((len(many), len(known)), -1)
    for model, event, position in pairs:
        where[model, event] = position
    heads = list(many[0].labels["heads"])
    columns = [*_BESIDE, *heads, *(f"{head}_true" for head in heads)]
    rows = pd.DataFrame(known).reindex(columns=[c for c in columns if c in many[0].events.rows])
    return rows.reset_index(drop=True), where
