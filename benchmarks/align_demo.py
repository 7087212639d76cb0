"""Alignment of generated videos of pouring against the frozen features it learns from.

    python benchmarks/align_demo.py [--seeds 0 1 2] [--work FOLDER] [--set KEY=VALUE ...]

Each seed has videos of its own (48 to learn from, 12 to measure on; cameras and colours of the two
are apart) and another start of the network. Compared are, on the same rows of the starter encoder:

- ``trained``: the recipe ``align`` with the settings of ``actionspace demo align``; no labels.
- ``untrained``: the same network as it starts.
- ``frozen``: the features that go in.
- ``random``: a random vector for each row.

Measured are Kendall's tau, phase accuracy of logistic regression on embeddings of the training
videos (all of them, and 10 % of them: four), progression, AP@5 of the phase, and what share of the
time phases are right that each test video hands on to each other one along dynamic time warping.
``evenly`` is what that comes to if time is stretched evenly, ``majority`` the share of the most
frequent phase. Settings were chosen on the videos of seeds 10 and 11. Prints one JSON object;
exits with 1 where tau or phase accuracy is not above the frozen features by more than the spread
(standard deviation over seeds, of the two the larger).
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from actionspace.alignment.data import labels_of
from actionspace.alignment.embed import embed
from actionspace.alignment.evaluate import Labelled, evaluate_alignment
from actionspace.alignment.fit import new_network, train
from actionspace.alignment.prepare import prepare, read_videos
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.alignment.score import score
from actionspace.alignment.timemap import time_map
from actionspace.demo.align import SETTINGS, VIDEOS, chance, handed_on, stretched
from actionspace.demo.pouring import PHASES
from actionspace.demo.pouring_videos import pouring_videos
from actionspace.encoders.create import create_encoder
from actionspace.events import io
from actionspace.events.table import Events
from actionspace.features.extract import extract
from actionspace.features.store import FeatureStore
from actionspace.features.track import Track
from actionspace.recipes.loader import load_recipe
from actionspace.training.run import Run

SEEDS = (0, 1, 2)
NAMES = ("kendall_tau", "phase_accuracy", "phase_classification@0.1", "progression_r2",
         "retrieval_ap@5", "handed_on")  # fmt: skip
MUST = ("kendall_tau", "phase_accuracy")


def build(out: Path, seed: int, hop: int) -> tuple[Events, FeatureStore]:
    """Draw and encode the videos of a seed; what is there already is used."""
    manifest = out / "videos" / "events.csv"
    if not manifest.is_file():
        pouring_videos(out / "videos", VIDEOS, seed=seed).to_csv(manifest)
    events = io.read(manifest)
    return events, extract(events, create_encoder("starter"), out / "features", hop=hop)


def handing_on(events: Events, store: FeatureStore) -> tuple[float, float]:
    """What is right of handing phases on from each test video to each other, and evenly."""
    names = events.select(split="test").videos["video"]
    tracks = [Track.of_features(name, store.get(name)) for name in names]
    maps = [time_map(a, b) for a, b in itertools.permutations(tracks, 2)]
    found = [(handed_on(events, [m]), handed_on(events, [stretched(m)])) for m in maps]
    warped, even = np.mean(found, axis=0)
    return float(warped), float(even)


def by_chance(events: Events, store: FeatureStore, recipe: AlignmentRecipe) -> dict[str, float]:
    """What a random vector for each row comes to, by the same measures."""
    rng = np.random.default_rng(recipe.training.seed)
    parts = []
    for split in ("train", "test"):
        names = events.select(split=split).videos["video"]
        times = [store.get(name).times for name in names]
        rows = [rng.standard_normal((len(t), recipe.network.embedding_dim)) for t in times]
        phases = [
            labels_of(events, "phase", PHASES, name, t)
            for name, t in zip(names, times, strict=True)
        ]
        parts.append(Labelled.of(rows, phases))
    found = evaluate_alignment(*parts, recipe.evaluation.made(), phases=len(PHASES)).values
    ours = {"kendalls_tau": "kendall_tau", "phase_classification": "phase_accuracy",
            "phase_progression": "progression_r2", "AP@5": "retrieval_ap@5"}  # fmt: skip
    return {ours.get(name, name): value for name, value in found.items()}


def measure(work: Path, seed: int, options: list[str]) -> dict[str, Any]:
    """What everything reaches on the test videos of a seed."""
    recipe = load_recipe("align", [*SETTINGS, f"training.seed={seed}", *options])
    assert isinstance(recipe, AlignmentRecipe)
    out = work / str(seed)
    events, store = build(out, seed, recipe.rows.hop or 8)
    began = time.perf_counter()
    run = train(recipe, data=events, features=store, out=out / "run", overwrite=True, report=False)
    seconds = time.perf_counter() - began
    found = prepare(recipe, read_videos(recipe, events), features=store)
    tested = events.select(split="test")
    with tempfile.TemporaryDirectory() as fresh:
        untrained = score(found, new_network(found).eval(), "test", Run(Path(fresh)))
        embedded = embed(run, tested, Path(fresh) / "embeddings", features=store)
        warped, even = handing_on(events, embedded)
    frozen = {**run.metrics["raw_features"], "handed_on": handing_on(events, store)[0]}
    return {
        "seed": seed,
        "trained": _told({**run.metrics, "handed_on": warped}),
        "untrained": _told(untrained),
        "frozen": _told(frozen),
        "random": _told(by_chance(events, store, recipe)),
        "majority": chance(tested)["phase_accuracy"],
        "evenly": even,
        "seconds": round(seconds, 1),
    }


def _told(values: dict[str, Any]) -> dict[str, float]:
    return {name: round(float(values[name]), 4) for name in NAMES if name in values}


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds, and by how much training is above the features."""
    found: dict[str, Any] = {}
    for method in ("trained", "untrained", "frozen", "random"):
        names = [name for name in NAMES if name in seeds[0][method]]
        values = {name: [s[method][name] for s in seeds] for name in names}
        found[method] = {
            name: {"mean": round(float(np.mean(v)), 4), "spread": round(_spread(v), 4)}
            for name, v in values.items()
        }
    for name in ("majority", "evenly"):
        found[name] = round(float(np.mean([s[name] for s in seeds])), 4)
    above = {}
    for name in MUST:
        pair = [found[method][name] for method in ("trained", "frozen")]
        gain = pair[0]["mean"] - pair[1]["mean"]
        above[name] = {"gain": round(gain, 4), "spread": max(p["spread"] for p in pair)}
    return found | {"above_frozen": above}


def _spread(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--work", type=Path, help="kept, so that a second call is quick")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--set", nargs="*", default=[], help="settings of the recipe")
    args = parser.parse_args()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as fresh:
        work = args.work or Path(fresh)
        seeds = [measure(work, seed, args.set) for seed in args.seeds]
    found = {"seeds": seeds, **summary(seeds)}
    text = json.dumps(found, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text)
    above = found["above_frozen"].values()
    sys.exit(0 if all(one["gain"] > one["spread"] for one in above) else 1)


if __name__ == "__main__":
    main()
