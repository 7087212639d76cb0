"""Made-up features of videos whose phases pass at varying speed, as files and a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.events.table import Events

DIM, FPS = 12, 10.0
PHASES = ("reach", "grasp", "lift", "place")


def make(folder: Path, videos: int = 16, rows: int = 48, seed: int = 0, **options: Any) -> Events:
    """Write ``features/<video>.npy`` ``[T, 12]`` and the manifest; return it.

    A video's progress from 0 to 1 moves along a curve of its own speed; a third of the values say
    where it stands, the others are a bias of the video and noise, which hide it from neighbours in
    another video.

    Args:
        folder: where.
        videos, rows: how many, the latter on average.
        seed: of the draws.
        options: ``phases=False`` leaves the labels out, ``splits=False`` the splits, and
            ``lengths`` gives the rows of the first videos.
    """
    random = np.random.default_rng(seed)
    (folder / "features").mkdir(parents=True, exist_ok=True)
    angles = np.array([0.5, 1.0, 2.0, 3.0])
    events: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    lengths = list(options.get("lengths", ()))
    for k in range(videos):
        name = f"v{k:02d}"
        length = lengths[k] if k < len(lengths) else rows + int(random.integers(-14, 15))
        speed = random.uniform(0.3, 1.7, max(length, 2)).repeat(1)
        done = np.cumsum(speed)[:length] / speed.sum()
        signal = np.cos(np.pi * done[:, None] * angles)
        hidden = 1.2 * random.standard_normal((1, DIM - 4)) * np.ones((length, 1))
        values = np.concatenate([signal, hidden], axis=1)
        values = values + 0.25 * random.standard_normal((length, DIM))
        np.save(folder / "features" / f"{name}.npy", values.astype(np.float32))
        number = np.minimum((done * len(PHASES)).astype(int), len(PHASES) - 1)
        for phase in np.unique(number):
            at = np.flatnonzero(number == phase)
            span = {"start": at[0] / FPS, "end": (at[-1] + 1) / FPS}
            events.append({"video": name, "phase": PHASES[phase], **span})
        split = ("train", "train", "val", "test")[k % 4]
        about = {"video": name, "fps": FPS, "duration": length / FPS, "group": f"g{k}"}
        table.append(about | ({"split": split} if options.get("splits", True) else {}))
    labelled = options.get("phases", True)
    head = "phase" if labelled else "label"
    made = Events.from_frames(events if labelled else [], table, folder, (head,))
    made.to_csv(folder / "events.csv")
    return made


def recipe(**changes: Any) -> AlignmentRecipe:
    """A network of one layer that learns the above in some seconds."""
    values: dict[str, Any] = {
        "name": "tiny",
        "device": "cpu",
        "network": {
            "input": "features",
            "fc": [32],
            "hidden_dim": 32,
            "layers": 1,
            "heads": 2,
            "feed_forward_dim": 32,
            "positions": "none",  # with them time could be told without the features
            "embedding_dim": 16,
            "projection_dim": 16,
        },
        "sampling": {"frames": 24},
        "training": {
            "epochs": 50,
            "batch_size": 2,
            "optimizer": {"lr": 3e-3, "weight_decay": 1e-4},
            "clip_norm": 10.0,
            "evaluate_every": 50,
            "checkpoint": {"keep": "last"},
            "workers": 0,
            "tensorboard": False,
        },
        "evaluation": {"tau_stride": 1, "fractions": [1.0], "missing": "skip"},
    }
    for name, value in changes.items():
        same = isinstance(value, dict) and isinstance(values.get(name), dict)
        values[name] = values[name] | value if same else value
    return AlignmentRecipe.model_validate(values)
