"""Recall of the next event against the best that is possible, and against what labels alone tell.

On made-up sequences (``event_sequences``) the exact probability of each next label is known. Of
each network, trained by the recipe ``anticipate`` on features alone, the class-mean recall on the
test split is set against that of the Bayes-optimal predictor on the same events (those before which
something was seen). Networks and ``bayes`` rank labels by probability; ``bayes_recall`` ranks them
by probability over frequency, which is the best for class-mean recall. The Markov baselines and
``bayes_labels`` know the labels of past events and no features.

    python -m benchmarks.anticipation [--seeds 3] [--networks lstm,attentive,causal]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.event_sequences import Made, make

from actionspace.anticipation.fit import train
from actionspace.metrics.anticipation import single_anticipation_metrics
from actionspace.recipes.loader import load_recipe
from actionspace.training.predictions import read_predictions

HORIZONS = (0.25, 1.0, 2.0)
SHARES = {"train": 0.92, "val": 0.02, "test": 0.06}
LIMIT = 5.0  # points
#: Found on a world of another seed (100).
SETTINGS = [
    *("window.seconds=5", "network.width=64", "network.dropout=0"),
    *("training.epochs=3", "training.batch_size=64", "training.schedule.warmup_epochs=0.2"),
]
OWN = {
    "lstm": ["training.optimizer.lr=0.004"],
    "attentive": ["training.optimizer.lr=0.003"],
    "causal": ["training.optimizer.lr=0.003", "loss.past=1"],
}
Figures = dict[str, float]


def measured(scores: np.ndarray, labels: np.ndarray) -> Figures:
    """Return the figures in per cent."""
    found = single_anticipation_metrics(scores, labels)
    return {name: 100 * value for name, value in found.items()}


def optimum(made: Made) -> tuple[list[dict[str, Figures]], np.ndarray]:
    """Return the figures of the exact predictors by horizon, and which events count ``[H, E]``."""
    labels, learnt = made.labels("test"), made.labels("train")
    common = np.bincount(learnt, minlength=len(made.world.classes)) / len(learnt)
    seen, told = (made.bayes("test", HORIZONS, by) for by in ("features", "labels"))
    counted = ~np.isnan(seen).any(2)
    found = [
        {
            "bayes": measured(a[c], labels[c]),
            "bayes_recall": measured(a[c] / common, labels[c]),
            "bayes_labels": measured(b[c], labels[c]),
        }
        for a, b, c in zip(seen, told, counted, strict=True)
    ]
    return found, counted


def compare(folder: Path, seed: int, networks: list[str], given: argparse.Namespace) -> Any:
    """Return the figures of one seed by horizon, and the seconds of CPU of each training."""
    made = make(folder, seed, given.videos, shares=SHARES, strength=given.own, cue=given.cue)
    labels = made.labels("test")
    found, counted = optimum(made)
    seconds: dict[str, float] = {}
    for name in networks:
        recipe = load_recipe(
            "anticipate",
            [
                "encoder=null",
                f"network.name={name}",
                f"training.seed={seed}",
                "training.tensorboard=false",
                "training.workers=0",
                "evaluation.bootstrap=0",
                f"horizon.evaluate={list(HORIZONS)}",
                *SETTINGS,
                *OWN[name],
                *given.set,
            ],
        )
        began = time.process_time()
        run = train(
            recipe, data=made.manifest, features=made.features, out=folder / name, report=False
        )
        seconds[name] = time.process_time() - began
        for k, horizon in enumerate(HORIZONS):
            part = "test" if horizon == recipe.horizon.report else f"test_{horizon:g}s"
            told = read_predictions(run.predictions_dir / part)
            order = [told.classes().index(c) for c in made.world.classes]
            scores = told.scores["label"][:, order]
            found[k][name] = measured(scores[counted[k]], labels[counted[k]])
    for name, curve in run.metrics["baselines"].items():
        at = {point["seconds"]: point for point in curve}
        for k, horizon in enumerate(HORIZONS):
            found[k][name] = {n: 100 * v for n, v in at[horizon].items() if n != "seconds"}
    return found, seconds


def main() -> None:
    """Print the figures, means over seeds, and how far each network stays behind the optimum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--videos", type=int, default=1600)
    parser.add_argument("--own", type=float, default=4.0, help="how clear the present label is")
    parser.add_argument("--cue", type=float, default=1.2, help="how clear the next label is")
    parser.add_argument("--networks", default="lstm,attentive,causal")
    parser.add_argument("--set", nargs="*", default=[], help="options of the recipe")
    given = parser.parse_args()
    networks = given.networks.split(",")
    every, seconds = [], []
    for seed in range(given.first, given.first + given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found, took = compare(Path(folder), seed, networks, given)
        every.append(found)
        seconds.append(took)
    figures = list(every[0][0]["bayes"])
    behind = {
        name: {
            f"{horizon:g} s": {
                figure: [round(s[k]["bayes_recall"][figure] - s[k][name][figure], 1) for s in every]
                for figure in figures
                if figure.startswith("mean")
            }
            for k, horizon in enumerate(HORIZONS)
        }
        for name in networks
    }
    result = {
        "per cent, mean over seeds": {
            f"{horizon:g} s": {
                name: {f: round(statistics.mean(s[k][name][f] for s in every), 1) for f in figures}
                for name in every[0][k]
            }
            for k, horizon in enumerate(HORIZONS)
        },
        "points behind bayes_recall, by seed": behind,
        f"within {LIMIT:g} points, mean over seeds": {
            name: {
                horizon: {f: statistics.mean(v) <= LIMIT for f, v in gaps.items()}
                for horizon, gaps in curve.items()
            }
            for name, curve in behind.items()
        },
        "seconds of CPU per training": {
            name: round(statistics.mean(s[name] for s in seconds)) for name in networks
        },
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
