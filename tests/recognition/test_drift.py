"""BatchNorms of a frozen encoder that go on as in training: named, saved, used afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from actionspace.encoders.create import create_encoder
from actionspace.errors import Interrupted, RunError, UsageError
from actionspace.events.table import Events
from actionspace.recognition.evaluate import encoding_of, evaluate, recipe_of
from actionspace.recognition.fit import train
from actionspace.recognition.predict import predictions
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from tests.recognition import adaptable
from tests.recognition.conftest import recipe
from tests.recognition.test_head_mode import Stop

DRIFT = "clips.batch_norm_drift=true"
QUICK = (
    *("mode=head", "clips.rows=events", f"encoder={adaptable.CONVOLUTIONS}", "clips.dtype=float32"),
    *("training.epochs=3", "training.batch_size=2", "training.micro_batch_size=2"),
    *("training.optimizer={name: sgd, lr: 0.01, momentum: 0.9}", "training.tensorboard=false"),
    "training.checkpoint={keep: last}",
)


def state_of(run: Run) -> dict[str, torch.Tensor]:
    return encoding_of(run, recipe_of(run)).encoder.backbone.state_dict()


@pytest.fixture(scope="module")
def drifted(split: Events, tmp_path_factory: pytest.TempPathFactory) -> Run:
    split.to_csv(split.root / "drift.csv")
    out = tmp_path_factory.mktemp("drift") / "run"
    return train(recipe(*QUICK, DRIFT), data=split.root / "drift.csv", out=out, report=False)


def test_statistics_drift_and_nothing_else(drifted: Run):
    before = create_encoder(adaptable.CONVOLUTIONS).backbone.state_dict()
    after = state_of(drifted)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    kept = ("running_mean", "running_var", "num_batches_tracked")
    assert changed == {name for name in before if name.endswith(kept)}
    steps = [int(value) for name, value in after.items() if name.endswith("tracked")]
    assert steps == [drifted.environment["steps"]] * 3 == [18, 18, 18]  # not by the judging
    assert (drifted.path / "encoder.safetensors").is_file()
    assert drifted.labels["encoder"]["adapted"] == "batch_norm_drift"


def test_the_drifted_encoder_predicts(drifted: Run, split: Events):
    found = predictions(drifted, split, split="test")
    kept = read_predictions(drifted.predictions_dir / "test")
    np.testing.assert_array_equal(found.raw["label"], kept.raw["label"])
    assert evaluate(drifted)["ece"] == drifted.metrics["ece"]
    (drifted.path / "encoder.safetensors").rename(drifted.path / "hidden")
    try:
        with pytest.raises(RunError, match=r"encoder\.safetensors is missing"):
            predictions(drifted, split, split="test")
    finally:
        (drifted.path / "hidden").rename(drifted.path / "encoder.safetensors")
    with pytest.raises(UsageError, match="holds the weights of its encoder"):
        predictions(drifted, split, split="test", weights="other.safetensors")


def test_frozen_stays_frozen_without_the_option(split: Events, tmp_path: Path):
    run = train(recipe(*QUICK), data=split, out=tmp_path / "run", report=False)
    before = create_encoder(adaptable.CONVOLUTIONS).backbone.state_dict()
    assert all(torch.equal(before[name], value) for name, value in state_of(run).items())
    assert not (run.path / "encoder.safetensors").exists()


def test_a_stopped_training_goes_on_with_its_statistics(
    drifted: Run, split: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config: Any = recipe(*QUICK, DRIFT)
    data = split.root / "drift.csv"
    with monkeypatch.context() as patch:
        Stop(patch, 10)
        with pytest.raises(Interrupted):
            train(config, data=data, out=tmp_path / "run", report=False)
    run = train(config, data=data, out=tmp_path / "run", resume=True, report=False)
    for name, value in state_of(drifted).items():
        torch.testing.assert_close(state_of(run)[name], value, rtol=1e-5, atol=1e-6)
    for name, weight in drifted.weights().items():
        np.testing.assert_allclose(run.weights()[name], weight, rtol=1e-5, atol=1e-6)


def test_folds_have_an_encoder_each(split: Events, tmp_path: Path):
    config = recipe(*QUICK, DRIFT, "folds=2", "training.epochs=1")
    run = train(config, data=split, out=tmp_path / "run", report=False)
    tracked = [state_of(run)["stages.0.1.num_batches_tracked"].item()]
    for fold in range(2):
        state = load_file(run.path / "folds" / str(fold) / "encoder.safetensors")
        tracked.append(state["stages.0.1.num_batches_tracked"].item())
    assert tracked == [9, 5, 5] and run.metrics["protocol"]["rows"] == 18


def test_where_it_cannot_be(split: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for other in ("mode=probe", "mode=full", "inputs=features"):
        with pytest.raises(UsageError, match=r"batch_norm_drift.*mode=head and inputs=clips"):
            recipe(*QUICK, DRIFT, other)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="batch_norm_drift needs a single process"):
        train(recipe(*QUICK, DRIFT), data=split, out=tmp_path / "run")
