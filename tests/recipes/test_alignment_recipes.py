"""Recipes of alignment: what the sheet of the original says, and that they run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import actionspace as A
from actionspace.alignment.network.create import create_network
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.config import write_yaml
from actionspace.datasets.prepare import list_datasets
from actionspace.events.table import Events
from actionspace.recipes.check import check_recipe
from actionspace.recipes.loader import list_recipes, load_recipe
from actionspace.training.schedules import lr_at
from actionspace.video.write import write_video
from tests.alignment import phased

# Name: (frames, videos per step, epochs, layers, stride of tau, parameters).
SHEET = {
    "carl_pouring": (240, 1, 500, 2, 5, 26_598_848),
    "carl_pennaction": (80, 1, 300, 3, 2, 27_388_608),
    "carl_finegym99": (240, 1, 300, 3, 5, 27_388_608),
    "carl_finegym288": (240, 1, 300, 3, 5, 27_388_608),
    "carl_kinetics400": (80, 2, 10, 2, 2, 26_598_848),
}
BASELINES = {"tcc_pouring", "tcn_pouring"}


def recipe_of(name: str) -> AlignmentRecipe:
    recipe = load_recipe(name)
    assert isinstance(recipe, AlignmentRecipe)
    return recipe


def test_the_recipes_are_those_of_the_sheet() -> None:
    named = {r.name for r in list_recipes() if r.task == "alignment" and r.dataset}
    assert named == set(SHEET) | BASELINES
    known = {info.name for info in list_datasets()}
    assert {recipe_of(name).dataset for name in named} <= known


@pytest.mark.parametrize("name", SHEET)
def test_carl_is_trained_as_published(name: str) -> None:
    frames, videos, epochs, layers, stride, parameters = SHEET[name]
    recipe = recipe_of(name)
    training = recipe.training
    assert (recipe.views, recipe.sampling.frames, recipe.make.train_frames) == (2, frames, frames)
    assert (training.batch_size, training.epochs) == (videos, epochs)
    assert recipe.network.layers == layers
    assert recipe.evaluation.made().tau_stride == stride
    optimizer = training.optimizer
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == ("adam", 1e-4, 1e-5)
    assert (optimizer.no_decay, training.clip_norm) == ("none", 10)
    last = lr_at(training.schedule, 1.0, epoch=epochs - 1, step=0, steps_per_epoch=1, epochs=epochs)
    wanted = 0.5 * (1 + np.cos(np.pi * (epochs - 1) / (epochs + 1)))
    assert last == pytest.approx(wanted, rel=1e-6)
    assert recipe.sampling.block == ("window" if "finegym" in name else "video")
    with torch.device("meta"):
        network = create_network(recipe.make)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_tcc_is_the_network_of_the_sheet() -> None:
    recipe = recipe_of("tcc_pouring")
    with torch.device("meta"):
        network = create_network(recipe.make)
    assert sum(p.numel() for p in network.parameters()) == 45_335_744
    assert (recipe.views, recipe.sampling.frames, recipe.network.contexts) == (1, 40, 2)
    assert recipe_of("tcn_pouring").make.train_frames == 40  # 20 anchors, 20 positives


def test_figures_are_marked_as_not_checked() -> None:
    for name in {*SHEET, *BASELINES} - {"carl_kinetics400"}:
        published = recipe_of(name).published
        assert published is not None
        assert published.figures
        assert all("not checked" in figure.note for figure in published.figures)


@pytest.mark.parametrize("name", ["tcc_pouring", "tcn_pouring"])
def test_contexts_and_pairs_train_from_pictures(name: str, tmp_path: Path) -> None:
    table = []
    for k in range(4):
        frames = (np.full((80, 80, 3), 10 * i, np.uint8) for i in range(8))
        write_video(tmp_path / f"v{k}.mp4", frames, 10.0)
        table.append({"video": f"v{k}.mp4", "split": "train" if k < 2 else "test"})
    Events.from_frames([], table, tmp_path).to_csv(tmp_path / "events.csv")
    small = ["training.epochs=1", "sampling.frames=3", "pictures.size=80", "device=cpu"]
    small += ["training.tensorboard=false", "training.workers=0", "sampling.context_stride=2"]
    run = A.train(name, data=str(tmp_path / "events.csv"), out=tmp_path / "run", overrides=small)
    assert "kendall_tau" in run.metrics
    assert run.environment["skipped"] == {}
    shutil.rmtree(run.path)  # a ResNet-50 is large


def test_finegyms_probe_tells_the_element_of_each_frame(tmp_path: Path) -> None:
    phased.make(tmp_path, videos=40)
    write_yaml(
        tmp_path / "r.yaml",
        phased.recipe(training={"epochs": 1}, evaluation={"frame_probe": True}),
    )
    run = A.train(
        tmp_path / "r.yaml",
        data=str(tmp_path / "events.csv"),
        features=str(tmp_path / "features"),
        out=tmp_path / "run",
    )
    assert run.metrics["raw_features"]["frame_accuracy"] > 0.5
    assert 0.25 < run.metrics["frame_accuracy"] <= 1
    assert "kendall_tau" not in run.metrics


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"features": "nowhere"}, "error the features nowhere do not exist"),
        ({"network": {"input": "frames"}, "encoder": "starter"}, "error network.input=frames"),
        ({"network": {"input": "frames"}}, "warning the ResNet starts from random weights"),
        ({}, "note there is neither features nor an encoder"),
        ({"training": {"checkpoint": {"metric": "map"}}}, "error training.checkpoint.metric 'map'"),
    ],
)
def test_check_tells_what_would_stop(changes: dict[str, object], text: str, tmp_path: Path) -> None:
    write_yaml(tmp_path / "recipe.yaml", phased.recipe(**changes))
    found = [f"{f.severity} {f.message}" for f in check_recipe(tmp_path / "recipe.yaml")]
    assert any(one.startswith(text) for one in found), found


def test_check_looks_for_phases(tmp_path: Path) -> None:
    phased.make(tmp_path, videos=4, phases=False)
    for loss, text in (("scl", "note the manifest has no"), ("classification", "error the loss")):
        given = {"data": str(tmp_path / "events.csv"), "features": str(tmp_path / "features")}
        write_yaml(tmp_path / "recipe.yaml", phased.recipe(loss={"name": loss}, **given))
        found = [f"{f.severity} {f.message}" for f in check_recipe(tmp_path / "recipe.yaml")]
        assert any(one.startswith(text) for one in found), found
