"""Tiny data sets of untrimmed videos as they are published: annotation and features, no videos.

A row of features says which event it is in, so that a network can learn something.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SECONDS = 40.0
CLASSES = ("Billiards", "Diving")
#: Of each video, by number: events as (class, start, end).
EVENTS = [
    [(v % 2, 3.0 + v, 9.0 + v), (1 - v % 2, 16.0, 21.0 + v), (v % 2, 30.0, 37.0)] for v in range(6)
]
TRAIN = 4  # of six videos; the others are tested on


def _names(pattern: Callable[[int], str]) -> list[str]:
    return [pattern(v) for v in range(len(EVENTS))]


def _database(
    path: Path, names: Sequence[str], subsets: tuple[str, str], fps: float, **ids: int
) -> None:
    """Write ActivityNet's layout; ``ids`` are numbers of classes, where they have some."""
    videos: dict[str, Any] = {}
    for v, name in enumerate(names):
        rows = [
            {"label": CLASSES[k], "segment": [a, b]}
            | ({"label_id": ids[CLASSES[k]]} if ids else {})
            for k, a, b in EVENTS[v]
        ]
        subset = subsets[v >= TRAIN]
        videos[name] = {"subset": subset, "duration": SECONDS, "fps": fps, "annotations": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": "tiny", "database": videos}), encoding="utf-8")


def rows_of(v: int, stride: int, window: int, fps: float, dim: int) -> np.ndarray:
    """Return features ``[N, dim]`` of a video."""
    count = int((SECONDS * fps - window) // stride) + 1
    centres = (np.arange(count) * stride + window / 2) / fps
    found = np.random.default_rng(v).normal(0, 0.3, (count, dim)).astype(np.float32)
    for k, start, end in EVENTS[v]:
        found[(centres >= start) & (centres < end), k] += 2
    return found


def _features(folder: Path, names: Sequence[str], grid: tuple[int, int, float], dim: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for v, name in enumerate(names):
        np.save(folder / f"{name}.npy", rows_of(v, *grid, dim))


def thumos14(folder: Path) -> Path:
    """``annotations/thumos14.json`` and ``i3d_features/<id>.npy``."""
    split = ("validation", "test")
    names = _names(lambda v: f"video_{split[v >= TRAIN]}_{v:07d}")
    ids = {"Billiards": 1, "Diving": 0}
    _database(folder / "annotations" / "thumos14.json", names, ("Validation", "Test"), 25.0, **ids)
    _features(folder / "i3d_features", names, (4, 16, 25.0), 6)
    return folder


def activitynet13(folder: Path) -> Path:
    """All annotation files, ``{tsp,i3d}_features/v_<id>.npy`` and class scores of the videos."""
    names = _names(lambda v: f"abc{v}")
    subsets = ("training", "validation")
    for file in (
        *("anet1.3_tsp_filtered.json", "anet1.3_i3d_filtered.json"),
        "activity_net.v1-3.min.json",
    ):
        _database(folder / "annotations" / file, names, subsets, 30.0)
    for features, fps in (("tsp", 15.0), ("i3d", 25.0)):
        files = [f"v_{name}" for name in names]
        _features(folder / f"{features}_features", files, (16, 16, fps), 5)
    scores = {name: [0.7, 0.3] for name in names}
    (folder / "annotations" / "cuhk_val_simp_share.json").write_text(
        json.dumps({"results": scores, "class": list(CLASSES)}), encoding="utf-8"
    )
    return folder


def epic100_detection(folder: Path) -> Path:
    """``annotations/epic_kitchens_100_{verb,noun}.json`` and ``features/<id>.npz``."""
    names = _names(lambda v: f"P0{v}_01")
    for head, ids in (
        ("verb", {"Billiards": 3, "Diving": 90}),
        ("noun", {"Billiards": 299, "Diving": 0}),
    ):
        file = folder / "annotations" / f"epic_kitchens_100_{head}.json"
        _database(file, names, ("training", "validation"), 59.94, **ids)
    (folder / "features").mkdir()
    for v, name in enumerate(names):
        np.savez(folder / "features" / f"{name}.npz", feats=rows_of(v, 16, 32, 30.0, 6))
    return folder


def ego4d_mq(folder: Path) -> Path:
    """``annotations/ego4d.json`` and ``{slowfast,omnivore,egovlp}_features/<clip>.npy``."""
    names = _names(lambda v: f"clip-{v}")
    ids = {"Billiards": 1, "Diving": 0}
    file = folder / "annotations" / "ego4d.json"
    _database(file, names, ("training", "validation"), 30.0, **ids)
    for features, dim in EGO4D_DIMS.items():
        _features(folder / f"{features}_features", names, (16, 32, 30.0), dim)
    return folder


def hacs(folder: Path) -> Path:
    """Both annotation files, ``{i3d,slowfast}_feature/<split>/<id>.npy``; durations as text."""
    names, subsets = _names(lambda v: f"xyz{v}"), ("training", "validation")
    for kind, tail, grid in (("i3d", "", (1, 1, 2.0)), ("slowfast", "_slowfast", (8, 32, 15.0))):
        file = folder / "annotations" / f"HACS_segments_v1.1.1{tail}.json"
        _database(file, names, subsets, 30.0, Billiards=1, Diving=0)
        text = file.read_text(encoding="utf-8").replace(
            f'"duration": {SECONDS}', '"duration": "40.0"'
        )
        file.write_text(text, encoding="utf-8")
        _features(folder / f"{kind}_feature", names, grid, 6)
        for v, name in enumerate(names):
            place = folder / f"{kind}_feature" / subsets[v >= TRAIN] / f"{name}.npy"
            place.parent.mkdir(exist_ok=True)
            (folder / f"{kind}_feature" / f"{name}.npy").rename(place)
    return folder


EGO4D_DIMS = {"slowfast": 5, "omnivore": 4, "egovlp": 3}

LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "thumos14": thumos14,
    "activitynet13": activitynet13,
    "epic100-detection": epic100_detection,
    "ego4d-mq": ego4d_mq,
    "hacs": hacs,
}
