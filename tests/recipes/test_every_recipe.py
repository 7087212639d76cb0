"""Every recipe runs on generated data in its data set's layout: prepare to predict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import actionspace as A
from actionspace.recipes.loader import load_recipe, recipe_names
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.training.run import Run
from tests.datasets import layouts
from tests.recipes.small import ADAPTABLE, FAST, FLOW, PICTURES, STEPS, TINY, few_videos

# The encoder and the picture are made small; rows, clips, crops and views stay the recipe's.
SMALL = [*FAST, "training.tensorboard=false"]
SMALL += [
    f"clips.{part}.{key}"
    for part in ("train", "val", "test")
    for key in ("frames=8", "size=32", "short_side=32")
]
EPIC_INPUTS = {"epic100_x3d_m": "rgb", "epic100_i3d_flow": "flow"}
EPIC_LAYOUTS = {"epic100-rgb": layouts.epic100_frames, "epic100-flow": layouts.epic100_flow}


def alike() -> list[list[str]]:
    """Recipes in groups that differ in nothing but the weights they begin with.

    Those of localization are in test_every_localization_recipe, the one without training in
    tests/recognition/test_zero_shot.
    """
    found: dict[str, list[str]] = {}
    for name in recipe_names():
        recipe = load_recipe(name)
        if not isinstance(recipe, RecognitionRecipe) or recipe.mode == "zero_shot":
            continue
        config = recipe.model_dump(mode="json")
        told = {"name", "description", "published", "encoder"}
        settings = json.dumps({k: v for k, v in config.items() if k not in told}, sort_keys=True)
        found.setdefault(settings, []).append(name)
    return list(found.values())


class Workshop:
    """Data sets that are written, prepared and checked once, and runs that are trained once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifests: dict[str, Path] = {}
        self._runs: dict[str, Run] = {}

    def manifest(self, recipe: RecognitionRecipe) -> Path:
        dataset = recipe.dataset or "chimpbehave"
        options: dict[str, Any] = {}
        if recipe.name in EPIC_INPUTS:
            options["inputs"] = EPIC_INPUTS[recipe.name]
        key = "-".join((dataset, *options.values()))
        if key not in self._manifests:
            folder = self._folder / key
            with few_videos():
                EPIC_LAYOUTS.get(key, layouts.LAYOUTS[dataset])(folder)
            manifest = A.prepare(dataset, folder, folder / "manifest.csv", **options)
            problems = [f for f in A.check(manifest) if f.severity == "error"]
            assert not problems, problems
            self._manifests[key] = manifest
        return self._manifests[key]

    def run(self, name: str) -> Run:
        if name not in self._runs:
            recipe = load_recipe(name)
            self._runs[name] = A.train(
                name,
                data=self.manifest(recipe),
                out=self._folder / "runs" / name,
                overrides=[*SMALL, *smaller(recipe)],
            )
        return self._runs[name]


def smaller(recipe: RecognitionRecipe) -> list[str]:
    """A few small steps do not teach anything by gradient: it has to run from end to end."""
    if recipe.attends:
        few = "{num_heads: 4, lrs: [1e-2], weight_decays: [0.01], epochs: 20, batch_size: 8}"
        return [STEPS, f"head.attentive={few}"]
    if not recipe.adapts:
        return [TINY, "training.epochs=2"]
    tiny = ADAPTABLE
    if recipe.freeze_norms:
        tiny = FLOW if "flow" in recipe.name else PICTURES
    schedule = ["training.schedule.milestones=[1]"] if recipe.training.schedule.milestones else []
    return [tiny, "training.epochs=2", *schedule]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("recipes"))


@pytest.mark.slow
@pytest.mark.parametrize("names", alike(), ids="+".join)
def test_prepare_check_train_evaluate_predict(names: Sequence[str], workshop: Workshop) -> None:
    recipe = load_recipe(names[0])
    manifest = workshop.manifest(recipe)
    run = workshop.run(names[0])
    assert run.report_path.stat().st_size > 10_000
    assert json.loads((run.path / "metrics.json").read_text())["protocol"]["hash"]
    metrics = A.evaluate(run)
    for column in recipe.head.columns:
        front = f"{column}_" if len(recipe.head.columns) > 1 else ""
        accuracy = metrics[f"{front}top1_accuracy"]
        assert accuracy == run.metrics[f"{front}top1_accuracy"]
        assert recipe.looped or accuracy > 1 / len(run.labels["heads"][column]["classes"])
    events = A.load(run.path).predict(first_test_video(manifest))
    assert len(events) == 1 or recipe.dataset == "epic100"  # the others are clips of one action
    for column in recipe.head.columns:
        name = "score" if len(recipe.head.columns) == 1 else f"{column}_score"
        scores = events.rows[name].dropna()  # in a long video each event is of one column
        assert len(scores) and scores.between(0, 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("inputs", ["clips", "features"])
def test_the_original_training(inputs: str, workshop: Workshop, tmp_path: Path) -> None:
    name = "chimpbehave_k400_linear_probe"
    manifest = workshop.manifest(load_recipe(name))
    small = [*SMALL, TINY, "mode=head", f"inputs={inputs}", "training.epochs=3"]
    small += ["training.tensorboard=true"]
    run = A.train(name, data=manifest, out=tmp_path / "run", overrides=small)
    assert run.config["training"]["batch_size"] == 16
    assert run.report_path.stat().st_size > 10_000
    assert A.evaluate(run)["top1_accuracy"] == run.metrics["top1_accuracy"]
    assert len(A.load(run.path).predict(first_test_video(manifest))) == 1


@pytest.mark.slow
def test_two_streams_of_epic_kitchens(workshop: Workshop, tmp_path: Path) -> None:
    """A run on pictures and one on published flow frames become one answer."""
    runs = [workshop.run(name) for name in EPIC_INPUTS]
    folders = [run.path / "predictions" / "test" for run in runs]
    found = A.fuse(folders, tmp_path / "fused")
    assert found.labels["fused"]["missing"] == {}
    alone = [A.evaluate(folder, bootstrap=0) for folder in folders]
    fused = A.evaluate(tmp_path / "fused", bootstrap=0)
    assert set(fused) == set(alone[0])
    assert fused["protocol"]["rows"] == alone[0]["protocol"]["rows"]


def first_test_video(manifest: Path) -> Path:
    events = A.read_events(manifest).select(split="test")
    return events.path(str(events.videos["video"].iloc[0]))
