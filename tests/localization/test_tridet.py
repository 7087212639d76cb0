"""TriDet from a recipe to events: training, evaluation, prediction, and a published checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import actionspace as A
from actionspace.config import write_yaml
from actionspace.errors import RunError
from actionspace.localization.fit import train
from actionspace.localization.network.create import create_network
from actionspace.localization.network.keys import published_state
from actionspace.localization.predict import predict
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.recipes.loader import load_recipe
from actionspace.training.run import Run
from tests.localization import untrimmed

SMALL = [
    "device=cpu",
    f"files.stride={untrimmed.STRIDE}",
    "files.window=null",
    "rows.preset=null",
    "model.embed_dim=16",
    "model.neck_dim=16",
    "model.head_dim=16",
    "model.embed_layers=1",
    "model.stem_blocks=1",
    "model.branch_blocks=2",
    "model.sgp.hidden=32",
    "model.sgp.init_std=0.1",
    "model.trident.bins=6",
    "model.drop_path=0.0",
    "model.regression_ranges=[[0,4],[4,8],[8,10000]]",
    "model.max_length=96",
    "model.buffer_factor=2.0",
    "loss.initial_norm=20",
    "training.epochs=10",
    "training.batch_size=2",
    "training.optimizer.lr=0.01",
    "training.schedule.warmup_epochs=1",
    "training.ema.decay=0.9",
    "training.evaluate_every=5",
    "training.workers=0",
    "training.tensorboard=false",
    "evaluation.bootstrap=0",
]


def small(*more: str) -> LocalizationRecipe:
    recipe = load_recipe("tridet_thumos14_i3d", [*SMALL, *more])
    assert isinstance(recipe, LocalizationRecipe)
    return recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tridet")
    untrimmed.make(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    data, features = folder / "events.csv", folder / "features"
    return train(small(), data=data, features=features, out=folder / "run", report=False)


def test_it_finds_the_events(run: Run, folder: Path) -> None:
    assert run.metrics["map@0.50"] > 0.7
    assert A.evaluate(run)["map"] == run.metrics["map"]
    assert not any("init_std" in note for note in run.environment["notes"])
    told = predict(
        run, folder / "events.csv", features=folder / "features", split="test", threshold=0.1
    )
    assert set(told.rows["label"]) == set(untrimmed.CLASSES)


def test_a_published_checkpoint_becomes_a_run(folder: Path, tmp_path: Path) -> None:
    """Laid out as the original leaves it; another network's is named."""
    recipe = small()
    torch.manual_seed(1)
    network = create_network(recipe.model, untrimmed.DIM, 2)
    state = published_state(network.state_dict())
    path = tmp_path / "epoch_039.pth.tar"
    torch.save({"epoch": 40, "state_dict": {}, "state_dict_ema": state, "optimizer": {}}, path)
    write_yaml(tmp_path / "recipe.yaml", recipe)
    data, features = folder / "events.csv", folder / "features"
    out = A.convert(path, recipe=tmp_path / "recipe.yaml", out=tmp_path / "run")
    assert set(Run.open(out).weights()) == set(network.state_dict())
    metrics = A.evaluate(out, data=data, features=features)
    assert metrics["protocol"]["classes"] == list(untrimmed.CLASSES)
    write_yaml(tmp_path / "other.yaml", small("model.trident.bins=5"))
    with pytest.raises(RunError, match=r"offset_head.*\[14, 16, 3\], expected \[12"):
        A.convert(path, recipe=tmp_path / "other.yaml", out=tmp_path / "other")


def test_convolutions_that_never_learn_are_told(folder: Path, tmp_path: Path) -> None:
    recipe = ["model.sgp.init_std=0", "training.epochs=1", "training.schedule.warmup_epochs=0"]
    data, features = folder / "events.csv", folder / "features"
    run = train(small(*recipe), data=data, features=features, out=tmp_path / "run", report=False)
    assert sum("stay there" in note for note in run.environment["notes"]) == 1
    still = [v for k, v in run.weights().items() if ".psi." in k or "convkw" in k]
    assert len(still) == 12 and not any(value.any() for value in still)
