"""A plausible run folder, made without training: for tests of the report and for looking at it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actionspace.events.table import Events
from actionspace.training.predictions import Predictions, write_predictions
from actionspace.training.run import Run

CLASSES = (
    "face_washing",
    "genital_licking",
    "grooming",
    "head_raising",
    "rearing",
    "wall_supported_rearing",
)
UNLIKE = {0: 2, 2: 0, 4: 5, 5: 4, 1: 2, 3: 4}


def manifest(
    root: Path, classes: Sequence[str] = CLASSES, videos: Sequence[str] | None = None
) -> Events:
    """144 clips of 12 sessions, as many of each class; ``videos`` names the files instead."""
    n = 144 if videos is None else len(videos)
    names = videos or [f"clips/{classes[i % len(classes)]}_{i:03d}.mkv" for i in range(n)]
    session = [i * 12 // n for i in range(n)]
    groups = [f"session_{k:02d}" for k in session]
    splits = ["test" if k >= 8 else "val" if k == 7 else "train" for k in session]
    rows = pd.DataFrame({"video": names, "label": [classes[i % len(classes)] for i in range(n)]})
    table = pd.DataFrame({"video": names, "split": splits, "group": groups, "duration": 0.64})
    return Events.from_frames(rows, table, root=root)


def scores_for(truth: np.ndarray, n_classes: int, seed: int = 0) -> np.ndarray:
    """Probabilities ``[N, C]`` that are right about two times in three."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.2, (len(truth), n_classes))
    logits[np.arange(len(truth)), truth] += 1.6
    other = np.array([UNLIKE.get(int(t), 0) % n_classes for t in truth])
    logits[np.arange(len(truth)), other] += 0.9
    odds = np.exp(logits)
    return (odds / odds.sum(1, keepdims=True)).astype(np.float32)


def evaluated(events: Events, classes: Sequence[str] = CLASSES) -> Predictions:
    """Predictions of the test split, with the truth beside them."""
    test = events.select(split="test")
    truth = np.array([classes.index(label) for label in test.rows["label"]])
    scores = scores_for(truth, len(classes))
    rows = test.rows.assign(
        label=[classes[i] for i in scores.argmax(1)],
        score=scores.max(1).astype(float),
        label_true=test.rows["label"],
    )
    told = Events(rows, test.videos, test.root, test.heads)
    return Predictions(told, {"label": scores}, about(classes), pd.DataFrame())


def about(classes: Sequence[str] = CLASSES, **more: Any) -> dict[str, Any]:
    """The content of ``labels.json``."""
    return {"heads": {"label": {"classes": list(classes)}}, **more}


def bouts(
    video: str, seconds: float, seed: int, classes: Sequence[str] = CLASSES
) -> list[dict[str, Any]]:
    """Contiguous bouts of random classes with pauses between some of them."""
    rng = np.random.default_rng(seed)
    rows, t, last = [], float(rng.uniform(0, 2)), -1
    while t < seconds - 1:
        end = min(t + float(rng.gamma(2, seconds / 60)) + 0.6, seconds)
        k = int(rng.choice([i for i in range(len(classes)) if i != last]))
        rows.append({"video": video, "start": t, "end": end, "label": classes[k]})
        t, last = end + (float(rng.gamma(1.5, seconds / 90)) if rng.random() < 0.4 else 0.0), k
    return rows


def noisy(rows: list[dict[str, Any]], seed: int, classes: Sequence[str] = CLASSES) -> pd.DataFrame:
    """Bouts as a model would see them: edges moved, some missed, some of another class."""
    rng = np.random.default_rng(seed)
    seen = []
    for row in rows:
        if rng.random() < 0.08:
            continue
        k = classes.index(row["label"])
        k = UNLIKE.get(k, 0) % len(classes) if rng.random() < 0.15 else k
        start = max(row["start"] + rng.normal(0, 0.4), seen[-1]["end"] if seen else 0.0)
        end = max(row["end"] + rng.normal(0, 0.4), start + 0.3)
        score = float(rng.uniform(0.45, 0.99))
        seen.append({**row, "start": start, "end": end, "label": classes[k], "score": score})
    return pd.DataFrame(seen)


def untrimmed(
    root: Path,
    names: Sequence[str] = ("cage_3_evening.mp4", "cage_3_night.mp4"),
    seconds: Sequence[float] = (96.0, 1260.0),
    classes: Sequence[str] = CLASSES,
    with_truth: bool = True,
) -> Predictions:
    """Predicted events of long videos, with scores over time."""
    truth, guess, rows, raw = [], [], [], []
    for i, (name, length) in enumerate(zip(names, seconds, strict=True)):
        truth += bouts(name, length, i, classes)
        here = noisy([r for r in truth if r["video"] == name], i, classes)
        guess.append(here)
        times = np.arange(0, length - 0.64, 0.64)
        logits = np.random.default_rng(i).normal(0, 0.5, (len(times), len(classes)))
        for row in here.itertuples():
            inside = (times + 0.32 >= row.start) & (times + 0.32 < row.end)
            logits[inside, classes.index(row.label)] += 4 * row.score
        rows.append(pd.DataFrame({"video": name, "start": times, "end": times + 0.64}))
        raw.append(logits)
    table = pd.concat(guess, ignore_index=True)
    videos = pd.DataFrame({"video": list(names), "duration": list(seconds), "fps": 25.0})
    events = Events.from_frames(table, videos, root=root)
    scores = scores_for(np.array([classes.index(x) for x in table["label"]]), len(classes))
    labels = about(
        classes,
        untrimmed=list(names),
        background={"kind": "threshold", "note": "Below a probability of 0.45 nothing happens."},
        skipped={"cage_4_broken.mp4": "no frame could be decoded (moov atom not found)"},
    )
    known = Events.from_frames(pd.DataFrame(truth)).rows if with_truth else None
    return Predictions(
        events,
        {"label": scores},
        labels,
        pd.concat(rows, ignore_index=True).assign(event=None),
        {"label": np.concatenate(raw).astype(np.float32)},
        known,
    )


def write_run(path: Path, events: Events, classes: Sequence[str] = CLASSES) -> Run:
    """Write config, metrics, labels, predictions and environment of a plausible run."""
    from actionspace.metrics.classification import single_label_metrics

    run = Run.start(path)
    told = evaluated(events, classes)
    truth = np.array([classes.index(label) for label in told.events.rows["label_true"]])
    figures = single_label_metrics(told.scores["label"], truth, classes)
    intervals = {
        f"{name}_ci": [max(value - 0.09, 0.0), min(value + 0.08, 1.0)]
        for name, value in figures.items()
    }
    protocol = {
        "name": "recognition",
        "rows": len(truth),
        "groups": 4,
        "classes": list(classes),
        "rules": {"split": "test", "average": "prob"},
        "confidence": 0.95,
        "hash": "9f31c2",
    }
    run.write_config(
        {
            "task": "recognition",
            "name": "linear_probe",
            "data": "rats/clips.csv",
            "encoder": "starter",
            "clips": {"rows": "dense", "resize": "fast", "test": {"clips": 1}},
            "head": {"column": "label", "class_weight": "balanced", "refit": True},
            "evaluation": {"average": "prob", "bootstrap": 1000},
        }
    )
    run.write_labels(about(classes))
    run.write_metrics({**figures, **intervals, "protocol": protocol})
    run.write_weights({"weight": np.zeros((len(classes), 4), np.float32)})
    write_predictions(told, run.predictions_dir / "test")
    return run.finish(
        {
            "versions": {"python": "3.11.9", "torch": "2.15.0", "actionspace": "0.1.0"},
            "device": "x86_64",
            "torch_device": "cpu",
            "cpu_count": 2,
            "threads": 2,
            "wall_seconds": 71.4,
            "parts_seconds": {"features": 58.2, "fit": 1.9, "evaluate": 0.4},
            "peak_memory_bytes": 812_345_678,
            "trainable_parameters": 2310,
            "total_parameters": 2_345_678,
            "encoder": {
                "name": "starter",
                "licence": "Apache-2.0",
                "weights_hash": "52d1…",
                "dim": 384,
            },
            "data": {"hash": "c0ffee", "videos": len(events.videos), "events": len(events)},
            "notes": ["The strength 0.1 was chosen on the validation split."],
            "skipped": {"clips/rearing_077.mkv": "1 of 16 frames decoded; policy skip"},
            "command": [
                "actionspace",
                "train",
                "linear_probe",
                "data=rats/clips.csv",
                "--out",
                "run",
            ],
        }
    )
