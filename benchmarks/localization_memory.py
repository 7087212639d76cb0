"""Memory of localization: what a training step and a long video take, and what makes it less.

    python benchmarks/localization_memory.py [--rows 2304] [--videos 8] [--long 27648] [--out JSON]

The network is that of the recipe ``localize`` with six levels (128 channels, windows of 9), on
features of 512 values a row. ``training``: two steps on 8 videos of 2,304 rows each, with all of
them in one pass, with fewer in each, and with activations computed again in the backward pass;
``difference`` is that of the weights afterwards. ``prediction``: one video of 27,648 rows (three
hours at a row every 0.4 s) at once and in windows (``predict``). Each setting runs in a process of
its own, and what it adds to the memory before is told, in MiB. One thread. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

DIM, STEP, LENGTH = 512, 0.4, 30  # values a row; seconds a row; rows of an event
TRAINING: dict[str, dict[str, Any]] = {
    "all in one pass": {},
    "micro_batch_size 2": {"micro_batch_size": 2},
    "micro_batch_size 1": {"micro_batch_size": 1},
    "activation_checkpointing": {"activation_checkpointing": True},
    "both (micro_batch_size 1)": {"micro_batch_size": 1, "activation_checkpointing": True},
}
PREDICTION: dict[str, dict[str, Any]] = {
    "at once": {},
    "window 2304": {"window": 2304},
    "window 2304, batch_size 1": {"window": 2304, "batch_size": 1},
    "window 1024, batch_size 1": {"window": 1024, "batch_size": 1},
}


def make(folder: Path, name: str, split: str, videos: int, rows: int) -> Any:
    """Write features of noise and a manifest with an event in every hundred rows."""
    from actionspace.events.table import Events

    random = np.random.default_rng(0)
    (folder / name).mkdir(parents=True)
    about, events = [], []
    for i in range(videos):
        video = f"{name}{i}"
        values = random.standard_normal((rows, DIM), np.float32)
        np.save(folder / name / f"{video}.npy", values)
        about.append({"video": video, "split": split, "fps": 20.0, "duration": rows * STEP})
        events += [
            {"video": video, "start": a * STEP, "end": (a + LENGTH) * STEP, "label": "dig"}
            for a in range(10, rows - LENGTH, 100)
        ]
    return Events.from_frames(events, about, folder)


def learn(folder: Path, events: Any, rows: int, name: str, options: dict[str, Any]) -> Path:
    """Train for two epochs of one step; return the run."""
    from actionspace.localization.fit import train
    from actionspace.localization.recipe import LocalizationRecipe

    batch = len(events.videos)
    recipe = LocalizationRecipe.model_validate(
        {
            "device": "cpu",
            "files": {"stride": 8},
            "model": {
                **dict.fromkeys(("embed_dim", "neck_dim", "head_dim"), 128),
                **{"windows": 9, "max_length": rows, "drop_path": 0.0, "buffer_factor": 16.0},
            },
            "sampling": {"crop_ratio": None},
            "training": {
                **{"epochs": 2, "batch_size": batch, "workers": 0, "tensorboard": False},
                "optimizer": {"name": "sgd", "lr": 0.01},
                **options,
            },
        }
    )
    out = folder / "runs" / name.replace(" ", "_")
    return train(recipe, out=out, data=events, features=folder / "short", report=False).path


def find(folder: Path, events: Any, run: Path, options: dict[str, Any]) -> None:
    """Detect in the long video."""
    from actionspace.localization.evaluate import predict_split, recipe_of
    from actionspace.training.run import Run

    opened = Run.open(run)
    recipe = recipe_of(opened)
    how = recipe.predict.model_copy(update=options)
    recipe = recipe.model_copy(update={"predict": how})
    predict_split(opened, recipe, events, "test", features=folder / "long")


def measured(work: Callable[..., Any], *args: Any) -> dict[str, float]:
    """Do something in a process of its own; return seconds and MiB that it adds."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=_measure, args=(queue, work, args))
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(f"{work.__name__} failed.")
    found: dict[str, float] = queue.get()
    return found


def _measure(queue: Any, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    import torch

    import actionspace.localization.evaluate
    import actionspace.localization.fit
    import actionspace.localization.task  # noqa: F401

    logging.getLogger("actionspace").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    before, began = _peak(), time.process_time()
    work(*args)
    queue.put({"mib": round(_peak() - before), "cpu_s": round(time.process_time() - began, 1)})


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def difference(one: Path, two: Path) -> float:
    """Largest difference of any weight."""
    from safetensors.numpy import load_file

    a, b = (load_file(run / "weights.safetensors") for run in (one, two))
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2304)
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--long", type=int, default=27_648)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    result: dict[str, Any] = {"benchmark": "localization_memory", **vars(args)}
    del result["out"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short = make(folder, "short", "train", args.videos, args.rows)
        long = make(folder, "long", "test", 1, args.long)
        runs = {name: folder / "runs" / name.replace(" ", "_") for name in TRAINING}
        plain = next(iter(runs.values()))
        result["training"] = {
            name: measured(learn, folder, short, args.rows, name, options)
            | {"difference": difference(plain, runs[name])}
            for name, options in TRAINING.items()
        }
        result["prediction"] = {
            name: measured(find, folder, long, plain, options)
            for name, options in PREDICTION.items()
        }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
