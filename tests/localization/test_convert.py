"""A published checkpoint becomes a run that evaluates."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from actionspace import api
from actionspace.config import write_yaml
from actionspace.errors import RunError, UsageError, WeightsError
from actionspace.events.table import Events
from actionspace.localization.convert import run_from_checkpoint
from actionspace.localization.network.keys import published_state
from actionspace.localization.network.model import ActionFormer
from actionspace.localization.saved import load_network
from actionspace.training.run import Run
from tests.cli.test_cli import call
from tests.localization import untrimmed


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A file as the original writes it: names with ``module.``, weights and their average."""
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        states.append(ActionFormer(untrimmed.recipe().model, untrimmed.DIM, 2).state_dict())
    path = tmp_path / "epoch_034.pth.tar"
    content: dict[str, Any] = {"epoch": 34, "state_dict": published_state(states[0])}
    torch.save(content | {"state_dict_ema": published_state(states[1]), "optimizer": {}}, path)
    return path


def test_the_averaged_weights_are_taken(checkpoint: Path, tmp_path: Path) -> None:
    recipe = untrimmed.recipe()
    averaged = run_from_checkpoint(checkpoint, recipe, tmp_path / "run")
    raw = run_from_checkpoint(checkpoint, recipe, tmp_path / "raw", average=False)
    for run, key in ((averaged, "state_dict_ema"), (raw, "state_dict")):
        state = torch.load(checkpoint, weights_only=True)[key]
        for name, value in load_network(run, recipe).state_dict().items():
            torch.testing.assert_close(value, state[f"module.{name}"], rtol=0, atol=0)


def test_convert_then_evaluate(checkpoint: Path, tmp_path: Path) -> None:
    events = untrimmed.make(tmp_path / "data", videos=6)
    write_yaml(tmp_path / "recipe.yaml", untrimmed.recipe())
    out = api.convert(checkpoint, recipe=tmp_path / "recipe.yaml", out=tmp_path / "run")
    metrics = api.evaluate(
        out, data=tmp_path / "data" / "events.csv", features=tmp_path / "data" / "features"
    )
    assert metrics["protocol"]["classes"] == list(untrimmed.CLASSES)
    assert metrics["left_out"]["predictions_of_unknown_classes"] == 0
    assert len(events.select(split="test").videos) == metrics["protocol"]["videos"]


def test_on_the_command_line_with_data_of_its_own(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``convert`` names data and features, so that ``evaluate RUN`` needs nothing more."""
    untrimmed.make(tmp_path / "data", videos=6)
    write_yaml(tmp_path / "recipe.yaml", untrimmed.recipe())
    monkeypatch.chdir(tmp_path)
    words = ("convert", checkpoint, "--recipe", tmp_path / "recipe.yaml", "--out", "run")
    own = ("data=data/events.csv", "features=data/features")
    assert call(*words, *own, "predict.threshold=0.3", "evaluation.bootstrap=0") == 0
    assert Run(tmp_path / "run").labels["threshold"] == 0.3
    monkeypatch.chdir(tmp_path / "data")  # paths are kept whole
    assert call("evaluate", "../run") == 0
    said = capsys.readouterr()
    assert "map@0.50" in said.out and "chance" in said.out and "run/metrics.json" in said.out
    found = Run(tmp_path / "run").metrics
    assert found["protocol"]["classes"] == list(untrimmed.CLASSES)
    given = api.evaluate(tmp_path / "run", data="events.csv", features="features")
    assert given["map"] == found["map"]
    assert call("convert", checkpoint, *own) == 2
    assert "--recipe NAME" in capsys.readouterr().err
    assert call(*words[:-1], "other", "dta=events.csv") == 2
    assert "Did you mean 'data'" in capsys.readouterr().err


def test_a_file_of_detections_is_measured_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = untrimmed.make(tmp_path, videos=6)
    file, before = tmp_path / "found.csv", set(tmp_path.iterdir())
    Events.from_frames(events.rows.assign(score=0.5), events.videos, events.root).to_csv(file)
    before |= set(tmp_path.glob("found*"))
    assert call("evaluate", file, f"data={tmp_path / 'events.csv'}") == 0
    said = capsys.readouterr()
    assert "map@0.50" in said.out and "metrics.json" not in said.out + said.err
    assert set(tmp_path.iterdir()) == before


def test_names_are_taken_from_the_manifest(checkpoint: Path, tmp_path: Path) -> None:
    untrimmed.make(tmp_path / "data", videos=6)
    data = tmp_path / "data" / "events.csv"
    run = run_from_checkpoint(checkpoint, untrimmed.recipe(), tmp_path / "run", data=data)
    assert run.labels["heads"]["label"]["classes"] == list(untrimmed.CLASSES)
    with pytest.raises(UsageError, match="2 classes apart; 3 names"):
        run_from_checkpoint(
            checkpoint, untrimmed.recipe(), tmp_path / "other", classes=["a", "b", "c"]
        )


def test_another_network_is_named(checkpoint: Path, tmp_path: Path) -> None:
    other = untrimmed.recipe(model={"head_dim": 24})
    with pytest.raises(RunError, match=r"cls_head.*expected"):
        run_from_checkpoint(checkpoint, other, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_second_transformer_of_the_fork(tmp_path: Path) -> None:
    """Converts with its options, which are told where the recipe has others."""
    options: dict[str, Any] = {
        "backbone": "transformer_v2",
        "v2": {"compat": "fork", "kv_heads": 1},
        "neck": "cs_fpn",
        "head_skip": True,
    }
    levels = untrimmed.recipe().model.branch_blocks
    options["windows"] = [-1, *[5] * levels]
    recipe = untrimmed.recipe(model=options)
    network = ActionFormer(recipe.model, untrimmed.DIM, 2)
    state = published_state(network.state_dict())
    assert "module.backbone.stem.0.attn.rope.inv_freq" in state
    path = tmp_path / "epoch_030.pth.tar"
    torch.save({"epoch": 30, "state_dict": state, "state_dict_ema": state}, path)
    run = run_from_checkpoint(path, recipe, tmp_path / "run")
    for name, value in load_network(run, recipe).state_dict().items():
        torch.testing.assert_close(value, state[f"module.{name}"], rtol=0, atol=0)
    message = r"tell of .*model.neck=cs_fpn, model.backbone=transformer_v2, model.v2.compat=fork"
    with pytest.raises(RunError, match=message):
        run_from_checkpoint(path, untrimmed.recipe(), tmp_path / "other")


class Danger:
    def __reduce__(self) -> Any:
        return print, ("never",)


def test_nothing_in_a_file_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.pth.tar"
    path.write_bytes(pickle.dumps({"state_dict": Danger()}, protocol=2))
    with pytest.raises(WeightsError, match="without running code"):
        run_from_checkpoint(path, untrimmed.recipe(), tmp_path / "run")
    assert "never" not in capsys.readouterr().out
    torch.save({"state_dict_ema": {"module.fc.weight": torch.zeros(2)}}, path)
    with pytest.raises(WeightsError, match="ActionFormer"):
        run_from_checkpoint(path, untrimmed.recipe(), tmp_path / "run")
