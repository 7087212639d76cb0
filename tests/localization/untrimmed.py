"""Untrimmed videos with events that can be learnt in seconds, as feature files and a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from actionspace.events.table import Events
from actionspace.localization.recipe import LocalizationRecipe

DIM = 8
STRIDE, FPS = 8, 16.0  # a row every half second
CLASSES = ("dig", "rear")


def make(
    folder: Path, videos: int = 12, rows: int = 80, seed: int = 0, splits: bool = True
) -> Events:
    """Write ``features/<video>.npy`` ``[T, 8]`` and ``events.csv``, ``videos.csv``; return them.

    Each class has a direction of its own inside its events, and noise is everywhere.
    """
    random = np.random.default_rng(seed)
    (folder / "features").mkdir(parents=True, exist_ok=True)
    directions = 3.0 * np.eye(DIM)[: len(CLASSES)]
    events: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    for k in range(videos):
        name, length = f"v{k:02d}", rows + int(random.integers(-20, 20))
        features = 0.3 * random.standard_normal((length, DIM))
        at = int(random.integers(2, 8))
        while at + 16 < length:
            size, label = int(random.integers(5, 14)), int(random.integers(len(CLASSES)))
            features[at : at + size] += directions[label]
            times = {"start": at * STRIDE / FPS, "end": (at + size) * STRIDE / FPS}
            events.append({"video": name, "label": CLASSES[label], **times})
            at += size + int(random.integers(4, 14))
        np.save(folder / "features" / f"{name}.npy", features.astype(np.float32))
        split = ("train", "train", "train", "val", "test", "test")[k % 6]
        about = {"video": name, "group": f"g{k}", "fps": FPS, "duration": length * STRIDE / FPS}
        table.append(about | ({"split": split} if splits else {}))
    made = Events.from_frames(events, table, folder)
    made.to_csv(folder / "events.csv")
    return made


def recipe(**changes: Any) -> LocalizationRecipe:
    """A network of four levels and 16 channels that learns the above in some seconds."""
    values: dict[str, Any] = {
        "name": "tiny",
        "device": "cpu",
        "files": {"stride": STRIDE},
        "model": {
            "embed_dim": 16,
            "neck_dim": 16,
            "head_dim": 16,
            "embed_layers": 1,
            "stem_blocks": 1,
            "branch_blocks": 2,
            "heads": 2,
            "windows": 5,
            "max_length": 96,
            "buffer_factor": 2.0,
            "drop_path": 0.0,
            "regression_ranges": [[0, 4], [4, 8], [8, 10_000]],
        },
        "loss": {"initial_norm": 20},
        "training": {
            "epochs": 8,
            "batch_size": 2,
            "optimizer": {"lr": 1e-2},
            "schedule": {"warmup_epochs": 1},
            "clip_norm": 1.0,
            "ema": {"decay": 0.9},
            "evaluate_every": 4,
            "workers": 0,
            "tensorboard": False,
        },
        "evaluation": {"bootstrap": 20},
    }
    for name, value in changes.items():
        same = isinstance(value, dict) and isinstance(values.get(name), dict)
        values[name] = values[name] | value if same else value
    return LocalizationRecipe.model_validate(values)
