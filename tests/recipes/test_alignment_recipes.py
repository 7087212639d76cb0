"""Recipes of alignment: what the sheet of the original says, and that they run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import actionspace as A
from actionspace.alignment.network.create import create_network
from actionspace.alignment.prepare import prepare, read_videos
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.config import write_yaml
from actionspace.datasets.prepare import list_datasets
from actionspace.errors import DataError
from actionspace.events.table import Events
from actionspace.recipes.check import check_recipe
from actionspace.recipes.loader import list_recipes, load_recipe
from actionspace.training import plan
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
BASELINES = {"tcc_pouring", "tcn_pouring", "tcc_pennaction"}
SUPERVISED = {"classification_pouring": 26_566_213, "classification_finegym99": 27_368_099}


def recipe_of(name: str) -> AlignmentRecipe:
    recipe = load_recipe(name)
    assert isinstance(recipe, AlignmentRecipe)
    return recipe


def test_the_recipes_are_those_of_the_sheet() -> None:
    named = {r.name for r in list_recipes() if r.task == "alignment" and r.dataset}
    assert named == {*SHEET, *BASELINES, *SUPERVISED, "pouring_dinov3", "pennaction_dinov3"}
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


def test_tcc_of_penn_action_compares_videos_of_one_action() -> None:
    recipe, pouring = recipe_of("tcc_pennaction"), recipe_of("tcc_pouring")
    assert recipe.network == pouring.network
    assert recipe.loss == pouring.loss
    assert (recipe.sampling.frames, recipe.training.batch_size) == (20, 4)
    assert (recipe.training.epochs, recipe.sampling.batch_by) == (300, "action")
    evaluation = recipe.evaluation
    assert (evaluation.by, evaluation.tau_stride, evaluation.fractions) == ("action", 2, (1.0,))


@pytest.mark.parametrize("name", SUPERVISED)
def test_the_supervised_baseline_is_the_network_of_the_sheet(name: str) -> None:
    recipe = recipe_of(name)
    classes = 5 if "pouring" in name else 99
    with torch.device("meta"):
        network = create_network(recipe.make, classes=classes)
    assert sum(p.numel() for p in network.parameters()) == SUPERVISED[name]
    assert (recipe.loss.name, recipe.views, recipe.published) == ("classification", 1, None)
    assert recipe.sampling.strategy == "time_augment"
    assert recipe.evaluation.probe_lr == (50 if "pouring" in name else 0.1)


def test_frames_of_your_own_know_no_positions() -> None:
    recipe = recipe_of("align_frames")
    assert not recipe.dataset
    assert (recipe.network.positions, recipe.network.compat) == ("none", "none")
    assert not getattr(recipe.loss, "compat", True)


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
    small += ["network.conv=[{channels: 8}]", "network.fc=[8]"]  # a quarter of the weights is left
    run = A.train(name, data=str(tmp_path / "events.csv"), out=tmp_path / "run", overrides=small)
    assert "kendall_tau" in run.metrics
    assert run.environment["skipped"] == {}
    shutil.rmtree(run.path)  # the stages of a ResNet-50 are large


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


def test_videos_of_a_step_are_of_one_action(tmp_path: Path) -> None:
    phased.make(tmp_path, videos=12)
    rows = pd.read_csv(tmp_path / "events.csv")
    numbers = rows["video"].str[1:].astype(int)
    rows["action"] = np.where(numbers == 0, "rare", np.where(numbers > 5, "push", "pull"))
    rows.to_csv(tmp_path / "events.csv", index=False)
    made = phased.recipe(
        loss={"name": "tcc"},
        sampling={"batch_by": "action"},
        training={"epochs": 1},
        evaluation={"by": "action"},
        data=str(tmp_path / "events.csv"),
        features=str(tmp_path / "features"),
    )
    write_yaml(tmp_path / "r.yaml", made)
    run = A.train(tmp_path / "r.yaml", out=tmp_path / "run")
    assert "1 training videos share their 'action' with no other" in str(run.environment["notes"])
    assert set(run.metrics["by"]) <= {"push", "pull"}
    found = prepare(made, read_videos(made, made.data or ""))
    samples = found.training_samples()
    groups = samples.step_groups
    assert groups is not None
    kinds = dict(zip(rows["video"], rows["action"], strict=False))
    for batch in plan.epoch_batches(len(samples), 2, 0, 0, groups=groups):
        assert len({kinds[samples.name(int(i))] for i in batch}) == 1
    for by, text in (("phase", "has several values"), ("act", "no label column 'act'")):
        other = {"sampling": made.sampling.model_copy(update={"batch_by": by})}
        wrong = replace(found, recipe=made.model_copy(update=other))
        with pytest.raises(DataError, match=text):
            wrong.training_samples()


def test_check_looks_for_the_columns_of_kinds(tmp_path: Path) -> None:
    phased.make(tmp_path, videos=4)
    given = {"data": str(tmp_path / "events.csv"), "features": str(tmp_path / "features")}
    for changes, text in (
        ({"sampling": {"batch_by": "act"}}, "error sampling.batch_by: the manifest has no label"),
        ({"evaluation": {"by": "phase"}}, "warning the loss tcc compares videos"),
    ):
        made = phased.recipe(loss={"name": "tcc"}, **given, **changes)
        write_yaml(tmp_path / "recipe.yaml", made)
        found = [f"{f.severity} {f.message}" for f in check_recipe(tmp_path / "recipe.yaml")]
        assert any(one.startswith(text) for one in found), found


def test_check_looks_for_phases(tmp_path: Path) -> None:
    phased.make(tmp_path, videos=4, phases=False)
    for loss, text in (("scl", "note the manifest has no"), ("classification", "error the loss")):
        given = {"data": str(tmp_path / "events.csv"), "features": str(tmp_path / "features")}
        write_yaml(tmp_path / "recipe.yaml", phased.recipe(loss={"name": loss}, **given))
        found = [f"{f.severity} {f.message}" for f in check_recipe(tmp_path / "recipe.yaml")]
        assert any(one.startswith(text) for one in found), found
