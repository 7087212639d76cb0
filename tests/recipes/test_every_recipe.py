"""Every recipe runs on generated data in its data set's layout: prepare to predict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import actionspace as A
from actionspace.recipes.loader import load_recipe, recipe_names
from tests.datasets import layouts

# The encoder and the picture are made small; rows, clips, crops and views stay the recipe's.
SMALL = ["evaluation.bootstrap=50"]
TINY, ADAPTABLE = (f"encoder=tests.recognition.{name}:encoder" for name in ("tiny", "adaptable"))
SMALL += [
    f"clips.{part}.{key}"
    for part in ("train", "val", "test")
    for key in ("frames=8", "size=32", "short_side=32")
]


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_prepare_check_train_evaluate_predict(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    dataset = recipe.dataset or "chimpbehave"
    source = layouts.make(dataset, tmp_path / "source")
    manifest = A.prepare(dataset, source, source / "manifest.csv")
    problems = [f for f in A.check(manifest) if f.severity == "error"]
    assert not problems, problems
    # A few small steps do not teach anything by gradient: it has to run from end to end.
    small = [*SMALL, *([ADAPTABLE, "training.epochs=2"] if recipe.adapts else [TINY])]
    run = A.train(name, data=manifest, out=tmp_path / "run", overrides=small)
    assert run.report_path.stat().st_size > 10_000
    metrics = A.evaluate(run)
    chance = 1 / len(run.labels["heads"]["label"]["classes"])
    assert metrics["top1_accuracy"] == run.metrics["top1_accuracy"]
    assert recipe.looped or metrics["top1_accuracy"] > chance
    video = A.read_events(manifest).select(split="test").path(run_video(manifest))
    events = A.load(run.path).predict(video)
    assert len(events) == 1 and 0 <= events.rows["score"].iloc[0] <= 1
    assert json.loads((run.path / "metrics.json").read_text())["protocol"]["hash"]


@pytest.mark.slow
@pytest.mark.parametrize("inputs", ["clips", "features"])
def test_the_original_training(inputs: str, tmp_path: Path) -> None:
    source = layouts.make("chimpbehave", tmp_path / "source")
    manifest = A.prepare("chimpbehave", source, source / "manifest.csv")
    small = [*SMALL, TINY, "mode=head", f"inputs={inputs}", "training.epochs=6"]
    run = A.train(
        "chimpbehave_k400_linear_probe", data=manifest, out=tmp_path / "run", overrides=small
    )
    assert run.config["training"]["batch_size"] == 16
    assert run.report_path.stat().st_size > 10_000
    assert A.evaluate(run)["top1_accuracy"] == run.metrics["top1_accuracy"]
    video = A.read_events(manifest).select(split="test").path(run_video(manifest))
    assert len(A.load(run.path).predict(video)) == 1


def run_video(manifest: Path) -> str:
    """The first test video of a manifest."""
    return str(A.read_events(manifest).select(split="test").videos["video"].iloc[0])
