"""Detections of several networks become one set, which is measured like any other."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from actionspace.errors import DataError, RunError, UsageError, did_you_mean
from actionspace.events.labels import split_labels
from actionspace.events.nms_videos import Detections, NmsOptions, suppress
from actionspace.events.segment_fusion import fuse_segments
from actionspace.localization.detection.detector import Found, detections_frame
from actionspace.training.fusing import encoder_name, joined_truth, model_shares
from actionspace.training.predictions import (
    ROW_COLUMNS,
    Predictions,
    is_predictions,
    predicted_events,
    read_predictions,
    write_predictions,
)

log = logging.getLogger("actionspace")

PathLike = str | os.PathLike[str]
Method = Literal["average", "soft", "hard"]
MOMENTS = 0.5
"""Seconds around a moment in which others are the same one, where nothing is said."""


def fuse(
    paths: Sequence[PathLike],
    out: PathLike | None = None,
    *,
    weights: Sequence[float] | None = None,
    average: str = "prob",
    fit_on: Sequence[PathLike] | None = None,
    split: str = "test",
    method: Method = "average",
    iou_threshold: float = 0.5,
    sigma: float = 0.5,
    radius: float | None = None,
    min_score: float = 0.001,
    max_segments: int = 200,
) -> Predictions:
    """Put the detections of several models for the same videos together.

    Classes are matched by name, videos by path. A video that one model has no detections of is left
    to the others. How uncertain boundaries are is not kept.

    Args:
        paths: predictions folders, or runs, of which ``predictions/<split>`` is taken; at least
            two.
        out: the folder to write; with the truth at hand, it is evaluated and holds
            ``metrics.json``. None = write nothing.
        weights: one per model, not negative; None = equal ones.
        average, fit_on: of recognition; not possible here.
        split: of runs.
        method: ``average``: segments of a class that agree become their mean, see
            :func:`actionspace.events.segment_fusion.fuse_segments`. ``soft``, ``hard``: all are
            pooled, scores times weights, and those that overlap a better one are lowered by a
            Gaussian of the overlap, or removed.
        iou_threshold: temporal IoU from which on segments agree, or are removed (``hard``).
        sigma: of the Gaussian.
        radius: seconds by which segments are longer at both ends when they are compared; None = 0,
            of moments 0.5.
        min_score: what scores less is dropped.
        max_segments: detections kept per video.

    Raises:
        UsageError: the weights do not fit, an unknown method, fewer than two models.
        RunError: no predictions there.
        DataError: the models tell of different label columns, or have no video in common.
    """
    _check(average, fit_on, method)
    many = [_read(Path(path), split) for path in paths]
    if len(many) < 2:
        raise UsageError(f"There is nothing to fuse: {len(many)} model(s), not two.")
    shares = model_shares(weights, len(many))
    [column] = many[0].labels["heads"]
    for path, found in zip(paths, many, strict=True):
        if list(found.labels["heads"]) != [column]:
            told = ", ".join(found.labels["heads"])
            raise DataError(f"{path} tells of '{told}', the first model of '{column}'.")
    classes = list(dict.fromkeys(name for found in many for name in found.classes(column)))
    names = _videos(many)
    if radius is None:
        radius = MOMENTS if many[0].labels.get("points") else 0.0
    pooled = _pooled(many, column, classes, names)
    kept = []
    for table in pooled:
        if method == "average":
            one = _averaged(table, shares, iou_threshold, radius)
        else:
            one = _suppressed(table, shares, method, iou_threshold, sigma, radius)
        one = one[one[:, 2] >= min_score]
        best = one[np.argsort(-one[:, 2], kind="stable")[:max_segments]]
        kept.append(Found(best[:, :2], best[:, 2], best[:, 3].astype(np.int64)).as_array())
    frame = detections_frame(names, kept, classes, column)
    fused = _predictions(frame, many, [os.fspath(p) for p in paths], shares, classes, method)
    if out is not None:
        write_predictions(fused, out)
        if fused.truth is not None and len(fused.truth):
            from actionspace.localization.evaluate import evaluate

            evaluate(out)
    return fused


def _check(average: str, fit_on: Any, method: str) -> None:
    if average != "prob" or fit_on is not None:
        raise UsageError(
            "average= and fit_on= are for scores of classes; detections of localization take "
            "weights=2:1."
        )
    if method not in get_args(Method):
        hint = did_you_mean(method, get_args(Method))
        hint = hint or f" There is: {', '.join(get_args(Method))}."
        raise UsageError(f"'{method}' is no way to fuse detections.{hint}")


def _read(path: Path, split: str) -> Predictions:
    if (path / "config.yaml").is_file():
        folder = path / "predictions" / split
        if not is_predictions(folder):
            raise RunError(
                f"{path} holds no predictions of the split '{split}'; make them with `actionspace "
                f"evaluate {path} --split {split}`."
            )
        path = folder
    found = read_predictions(path)
    if found.labels.get("task") != "localization":
        raise DataError(f"{path} holds no detections: it is of recognition.")
    return found


def _looked_at(found: Predictions) -> list[str]:
    videos = found.labels.get("untrimmed")
    return list(found.events.videos["video"] if videos is None else videos)


def _videos(many: Sequence[Predictions]) -> list[str]:
    each = [_looked_at(found) for found in many]
    if not set(each[0]).intersection(*each[1:]):
        raise DataError("These models have no video in common, so there is nothing to fuse.")
    return list(dict.fromkeys(video for videos in each for video in videos))


def _pooled(
    many: Sequence[Predictions], column: str, classes: Sequence[str], videos: Sequence[str]
) -> list[np.ndarray]:
    """Return of each video start, end, score, label and model ``[N, 5]``."""
    number = {name: i for i, name in enumerate(classes)}
    parts = []
    for model, found in enumerate(many):
        rows = found.events.rows
        texts = {text: number[split_labels(text)[0]] for text in rows[column].unique()}
        parts.append(rows[["video", "start", "end", "score"]].assign(
            label=rows[column].map(texts), model=model
        ))  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    columns = ["start", "end", "score", "label", "model"]
    places = table.groupby("video", sort=False).indices
    values = table[columns].to_numpy(np.float64)
    return [values[places.get(video, [])] for video in videos]


def _averaged(table: np.ndarray, shares: np.ndarray, threshold: float, radius: float) -> np.ndarray:
    """Return start, end, score and label ``[M, 4]``."""
    parts = [np.zeros((0, 4))]
    for label in np.unique(table[:, 3]):
        mine = table[table[:, 3] == label]
        segments, scores = fuse_segments(
            mine[:, :2],
            mine[:, 2],
            mine[:, 4].astype(np.int64),
            shares,
            iou_threshold=threshold,
            radius=radius,
        )
        parts.append(np.column_stack([segments, scores, np.full(len(scores), label)]))
    return np.concatenate(parts)


def _suppressed(
    table: np.ndarray,
    shares: np.ndarray,
    method: Literal["soft", "hard"],
    threshold: float,
    sigma: float,
    radius: float,
) -> np.ndarray:
    """Return start, end, score and label ``[M, 4]``; the heaviest model's scores stay."""
    scores = table[:, 2] * (shares / shares.max())[table[:, 4].astype(np.int64)]
    longer = np.array([-radius, radius])
    found = Detections(table[:, :2] + longer, scores, table[:, 3].astype(np.int64))
    options = NmsOptions(
        method, threshold, min_score=0.0, max_segments=max(1, len(table)), sigma=sigma
    )
    kept = suppress([found], options)[0]
    return np.column_stack([kept.segments - longer, kept.scores, kept.labels])


def _predictions(
    frame: pd.DataFrame,
    many: Sequence[Predictions],
    names: Sequence[str],
    shares: np.ndarray,
    classes: Sequence[str],
    method: str,
) -> Predictions:
    first = many[0].labels
    [column] = first["heads"]
    videos = pd.concat([p.events.videos for p in many]).drop_duplicates("video", ignore_index=True)
    looked = [set(_looked_at(found)) for found in many]
    every = list(dict.fromkeys(v for found in many for v in _looked_at(found)))
    missing: dict[str, list[str]] = {
        name: [v for v in every if v not in has] for name, has in zip(names, looked, strict=True)
    }
    for name, without in missing.items():
        if without:
            log.info(f"{name} says nothing of {len(without)} videos: the others decide.")
    skipped = {v: why for p in many for v, why in p.skipped.items() if v not in every}
    thresholds = [float(p.labels.get("threshold") or 0.0) for p in many]
    labels: dict[str, Any] = {
        **{n: first[n] for n in ("split", "evaluation", "proposals", "points") if n in first},
        "task": "localization",
        "heads": {column: {"classes": list(classes), "multi_label": True}},
        "untrimmed": every,
        "skipped": skipped,
        "threshold": float(shares @ thresholds),
        "encoder": {"name": " + ".join(dict.fromkeys(encoder_name(p) for p in many))},
        "fused": {
            "from": list(names),
            "weights": shares.tolist(),
            "method": method,
            "missing": {name: without for name, without in missing.items() if without},
        },
    }
    return Predictions(
        events=predicted_events(frame, videos, many[0].events.root, (column,)),
        scores={column: frame["score"].to_numpy(np.float32)},
        labels=labels,
        rows=pd.DataFrame(columns=list(ROW_COLUMNS)),
        truth=joined_truth(many),
    )
