"""Every recipe of anticipation runs on generated data, from prepare to predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import actionspace as A
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.recipes.loader import list_recipes, load_recipe
from tests.datasets import layouts
from tests.recipes.small import TINY, few_videos

FAST = [
    "evaluation.bootstrap=20",
    "training.epochs=2",
    "training.workers=0",
    "training.tensorboard=false",
]
FEATURES = {"epic100_anticipation_rulstm": {"rgb": 6, "flow": 6, "obj": 4}}
SMALLER = {
    "anticipate": [
        TINY,
        "columns=[verb]",
        "window.seconds=2",
        "horizon.evaluate=[1.0]",
        "network.width=8",
    ],
    "epic100_anticipation_rulstm": [
        "network.width=8",
        "horizon.evaluate=[1.0]",
        "files.stride=1",
        "files.fps=30",
    ],
    "epic100_anticipation_vjepa2": [
        "network.depth=2",
        "network.heads=4",
        "encoder_options.network=untrained:vjepa2_vit_large",
        "encoder_options.frames=8",
        "encoder_options.size=32",
        "encoder_options.encoder_options={embed_dim: 24, num_heads: 2, depth: 2, mlp_ratio: 2.0}",
        "encoder_options.predictor_options={predictor_embed_dim: 36, num_heads: 3, depth: 1}",
    ],
}


RECIPES = [recipe.name for recipe in list_recipes() if recipe.task == "anticipation"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EPIC-KITCHENS-100 as it is published, videos of 6.4 s; and features of each video."""
    folder = tmp_path_factory.mktemp("epic100")
    with few_videos():
        layouts.epic100(folder)
    path = A.prepare("epic100", folder, folder / "manifest.csv")
    random = np.random.default_rng(0)
    for part, dim in FEATURES["epic100_anticipation_rulstm"].items():
        (folder / part).mkdir()
        for video in A.read_events(path).videos["video"]:
            rows = random.standard_normal((192, dim)).astype(np.float32)
            np.save(folder / part / f"{Path(video).stem}.npy", rows)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_prepare_train_evaluate_predict(name: str, manifest: Path, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert isinstance(recipe, AnticipationRecipe)
    given = [str(manifest.parent / part) for part in FEATURES.get(name, ())]
    run = A.train(
        name,
        data=manifest,
        out=tmp_path / "run",
        overrides=[*FAST, *SMALLER[name], *([f"features=[{','.join(given)}]"] if given else [])],
    )
    assert run.environment["skipped"] == {}
    assert run.report_path.stat().st_size > 10_000
    assert A.evaluate(run)["top1_accuracy" if name == "anticipate" else "mean_topk_recall"] > 0
    assert run.metrics["windows"]["unreadable"] == 0
    if recipe.dataset == "epic100":
        assert run.metrics["epic100"]["segments"] == 8
    video = next(manifest.parent.glob("P18/videos/*.MP4"))
    if given:
        return
    told = A.load(run.path).predict(video, every=1.0)
    assert told.rows["start"].tolist()[:2] == [1.0, 2.0]
    assert set(told.heads) == set(run.config["columns"])


def test_recipes_keep_the_challenges_rules() -> None:
    """One second before the start; the one on V-JEPA 2 sees one clip and a step more."""
    for name in RECIPES:
        recipe = load_recipe(name)
        assert isinstance(recipe, AnticipationRecipe)
        assert (recipe.horizon.report, recipe.window.anchor) == (1.0, "start")
        assert recipe.input == "features" and recipe.evaluation.unseen == "miss"
    recipe = load_recipe("epic100_anticipation_vjepa2")
    assert isinstance(recipe, AnticipationRecipe)
    assert recipe.encoder_options["seconds"] == recipe.horizon.report
    assert recipe.window.seconds == recipe.window.step  # one row
    assert (recipe.rows.hop, recipe.rows.tokens) == (2, "time")
