"""Every recipe of ActionFormer and TriDet on features in its data set's layout, made small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import actionspace as A
from actionspace.config import write_yaml
from actionspace.errors import UsageError
from actionspace.localization.network.keys import published_state
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.recipes.loader import list_recipes, load_recipe
from actionspace.training.run import Run
from tests.datasets.untrimmed_layouts import EGO4D_DIMS, LAYOUTS

FEW = "training.epochs=3"
RECIPES = [r for r in list_recipes() if r.task == "localization" and r.dataset]
NAMES = [r.name for r in RECIPES if r.encoder is None]  # the others: test_token_recipes


def smaller(recipe: LocalizationRecipe) -> list[str]:
    """Overrides with which a recipe trains in a second: few channels, a few steps."""
    width = 16 if recipe.model.backbone == "sgp" else 12
    found = [f"model.{name}={width}" for name in ("neck_dim", "head_dim")]
    split = recipe.model.input_split
    if split:
        found += [f"model.input_split={list(EGO4D_DIMS.values())}", "model.embed_dim=[4,4,4]"]
    else:
        found += [f"model.embed_dim={width}"]
    if recipe.model.backbone == "sgp":
        found += ["model.sgp.hidden=16"]
    return [
        *found,
        f"model.max_length={recipe.model.divisor * (1 if recipe.model.divisor > 99 else 2)}",
        "model.heads=2",
        "training.epochs=8",
        "training.optimizer.lr=0.02",
        "training.ema.decay=0.5",
        "training.schedule.warmup_epochs=1",
        "training.batch_size=2",
        "training.checkpoint.every_epochs=4",
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
    if recipe.dataset == "hacs":
        kind = recipe.name.rpartition("_")[2]
        return {"features": f"{kind}_feature", "annotation": kind}
    return {"features": {"thumos14": "i3d_features"}.get(recipe.dataset, "features")}


def made(name: str, sources: Path) -> tuple[Path, list[str]]:
    """The manifest of a recipe, and overrides that make it small."""
    recipe = load_recipe(name)
    assert isinstance(recipe, LocalizationRecipe)
    source = sources / recipe.dataset
    manifest = A.prepare(recipe.dataset, source, source / f"{name}.csv", **options(recipe))
    small = ["evaluation.bootstrap=20", *smaller(recipe)]
    if recipe.classes:  # proposals: which activity it is say others
        scores = source / "annotations" / "cuhk_val_simp_share.json"
        small.append(f"suppression.class_scores={scores}")
    return manifest, small


def published(run: Run, folder: Path) -> Path:
    """The weights of a run as the original leaves them."""
    import torch
    from safetensors.torch import load_file

    state = published_state(load_file(run.path / "weights.safetensors"))
    path = folder / "epoch_004.pth.tar"
    torch.save({"epoch": 1, "state_dict": {}, "state_dict_ema": state}, path)
    return path


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrimmed")
    for name, make in LAYOUTS.items():
        make(folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_prepare_train_evaluate(name: str, sources: Path, tmp_path: Path) -> None:
    manifest, small = made(name, sources)
    recipe = load_recipe(name)
    run = A.train(name, data=manifest, out=tmp_path / "run", overrides=[*small, FEW])
    assert run.report_path.stat().st_size > 10_000
    told = json.loads((run.path / "metrics.json").read_text(encoding="utf-8"))
    assert told["protocol"]["hash"]
    first = recipe.evaluation.thresholds[0]
    assert f"map@{first:.2f}" in told and f"recall1x@{first:.2f}" in told
    assert {row["class"] for row in told["per_class"]} == {"Billiards", "Diving"}
    assert told["map"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["thumos14_i3d", "activitynet13_tsp", "epic100_slowfast_noun"])
def test_published_weights_and_a_chosen_epoch(name: str, sources: Path, tmp_path: Path) -> None:
    """A checkpoint laid out as the original leaves it gives the figures of the run it is of."""
    manifest, small = made(name, sources)
    run = A.train(name, data=manifest, out=tmp_path / "run", overrides=small)
    told = run.metrics["map"]
    assert A.evaluate(run)["map"] == told > 0.02
    assert A.evaluate(run, checkpoint="epoch_004")["map"] != told
    scores = [w.removeprefix("suppression.") for w in small if "class_scores" in w]
    plain = [w for w in small if "class_scores" not in w]
    write_yaml(tmp_path / "small.yaml", load_recipe(name, plain))
    checkpoint = published(run, tmp_path)
    again = A.convert(checkpoint, out=tmp_path / "again", recipe=tmp_path / "small.yaml")
    assert A.evaluate(again, data=manifest, **dict(w.split("=") for w in scores))["map"] == told
    if not scores:
        with pytest.raises(UsageError, match="tells classes apart by itself"):
            A.evaluate(again, data=manifest, class_scores="x.json")
