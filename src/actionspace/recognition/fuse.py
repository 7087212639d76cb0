"""Late fusion: predictions of several models for the same events become one.

A model of pictures, one of optical flow and one of sound each see something else; their
probabilities are averaged. The result is a predictions folder like any other.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.features.store import VideoFeatures
from actionspace.heads.linear import LinearHead
from actionspace.recognition.align import PathLike, match_events, read_aligned
from actionspace.recognition.blend import blend, fit_weights, logits
from actionspace.recognition.infer import find_events, name_labels
from actionspace.recognition.measure import event_values, own_truth
from actionspace.recognition.probe import Average, Background, Probe
from actionspace.recognition.recipe import PredictConfig
from actionspace.recognition.scores import (
    RawScores,
    Reading,
    from_table,
    time_probabilities,
    to_table,
)
from actionspace.training.fusing import encoder_name, joined_truth, model_shares
from actionspace.training.predictions import (
    ROW_COLUMNS,
    Predictions,
    predicted_events,
    write_predictions,
)

_log = logging.getLogger("actionspace")


def fuse(
    paths: Sequence[PathLike],
    out: PathLike | None = None,
    *,
    weights: Sequence[float] | None = None,
    average: Average = "prob",
    fit_on: Sequence[PathLike] | None = None,
    smooth: float | None = None,
    min_duration: float | None = None,
    merge_gap: float | None = None,
) -> Predictions:
    """Average the predictions of several models for the same videos.

    Classes are matched by name, events by id (else by video and time). An event or video that one
    model could not predict (a video without sound, say) is predicted by the others, and listed in
    ``labels["fused"]["missing"]``. In untrimmed videos scores over time are averaged, on the time
    grid of the first folder, and become events again.

    Args:
        paths: predictions folders, at least two.
        out: the folder to write; None = write nothing.
        weights: one per folder, not negative; None = equal ones.
        average: ``prob`` averages probabilities, ``score`` logits.
        fit_on: instead of ``weights``, predictions of the same models for labelled events, one
            folder per model in the same order: the weights under which these labels are likeliest.
            Take videos that the models were not trained on, and not those you test on.
        smooth, min_duration, merge_gap: how scores over time become events, in seconds; None = as
            in ``predict``.

    Raises:
        UsageError: the weights do not fit, or there are fewer than two folders.
        RunError: a folder holds no predictions.
        DataError: heads or classes differ, or there is nothing to fit the weights on.
    """
    if average not in ("prob", "score"):
        hint = did_you_mean(average, ("prob", "score"))
        raise UsageError(f"average='{average}' is neither 'prob' nor 'score'.{hint}")
    many = read_aligned(paths)
    if weights is not None and fit_on is not None:
        raise UsageError("weights= and fit_on= exclude each other: give the weights or fit them.")
    if fit_on is not None and len(fit_on) != len(paths):
        raise UsageError(
            f"fit_on= has {len(fit_on)} folders for {len(paths)} models; give one per model, in "
            "the same order."
        )
    chosen = model_shares(weights, len(many))
    if fit_on is not None:
        chosen = _fitted(read_aligned(fit_on, like=many[0]), average)
    changed = {"smooth": smooth, "min_duration": min_duration, "merge_gap": merge_gap}
    config = PredictConfig(**{k: v for k, v in changed.items() if v is not None})
    found = _fuse(many, [os.fspath(p) for p in paths], chosen, average, config)
    for name, events in found.labels["fused"]["missing"].items():
        _log.info(f"{name} says nothing of {len(events)} events or videos: the others decide.")
    if out is not None:
        write_predictions(found, out)
    return found


def _fitted(many: Sequence[Predictions], average: Average) -> np.ndarray:
    """Return the weights that predict the labelled events of these folders best, by their first
    head.
    """
    from actionspace.recognition import data as manifest

    truth = own_truth(many[0])
    column, about = next(iter(many[0].labels["heads"].items()))
    multi = bool(about.get("multi_label"))
    reading = Reading.of(about, average)
    values = np.stack([event_values(p, truth, column, reading) for p in many])
    used = manifest.use(truth, column) & ~np.isnan(values).any(axis=(0, 2))
    told = manifest.targets(truth, column, many[0].classes(column), multi)
    if not used.any():
        raise DataError("There is nothing to fit weights on: no labelled event has all scores.")
    return fit_weights(values[:, used], told.values[used], average, multi)


def _fuse(
    many: Sequence[Predictions],
    names: Sequence[str],
    weights: np.ndarray,
    average: Average,
    config: PredictConfig,
) -> Predictions:
    untrimmed = list(dict.fromkeys(v for p in many for v in p.labels.get("untrimmed", [])))
    rows, where = match_events(many, set(untrimmed))
    truth = joined_truth(many)
    _tell_apart(rows, truth)
    heads = {head: _about(many, head, weights) for head in many[0].labels["heads"]}
    scores: dict[str, np.ndarray] = {}
    for head, about in heads.items():
        values = np.full((len(many), len(rows), len(about["classes"])), np.nan)
        for model, (found, at) in enumerate(zip(many, where, strict=True)):
            values[model, at >= 0] = found.scores[head][at[at >= 0]]
        scores[head] = blend(values, weights, average, about["multi_label"])
        told = [name_labels(_probe(head, about, many[0]), p) for p in scores[head]]
        rows[head] = pd.Series(told, dtype=object, index=rows.index)
        best = scores[head].max(axis=1, initial=0)
        if head == next(iter(heads)):
            rows["score"] = best
        if len(heads) > 1:
            rows[f"{head}_score"] = best
    videos = pd.concat([p.events.videos for p in many]).drop_duplicates("video", ignore_index=True)
    table, raw = pd.DataFrame(columns=list(ROW_COLUMNS)), {}
    if untrimmed:
        probes = [_probe(head, about, many[0]) for head, about in heads.items()]
        over_time = {
            head: _over_time(many, head, weights, Reading.of(about, average))
            for head, about in heads.items()
        }
        dense = [found[0] for found in over_time.values()]
        found_rows, found_scores = find_events(probes, untrimmed, dense, config, average)
        rows = pd.concat([part for part in (rows, found_rows) if len(part)], ignore_index=True)
        for head in heads:
            scores[head] = np.concatenate([scores[head], found_scores[head]])
            table, raw[head] = to_table(over_time[head])
    events = many[0].events
    return Predictions(
        events=predicted_events(rows, videos, events.root, tuple(heads)),
        scores={head: values.astype(np.float32) for head, values in scores.items()},
        labels=_labels(many, names, weights, average, heads, untrimmed, where, rows),
        rows=table,
        raw=raw,
        truth=truth,
    )


def _over_time(
    many: Sequence[Predictions], head: str, weights: np.ndarray, reading: Reading
) -> list[RawScores]:
    """Return fused raw scores of the dense grid, and (if there are any) of rows placed in events.

    Each row of the first model that has a video is joined by the row of every other model that
    covers the same time most nearly.
    """
    from scipy.spatial import cKDTree

    kinds = []
    for found in many:
        if head not in found.raw:
            raise DataError("Scores over time were not kept by all of these; predict again.")
        videos = found.events.videos
        seconds = dict(zip(videos["video"], videos["duration"], strict=True))
        kinds.append(from_table(found.rows, found.raw[head], seconds))
    fused = []
    for kind in ("dense", "events"):
        sources = [k[kind].of if kind in k else {} for k in kinds]
        scores = RawScores(len(many[0].classes(head)), kind)
        for video in dict.fromkeys(v for source in sources for v in source):
            parts = [source.get(video) for source in sources]
            grid = next(part for part in parts if part is not None)
            values = np.full((len(parts), len(grid), scores.dim), np.nan)
            for model, part in enumerate(parts):
                if part is not None:
                    nearest = cKDTree(part.times).query(grid.times)[1]
                    values[model] = time_probabilities(part, reading)[nearest]
            mixed = blend(values, weights, reading.average, reading.multi_label)
            raw = logits(mixed, reading.multi_label)
            scores.of[video] = VideoFeatures(raw.astype(np.float32), grid.times, grid.meta)
        fused.append(scores)
    return fused


def _about(many: Sequence[Predictions], head: str, weights: np.ndarray) -> dict[str, Any]:
    """Return the head's entry of ``labels.json``; thresholds are averaged as scores are."""
    abouts = [p.labels["heads"][head] for p in many]
    limits = [np.asarray(about.get("thresholds") or [], np.float64) for about in abouts]
    same = len({len(limit) for limit in limits}) == 1
    mean = (weights[:, None] * np.stack(limits)).sum(axis=0).tolist() if same else []
    multi = bool(abouts[0].get("multi_label"))
    told = {"classes": many[0].classes(head), "multi_label": multi, "thresholds": mean}
    own = {"background": abouts[0]["background"]} if "background" in abouts[0] else {}
    return told | own


def _probe(head: str, about: dict[str, Any], first: Predictions) -> Probe:
    """Return what says how fused scores become labels; its head has no features."""
    classes = tuple(about["classes"])
    empty = np.zeros((len(classes), 0), np.float32)
    limits = tuple(about["thresholds"])
    linear = LinearHead(empty, empty.sum(axis=1), classes, about["multi_label"], 1.0, limits)
    return Probe(head, linear, Background(**first.background(head)))


def _labels(
    many: Sequence[Predictions],
    names: Sequence[str],
    weights: np.ndarray,
    average: Average,
    heads: dict[str, Any],
    untrimmed: Sequence[str],
    where: np.ndarray,
    rows: pd.DataFrame,
) -> dict[str, Any]:
    first = many[0].labels
    kept = ("clip_seconds", "split", "evaluation")
    skipped = {v: why for p in many for v, why in p.skipped.items()}
    everywhere = {v: w for v, w in skipped.items() if all(v in p.skipped for p in many)}
    missing = {
        name: [str(i) for i in rows["id"][: where.shape[1]][at < 0]]
        + [v for v in untrimmed if v in found.skipped]
        for name, at, found in zip(names, where, many, strict=True)
    }
    return {
        **{name: first[name] for name in kept if name in first},
        "heads": heads,
        "background": _background(many, untrimmed),
        "average": average,
        "rows": first.get("rows", "dense"),
        "untrimmed": list(untrimmed),
        "skipped": everywhere,
        "encoder": {"name": " + ".join(encoder_name(p) for p in many)},
        "fused": {
            "from": list(names),
            "weights": [float(w) for w in weights],
            "average": average,
            "missing": {name: events for name, events in missing.items() if events},
        },
    }


def _background(many: Sequence[Predictions], untrimmed: Sequence[str]) -> dict[str, Any]:
    each = [dict(p.labels.get("background") or {}) for p in many]
    kinds = {f"{b.get('kind')} '{b.get('label')}'" for b in each}
    if untrimmed and len(kinds) > 1:
        raise DataError(
            f"These models tell in different ways that nothing happens ({', '.join(sorted(kinds))})"
            ", so their events over time cannot be fused. Train them with the same "
            "predict.background."
        )
    told = (
        "The threshold is the mean of the models' own."
        if each[0].get("kind") == "threshold"
        else ""
    )
    return {**each[0], "note": told}


def _tell_apart(rows: pd.DataFrame, truth: pd.DataFrame | None) -> None:
    """Put the video into every id where models of different manifests use the same ids."""
    tables = [rows] if truth is None else [rows, truth]
    pairs = pd.concat([table[["id", "video"]] for table in tables]).drop_duplicates()
    if pairs["id"].duplicated().any():
        for table in tables:
            table["id"] = table["video"].astype(str) + "#" + table["id"].astype(str)
