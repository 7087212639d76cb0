"""Recipes on the tokens of the newest encoders: what they say, and that they run on raw videos."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import actionspace as A
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.encoders.create import list_encoders
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.recipes.loader import list_recipes, load_recipe
from actionspace.video.write import write_video
from tests.datasets import framewise_layouts, untrimmed_layouts
from tests.recipes import small

#: The recipe of other features that each one follows, and what of it is another.
FOLLOWS = {
    "thumos14_vjepa2": ("thumos14_i3d", {"files"}),
    "epic100_vjepa2_verb": ("epic100_slowfast_verb", {"files", "model"}),
    "epic100_vjepa2_noun": ("epic100_slowfast_noun", {"files", "model"}),
    "localize_vjepa2": ("localize", set()),
    "align_vjepa2": ("align", set()),
    "align_dinov3": ("align", set()),
    "pouring_dinov3": ("carl_pouring", {"weights", "network", "loss", "augment", "training"}),
    "pennaction_dinov3": ("carl_pennaction", {"weights", "network", "loss", "augment", "training"}),
}
TOLD = {"name", "description", "published", "encoder", "rows"}
FPS = 15.0
LABELS = [k // 5 for k in range(25)]  # phases of a video, frame by frame


def token_recipe(name: str) -> LocalizationRecipe | AlignmentRecipe:
    recipe = load_recipe(name)
    assert isinstance(recipe, (LocalizationRecipe, AlignmentRecipe))
    return recipe


def test_all_recipes_of_tokens_are_here() -> None:
    kinds = {"localization", "alignment"}
    recipes = [r for r in list_recipes() if r.task in kinds]
    found = {r.name for r in recipes if r.rows.tokens == "time"}  # type: ignore[union-attr]
    assert found == set(FOLLOWS)


@pytest.mark.parametrize("name", FOLLOWS)
def test_only_the_features_are_others(name: str) -> None:
    """Rows follow one another and are one step in time of the encoder; nothing was measured."""
    recipe, (model, other) = token_recipe(name), FOLLOWS[name]
    base = token_recipe(model)
    for field in type(recipe).model_fields.keys() - TOLD - other:
        assert getattr(recipe, field) == getattr(base, field), field
    rows = recipe.rows
    assert rows.hop is None and rows.stride == 1
    assert recipe.published is None and "not measured" in recipe.description
    [info] = list_encoders(recipe.encoder or "")
    frames_of_a_step = 2 if "vjepa2" in info.name else 1
    assert (rows.frames or 1) % frames_of_a_step == 0 and rows.fps
    seconds = frames_of_a_step / rows.fps
    files = getattr(base, "files", None)
    if files is None or files.stride is None:
        assert seconds <= 0.134  # at least as dense as four frames of 30 per second
    else:
        assert seconds <= files.stride / (files.fps or 30.0) + 1e-9


@pytest.mark.parametrize("name", ["epic100_vjepa2_verb", "epic100_vjepa2_noun"])
def test_longer_videos_are_seen_at_once_where_rows_are_denser(name: str) -> None:
    recipe, base = token_recipe(name), token_recipe(FOLLOWS[name][0])
    assert recipe.model == base.model.model_copy(update={"buffer_factor": 8.0})  # type: ignore[union-attr]


# --- and they run ---------------------------------------------------------------------------------


def _film(folder: Path, number: int) -> Path:
    """40 seconds that are bright in events of one class and red in those of the other."""
    times = np.arange(int(untrimmed_layouts.SECONDS * FPS)) / FPS
    film = np.random.default_rng(number).integers(20, 60, (len(times), 32, 32, 3), np.uint8)
    for kind, start, end in untrimmed_layouts.EVENTS[number]:
        during = (times >= start) & (times < end)
        film[during, ..., : 1 if kind else 3] += 150
    return write_video(folder / f"{number}.mp4", film, FPS, options={"preset": "ultrafast"})


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    return [_film(folder, number) for number in range(len(untrimmed_layouts.EVENTS))]


def untrimmed(dataset: str, folder: Path, films: Sequence[Path]) -> Path:
    """The manifest of a data set's annotation with videos in place of features."""
    untrimmed_layouts.LAYOUTS[dataset](folder)
    names = {"thumos14": "video_{}_{:07d}.mp4", "epic100-detection": "P0{1}_01.MP4"}
    for number, film in enumerate(films):
        split = "validation" if number < untrimmed_layouts.TRAIN else "test"
        shutil.copy(film, folder / names[dataset].format(split, number))
    return A.prepare(dataset, folder, folder / "manifest.csv")


def framewise(dataset: str, folder: Path) -> Path:
    """The manifest of lists as CARL publishes them: three videos to train on, two to test on."""
    for split, numbers in (("train", (0, 1, 2)), ("val", (3, 4))):
        entries: Any = [
            framewise_layouts.entry(folder, f"{k:04d}_pour", LABELS) | {"action_label": 10}
            for k in numbers
        ]
        together = (entries, {}) if dataset == "pennaction" else entries
        framewise_layouts.write_pickle(folder / f"{split}.pkl", together)
    return A.prepare(dataset, folder, folder / "manifest.csv")


def smaller(recipe: LocalizationRecipe | AlignmentRecipe) -> list[str]:
    """A tiny encoder with steps in time as the recipe's own, a tiny network, few epochs."""
    encoder = "pairs" if "vjepa2" in (recipe.encoder or "") else "singly"
    found = [f"encoder={small.__name__}:{encoder}", "rows.size=32", "rows.short_side=32"]
    found += ["training.tensorboard=false", "training.schedule.warmup_epochs=1"]
    if isinstance(recipe, AlignmentRecipe):
        network = {"fc": "[8]", "hidden_dim": 8, "layers": 1, "heads": 2, "feed_forward_dim": 8}
        found += [f"network.{key}={value}" for key, value in network.items()]
        return [*found, "sampling.frames=12", "training.epochs=2"]
    found += [f"model.{part}=12" for part in ("embed_dim", "neck_dim", "head_dim")]
    found += ["training.epochs=3", "training.optimizer.lr=0.02", "training.ema.decay=0.5"]
    if not recipe.auto.lengths:
        found += [f"model.max_length={2 * recipe.model.divisor}"]
    found += ["predict.threshold=0", "evaluation.bootstrap=20"]
    return [*found, "model.heads=2", "model.input_dropout=0"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLLOWS)
def test_prepare_train_evaluate_predict(name: str, films: Sequence[Path], tmp_path: Path) -> None:
    recipe = token_recipe(name)
    if recipe.dataset in framewise_layouts.FRAMEWISE:
        manifest = framewise(recipe.dataset, tmp_path / "data")
    else:
        manifest = untrimmed(recipe.dataset or "thumos14", tmp_path / "data", films)
    run = A.train(name, data=manifest, out=tmp_path / "run", overrides=smaller(recipe))
    assert run.environment["skipped"] == {}
    made = run.labels["encoder"]["fingerprint"]
    assert made["tokens"] == "time" and made["fps"] == recipe.rows.fps
    assert made["hop"] == made["frames"] == recipe.rows.frames
    assert made["token_grid"][0] * (2 if "vjepa2" in name else 1) == made["frames"]
    measure = "kendall_tau" if recipe.task == "alignment" else "map"
    assert A.evaluate(run)[measure] == run.metrics[measure]
    if recipe.task == "localization":
        assert run.metrics["map"] > 0
        assert len(A.load(run.path).predict(films[0]))
