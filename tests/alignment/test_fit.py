"""Training of alignment from recipe to run, on made-up features with known phases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import actionspace as A
from actionspace.alignment.infer import embed_all
from actionspace.alignment.prepare import prepare
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.alignment.saved import load_network
from actionspace.config import parse, write_yaml
from actionspace.errors import DataError, RunError, UsageError
from actionspace.events.io import read
from actionspace.training.run import Run
from tests.alignment import phased

SHORT = {"epochs": 1, "evaluate_every": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phased")
    phased.make(folder)
    return folder


def trained(folder: Path, out: Path, **changes: Any) -> Run:
    where = out.with_suffix(".yaml")
    write_yaml(where, phased.recipe(**changes))
    return A.train(
        where, data=str(folder / "events.csv"), features=str(folder / "features"), out=out
    )


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(folder, tmp_path_factory.mktemp("runs") / "run")


def test_training_brings_the_same_moments_together(run: Run) -> None:
    metrics = run.metrics
    assert metrics["kendall_tau"] > metrics["raw_features"]["kendall_tau"] + 0.1
    assert metrics["retrieval_ap@5"] > metrics["raw_features"]["retrieval_ap@5"]
    assert {"phase_accuracy", "progression_r2"} <= set(metrics)
    assert metrics["protocol"]["name"] == "carl"
    assert metrics["protocol"]["split"] == "test"
    assert metrics["videos"] == {"train": 8, "test": 4}


def test_a_run_is_whole(run: Run, folder: Path) -> None:
    assert run.finished
    assert run.report_path.is_file()
    assert run.labels["task"] == "alignment"
    assert run.labels["heads"]["phase"]["classes"] == list(phased.PHASES)  # in order of time
    assert run.labels["encoder"]["dim"] == phased.DIM
    recipe = parse(AlignmentRecipe, run.config, "config.yaml")
    assert recipe.network.train_frames == 24
    network = load_network(run, recipe)
    assert not network.training
    found = prepare(recipe, read(folder / "events.csv"))
    rows = embed_all(network, found.videos("test"), recipe)
    lengths = [len(np.load(folder / "features" / f"{name}.npy")) for name in rows.videos]
    assert [video.shape for video in rows.embeddings] == [(n, 16) for n in lengths]
    assert np.allclose(np.linalg.norm(rows.embeddings[0], axis=1), 1, atol=1e-5)


def test_evaluate_gives_the_same_again(run: Run) -> None:
    before = json.dumps(run.metrics)
    A.evaluate(run)
    assert json.dumps(run.metrics) == before
    A.evaluate(run, data=run.config["data"])
    assert json.dumps(run.metrics) == before
    assert A.evaluate(run, split="val")["protocol"]["split"] == "val"
    with pytest.raises(DataError, match="no video of the split 'tset'"):
        A.evaluate(run, split="tset")


def test_features_of_another_make_are_refused(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    for file in (folder / "features").iterdir():
        np.save(tmp_path / "features" / file.name, np.load(file)[:, :5])
    recipe = parse(AlignmentRecipe, run.config, "config.yaml")
    with pytest.raises(RunError, match="another make"):
        prepare(
            recipe,
            read(folder / "events.csv"),
            features=tmp_path / "features",
            expect=run.labels["encoder"],
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": {"name": "tcc"}},
        {"loss": {"name": "lav"}},
        {"loss": {"name": "tcn"}, "sampling": {"positive_window": 3}},
        {"loss": {"name": "classification"}},
        {"loss": {"name": "scl", "negatives": "batch_noself"}},
        {"network": {"embedder": "vanilla", "contexts": 2}, "sampling": {"context_stride": 2}},
    ],
)
def test_every_loss_trains(folder: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    run = trained(folder, tmp_path / "run", training=SHORT, **changes)
    assert np.isfinite(run.metrics["kendall_tau"])
    recipe = parse(AlignmentRecipe, run.config, "config.yaml")
    network = load_network(run, recipe)
    assert network.config.projection == (recipe.loss.name == "scl")
    assert network.classes == (4 if recipe.loss.name == "classification" else 0)


def test_protocols_and_fractions(folder: Path, tmp_path: Path) -> None:
    run = trained(
        folder,
        tmp_path / "run",
        training=SHORT,
        evaluation={"protocol": "ae2", "missing": None, "raw_features": False},
    )
    assert run.metrics["protocol"]["name"] == "ae2"
    assert "raw_features" not in run.metrics
    assert "retrieval_ap@10" in run.metrics


def test_a_training_is_the_same_twice(folder: Path, tmp_path: Path) -> None:
    one, two = (trained(folder, tmp_path / name, training=SHORT) for name in ("a", "b"))
    assert one.metrics == two.metrics
    weights = [r.weights() for r in (one, two)]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


class TestBadInput:
    def test_videos_of_one_row_and_short_ones(self, tmp_path: Path) -> None:
        phased.make(tmp_path, videos=8, lengths=[1, 2, 1, 1, 3])
        run = trained(tmp_path, tmp_path / "run", training=SHORT)
        assert np.isfinite(list(map(float, run.weights()["embed.embedding_layer.bias"]))).all()
        notes = " ".join(run.environment["notes"])
        assert "have fewer rows than sampling.frames=24" in notes

    def test_nothing_but_videos_of_one_row(self, tmp_path: Path) -> None:
        phased.make(tmp_path, videos=4, lengths=[1, 1, 1, 1])
        with pytest.raises(DataError, match="more than one row"):
            trained(tmp_path, tmp_path / "run", training=SHORT)

    def test_without_labels_tau_alone(self, tmp_path: Path) -> None:
        phased.make(tmp_path, videos=10, phases=False, splits=False)
        run = trained(tmp_path, tmp_path / "run", training=SHORT)
        assert "kendall_tau" in run.metrics
        assert "phase_accuracy" not in run.metrics
        assert "tau alone" in " ".join(run.metrics["notes"])
        assert run.labels["heads"] == {}

    def test_a_missing_phase_is_told(self, tmp_path: Path) -> None:
        events = phased.make(tmp_path)
        lost = (events.rows["video"] == "v00") & (events.rows["phase"] == "grasp")
        events.select(mask=~lost).to_csv(tmp_path / "events.csv")
        run = trained(tmp_path, tmp_path / "run", training=SHORT, evaluation={"missing": "refuse"})
        assert run.metrics["progression_r2"] is None
        assert "Phase 1 does not occur" in " ".join(run.metrics["notes"])
        skipped = trained(tmp_path, tmp_path / "again", training=SHORT)
        assert np.isfinite(skipped.metrics["progression_r2"])

    def test_broken_features_are_left_out(self, tmp_path: Path) -> None:
        phased.make(tmp_path, videos=8)
        rows = np.load(tmp_path / "features" / "v03.npy")  # a test video
        np.save(tmp_path / "features" / "v03.npy", rows * np.nan)
        run = trained(tmp_path, tmp_path / "run", training=SHORT)
        assert "holds NaN" in run.metrics["left_out"]["v03"]

    def test_classification_needs_labels(self, tmp_path: Path) -> None:
        phased.make(tmp_path, videos=8, phases=False)
        with pytest.raises(DataError, match="learns phases, and no training video has any"):
            trained(tmp_path, tmp_path / "run", loss={"name": "classification"})

    def test_nothing_to_take_frames_from(self, folder: Path, tmp_path: Path) -> None:
        write_yaml(tmp_path / "r.yaml", phased.recipe())
        with pytest.raises(UsageError, match="names no encoder"):
            A.train(tmp_path / "r.yaml", data=str(folder / "events.csv"), out=tmp_path / "run")
        with pytest.raises(UsageError, match="Alignment has no folds"):
            A.train(tmp_path / "r.yaml", data=str(folder / "events.csv"), folds=3)

    def test_half_a_recipe_is_refused(self) -> None:
        for changes, text in (
            ({"sampling": {"views": 1}}, "compares two views"),
            ({"loss": {"name": "tcn"}}, "positive_window 0"),
            ({"loss": {"name": "tcc"}, "training": {"batch_size": 1}}, "batch_size is 1"),
        ):
            with pytest.raises(ValueError, match=text):
                phased.recipe(**changes)


def test_networks_begin_alike_and_leave_the_seed_alone(folder: Path) -> None:
    from actionspace.alignment.fit import new_network

    found = prepare(phased.recipe(), read(folder / "events.csv"), features=folder / "features")
    before = torch.random.get_rng_state()
    one, two = new_network(found), new_network(found)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(one.embed.embedding_layer.weight, two.embed.embedding_layer.weight)
