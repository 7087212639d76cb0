"""Recall of the next event against the best that is possible, and against what labels alone tell.

On made-up sequences (``event_sequences``) the exact probability of each next label is known. Of
each network, trained by its recipe on features alone, the class-mean recall on the test split is
set against that of the Bayes-optimal predictor on the same events (those before which something
was seen). For recall the optimum ranks labels by probability over frequency; ranked by probability
it is given as well. The Markov baselines know the labels of past events and no features.

    python -m benchmarks.anticipation [--seeds 3] [--epochs 12] [--networks attentive,causal,lstm]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.event_sequences import Made, make

from actionspace.anticipation.fit import train
from actionspace.metrics.anticipation import single_anticipation_metrics
from actionspace.recipes.loader import load_recipe
from actionspace.training.predictions import read_predictions

HORIZONS = (0.5, 1.0, 2.0)
Figures = dict[str, float]


def measured(scores: np.ndarray, labels: np.ndarray) -> Figures:
    """Return the figures in per cent."""
    found = single_anticipation_metrics(scores, labels)
    return {name: round(100 * value, 1) for name, value in found.items()}


def optimum(made: Made, horizon: float) -> tuple[dict[str, Figures], np.ndarray, np.ndarray]:
    """Return the figures of the exact predictor, the events that count, and all labels."""
    scores, labels = made.bayes("test", horizon)
    counted = ~np.isnan(scores).any(1)
    _, learnt = made.bayes("train", horizon)
    common = np.bincount(learnt, minlength=scores.shape[1]) / len(learnt)
    exact = {
        "bayes": measured(scores[counted], labels[counted]),
        "bayes_recall": measured(scores[counted] / common, labels[counted]),
    }
    return exact, counted, labels


def compare(folder: Path, seed: int, networks: list[str], epochs: int, videos: int) -> Any:
    """Return the figures of one seed, by horizon."""
    made = make(folder, seed, videos)
    found: dict[float, dict[str, Figures]] = {}
    kept: dict[float, tuple[np.ndarray, np.ndarray]] = {}
    for horizon in HORIZONS:
        found[horizon], *rest = optimum(made, horizon)
        kept[horizon] = rest[0], rest[1]
    for name in networks:
        recipe = load_recipe(
            "anticipate",
            [
                "encoder=null",
                f"network.name={name}",
                f"training.epochs={epochs}",
                f"training.seed={seed}",
                "training.tensorboard=false",
                "training.workers=0",
                "evaluation.bootstrap=0",
                f"horizon.evaluate={list(HORIZONS)}",
                "horizon.train=[0.5,2.0]",
                "horizon.train_step=0.25",
            ],
        )
        run = train(
            recipe,
            data=made.manifest,
            features=made.features,
            out=folder / name,
            report=False,
        )
        for horizon in HORIZONS:
            counted, labels = kept[horizon]
            part = "test" if horizon == recipe.horizon.report else f"test_{horizon:g}s"
            told = read_predictions(run.predictions_dir / part)
            order = [told.classes().index(c) for c in made.world.classes]
            found[horizon][name] = measured(
                told.scores["label"][counted][:, order], labels[counted]
            )
    for name, curve in run.metrics["baselines"].items():
        for point in curve:
            figures = {k: round(100 * v, 1) for k, v in point.items() if k != "seconds"}
            found[point["seconds"]][name] = figures
    return found


def main() -> None:
    """Print the figures, means over seeds, and how far each network stays behind the optimum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--networks", default="attentive,causal,lstm")
    given = parser.parse_args()
    networks = given.networks.split(",")
    every = []
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            every.append(compare(Path(folder), seed, networks, given.epochs, given.videos))
    means = {
        f"{horizon:g} s": {
            name: {
                figure: round(statistics.mean(seed[horizon][name][figure] for seed in every), 1)
                for figure in values
            }
            for name, values in every[0][horizon].items()
        }
        for horizon in HORIZONS
    }
    behind = {
        name: round(
            max(
                seed[horizon]["bayes_recall"]["mean_top1_recall"]
                - seed[horizon][name]["mean_top1_recall"]
                for seed in every
                for horizon in HORIZONS
            ),
            1,
        )
        for name in networks
    }
    print(json.dumps({"per cent": means, "most behind, mean top-1 recall": behind}, indent=1))


if __name__ == "__main__":
    main()
