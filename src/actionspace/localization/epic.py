"""Verbs and nouns that two networks detect, as one answer to EPIC-KITCHENS-100 action detection."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from actionspace.errors import DataError, UsageError
from actionspace.events.table import Events
from actionspace.metrics.detection_matching import iou
from actionspace.metrics.epic import NOUNS, VERBS
from actionspace.metrics.epic_detection import (
    CHALLENGE,
    detection_submission,
    epic_detection,
    epic_detection_metrics,
    submitted_events,
)
from actionspace.metrics.epic_submission import Supervision, read_submission, write_submission
from actionspace.training.predictions import Predictions

if TYPE_CHECKING:
    from actionspace.localization.encode import Given

PathLike = str | os.PathLike[str]
COUNTS = {"verb": VERBS, "noun": NOUNS}


def pair(
    verbs: pd.DataFrame, nouns: pd.DataFrame, *, overlap: float = 0.5, most: int = 2000
) -> pd.DataFrame:
    """Return what verbs and nouns, detected in one video, say together.

    A verb and a noun that overlap are an action, which lasts as long as they do on average, by
    their scores. It scores their product times the overlap (temporal IoU).

    Args:
        verbs, nouns: ``start``, ``end``, ``score`` and the label in ``verb`` or ``noun``.
        overlap: least IoU of a pair.
        most: pairs that are kept, the best ones.

    Returns:
        the same columns, with both labels, by falling score.
    """
    (a, s), (b, t) = (
        (table[["start", "end"]].to_numpy(float), table["score"].to_numpy(float))
        for table in (verbs, nouns)
    )
    common = iou(a[:, None], b[None])
    i, j = np.nonzero((common >= overlap) & (common > 0))
    score = s[i] * t[j] * common[i, j]
    best = np.argsort(-score, kind="stable")[:most]
    i, j, score = i[best], j[best], score[best]
    weight = np.divide(s[i], s[i] + t[j], out=np.full(len(i), 0.5), where=s[i] + t[j] > 0)
    ends = weight[:, None] * a[i] + (1 - weight[:, None]) * b[j]
    labels = {"verb": verbs["verb"].to_numpy()[i], "noun": nouns["noun"].to_numpy()[j]}
    return pd.DataFrame({"start": ends[:, 0], "end": ends[:, 1], **labels, "score": score})


def together(
    verb: Predictions, noun: Predictions, videos: Events, *, overlap: float = 0.5, most: int = 2000
) -> Events:
    """Return the actions of videos as events with the heads ``verb`` and ``noun``.

    Args:
        verb, noun: detections, one with the head ``verb``, the other with ``noun``.
        videos: those that are answered; ones without a detection stay in the table.
        overlap, most: see :func:`pair`.

    Raises:
        DataError: a video was looked at by none or one of them.
    """
    tables = []
    seen = [set(found.events.videos["video"]) - set(found.skipped) for found in (verb, noun)]
    for video in videos.videos["video"]:
        for head, known in zip(COUNTS, seen, strict=True):
            if video not in known:
                raise DataError(
                    f"There are no {head} detections of '{video}'. Detect in the same videos with "
                    "both runs, or say which split is to be answered (split=test)."
                )
        own = [found.events.rows.loc[found.events.rows["video"] == video] for found in (verb, noun)]
        tables.append(pair(own[0], own[1], overlap=overlap, most=most).assign(video=video))
    rows = pd.concat(tables, ignore_index=True)
    return Events.from_frames(rows, videos.videos, videos.root, tuple(COUNTS))


def submit(
    sources: Sequence[PathLike],
    data: PathLike | Events,
    annotations: PathLike,
    out: PathLike,
    *,
    supervision: Supervision | None = None,
    split: str | None = None,
    overlap: float = 0.5,
    most: int = 2000,
    features: Given | None = None,
    **options: Any,
) -> Path:
    """Write the zip for the test server from a run (or predictions) of verbs and one of nouns.

    Args:
        sources: two runs or predictions folders; a run detects in the videos first.
        data: manifest of the videos to answer.
        annotations: folder with the official lists of classes, which give them their ids.
        out: a ``.zip`` file.
        supervision: what was learnt from.
        split: only these videos of the manifest.
        overlap, most: see :func:`pair`.
        features: of the videos, for runs.
        options: further ones of :func:`.predict.predictions`, for runs.

    Raises:
        UsageError: not one of each.
        DataError: see :func:`together`; a class that the challenge does not have.
    """
    from actionspace.datasets.epic100 import read_classes
    from actionspace.localization.data.samples import load
    from actionspace.localization.predict import predictions
    from actionspace.training.predictions import is_predictions, read_predictions

    events = load(data)[0].select(split=split)
    found: dict[str, Predictions] = {}
    for source in sources:
        one = (
            read_predictions(source)
            if is_predictions(source)
            else predictions(source, events, threshold=0.0, features=features, **options)
        )
        found |= dict.fromkeys(one.labels["heads"], one)
    if set(found) != set(COUNTS):
        raise UsageError(
            f"{CHALLENGE} is answered by a run with column=verb and one with column=noun; "
            f"{', '.join(map(str, sources))} have: {', '.join(found)}."
        )
    said = together(found["verb"], found["noun"], events, overlap=overlap, most=most)
    official = read_classes(Path(annotations))
    content = detection_submission(said, official.verbs, official.nouns, supervision=supervision)
    return write_submission(content, Path(out))


def is_submission(path: Path) -> bool:
    """Whether a file is an answer to the challenge, as the server takes it."""
    if path.suffix.lower() == ".zip":
        return True
    if path.suffix.lower() != ".json":
        return False
    with path.open("rb") as file:
        return f'"{CHALLENGE}"'.encode() in file.read(1000)


def evaluate_submission(path: Path, truth: Events, split: str | None = None) -> dict[str, Any]:
    """Return the figures that the server would: of verbs, nouns and actions of the same list.

    Args:
        path: of :func:`submit`.
        truth: manifest of ``prepare epic100-detection``, which knows the ids of the classes.
        split: only these videos of it; None = those that the file answers.

    Raises:
        DataError: the file is no submission, or the manifest does not know all classes.
    """
    from actionspace.datasets.class_order import class_order
    from actionspace.events.detection_files import with_videos_of

    names = {head: class_order(truth, head) for head in COUNTS if head in truth.heads}
    for head, count in COUNTS.items():
        if len(names.get(head, ())) != count:
            raise DataError(
                f"The manifest tells {len(names.get(head, ()))} of the {count} {head}s of "
                "EPIC-KITCHENS-100; take one that `actionspace prepare epic100-detection` made, "
                "with the file of its classes beside it."
            )
    said = submitted_events(read_submission(path), names["verb"], names["noun"])
    said = with_videos_of(said, truth)
    answered = set(said.videos["video"])
    known = truth.select(split=split)
    if split is None:
        known = known.select(videos=[v for v in known.videos["video"] if v in answered])
    found = epic_detection(known, said)
    metrics: dict[str, Any] = dict(epic_detection_metrics(found))
    metrics["left_out"] = {task: dict(one.left_out) for task, one in found.items()}
    metrics["protocol"] = {task: one.protocol.as_dict() for task, one in found.items()}
    return metrics
