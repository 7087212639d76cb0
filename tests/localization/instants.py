"""Untrimmed videos with instant events that can be learnt in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from actionspace.events.table import Events
from actionspace.localization.recipe import LocalizationRecipe
from tests.localization import untrimmed

DIM = 8
STRIDE, FPS = 8, 16.0  # a row every half second, in its middle
STEP, FIRST = STRIDE / FPS, STRIDE / FPS / 2
CLASSES = ("bite", "peck")


def make(
    folder: Path, videos: int = 12, rows: int = 80, seed: int = 0, last: float = 0.0
) -> Events:
    """Write ``features/<video>.npy`` and ``events.csv``, ``videos.csv``; return the events.

    Around a moment, which lies anywhere between rows, its class has a bump of two rows in a
    direction of its own. An event lasts ``last`` seconds around its moment.
    """
    random = np.random.default_rng(seed)
    (folder / "features").mkdir(parents=True, exist_ok=True)
    events: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    for k in range(videos):
        name, length = f"v{k:02d}", rows + int(random.integers(-20, 20))
        features = 0.2 * random.standard_normal((length, DIM))
        at = random.uniform(3, 8)
        while at + 4 < length:
            label = int(random.integers(len(CLASSES)))
            features[:, label] += 4 * np.exp(-((np.arange(length) - at) ** 2) / 2)
            moment = FIRST + at * STEP
            times = {"start": moment - last / 2, "end": moment + last / 2}
            events.append({"video": name, "label": CLASSES[label], **times})
            at += random.uniform(5, 12)
        np.save(folder / "features" / f"{name}.npy", features.astype(np.float32))
        split = ("train", "train", "train", "val", "test", "test")[k % 6]
        about = {"video": name, "group": f"g{k}", "fps": FPS, "duration": length * STEP}
        table.append(about | {"split": split})
    made = Events.from_frames(events, table, folder)
    made.to_csv(folder / "events.csv")
    return made


def recipe(**changes: Any) -> LocalizationRecipe:
    """A tiny network that learns the above in some seconds."""
    model = {"head": "points", "branch_blocks": 2} | changes.pop("model", {})
    training = {"epochs": 12, "evaluate_every": 6} | changes.pop("training", {})
    return untrimmed.recipe(model=model, training=training, **changes)


def train_run(folder: Path, out: Path, **changes: Any) -> None:
    """Train on what :func:`make` wrote; for processes that a test starts."""
    from actionspace.localization.fit import train

    given: dict[str, Any] = {"data": folder / "events.csv", "features": folder / "features"}
    train(recipe(**changes), out=out, report=False, **given)
