"""Every recipe of ActionFormer on generated features in its data set's layout, made small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import actionspace as A
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.recipes.loader import list_recipes, load_recipe
from tests.datasets.untrimmed_layouts import EGO4D_DIMS, LAYOUTS

NAMES = [r.name for r in list_recipes() if r.task == "localization" and r.dataset]


def smaller(recipe: LocalizationRecipe) -> list[str]:
    """Overrides with which a recipe trains in a second: few channels, two epochs."""
    found = [f"model.{name}=12" for name in ("neck_dim", "head_dim")]
    split = recipe.model.input_split
    if split:
        found += [f"model.input_split={list(EGO4D_DIMS.values())}", "model.embed_dim=[4,4,4]"]
    else:
        found += ["model.embed_dim=12"]
    return [
        *found,
        f"model.max_length={recipe.model.divisor * (1 if recipe.model.divisor > 99 else 2)}",
        "model.heads=2",
        "training.epochs=2",
        "training.schedule.warmup_epochs=1",
        "training.batch_size=2",
        "training.checkpoint.every_epochs=1",
        "training.tensorboard=false",
    ]


def options(recipe: LocalizationRecipe) -> dict[str, Any]:
    """What `prepare` is told, as the recipe's comment has it."""
    if recipe.dataset == "ego4d-mq":
        parts = list(EGO4D_DIMS) if recipe.name == "ego4d_all" else recipe.name.split("_")[1:]
        return {"features": ",".join(f"{part}_features" for part in parts)}
    if recipe.dataset == "activitynet13":
        kind = "i3d" if "i3d" in recipe.name else "tsp"
        return {"features": f"{kind}_features", "annotation": kind}
    return {"features": {"thumos14": "i3d_features"}.get(recipe.dataset, "features")}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrimmed")
    for name, make in LAYOUTS.items():
        make(folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_prepare_train_evaluate(name: str, sources: Path, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert isinstance(recipe, LocalizationRecipe)
    source = sources / recipe.dataset
    manifest = A.prepare(recipe.dataset, source, source / f"{name}.csv", **options(recipe))
    small = ["evaluation.bootstrap=20", *smaller(recipe)]
    if recipe.classes:  # proposals: which activity it is say others
        scores = source / "annotations" / "cuhk_val_simp_share.json"
        small.append(f"suppression.class_scores={scores}")
    run = A.train(name, data=manifest, out=tmp_path / "run", overrides=small)
    assert run.report_path.stat().st_size > 10_000
    told = json.loads((run.path / "metrics.json").read_text(encoding="utf-8"))
    assert told["protocol"]["hash"]
    first = recipe.evaluation.thresholds[0]
    assert f"map@{first:.2f}" in told and f"recall1x@{first:.2f}" in told
    assert {row["class"] for row in told["per_class"]} == {"Billiards", "Diving"}
    assert A.evaluate(run)["map"] == told["map"]
    assert "map" in A.evaluate(run, checkpoint="epoch_001")
