"""Moments end to end: learnt, found, measured, told; and what is said of other events."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from actionspace.cli import app
from actionspace.config import write_yaml
from actionspace.errors import DataError, UsageError
from actionspace.events import io
from actionspace.localization.convert import run_from_checkpoint
from actionspace.localization.data.sample import PaddedLength
from actionspace.localization.data.samples import FeatureSamples
from actionspace.localization.data.source import FeatureFiles, open_source
from actionspace.localization.data.truncate import Truncation
from actionspace.localization.evaluate import evaluate
from actionspace.localization.fit import train
from actionspace.localization.learning.heatmap import HeatmapLoss
from actionspace.localization.learning.steps import StepSamples
from actionspace.localization.network.create import create_network
from actionspace.localization.network.keys import published_state
from actionspace.localization.network.padding import padded_length
from actionspace.localization.network.points import pyramid_points
from actionspace.localization.point_options import idle_options
from actionspace.localization.predict import predictions
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.recipes.check import check_recipe
from actionspace.recipes.loader import load_recipe
from actionspace.training.plan import epoch_order
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from tests.localization import instants, untrimmed
from tests.processes import ONE_NODE, torchrun


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("instants")
    instants.make(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    recipe = instants.recipe(evaluation={"tolerances_frames": (2, 8), "bootstrap": 20})
    data, features = folder / "events.csv", folder / "features"
    return train(recipe, out=folder / "run", data=data, features=features)


def test_moments_are_found_nearer_than_rows_are_apart(run: Run) -> None:
    found = run.metrics
    assert found["point_ap@0.2s"] > 0.9 and found["point_ap@0.5s"] > 0.95  # a row is half a second
    assert found["timing_error"] < 0.09 and abs(found["timing_bias"]) < 0.09
    assert found["point_ap@8f"] == found["point_ap@0.5s"]
    low, high = found["point_map_ci"]
    assert low <= found["point_map"] <= high
    about = found["protocol"]
    assert about["name"] == "points" and about["thresholds"] == [0.1, 0.2, 0.5, 1.0, 2.0]
    assert "within 0.5 s on the validation split" in str(run.environment["notes"])
    rows = run.metrics["per_class"]
    assert {row["class"] for row in rows} == set(instants.CLASSES)


def test_training_judges_by_average_precision(run: Run) -> None:
    table = (run.path / "metrics.csv").read_text()
    assert "val/point_map" in table.splitlines()[0]
    assert "finest_loss" in table.splitlines()[0]


def test_detections_are_events_without_extent(run: Run, folder: Path, tmp_path: Path) -> None:
    saved = read_predictions(run.predictions_dir / "test")
    rows = saved.events.rows
    assert (rows["start"] == rows["end"]).all() and rows["score"].notna().all()
    assert saved.labels["points"] == "center"
    found = predictions(
        run, folder / "events.csv", split="test", features=folder / "features", out=tmp_path / "out"
    )
    truth = io.read(folder / "events.csv").select(split="test")
    assert 0.8 < len(found.events) / len(truth.rows) < 1.25
    file = tmp_path / "events.csv"
    predictions(run, folder / "events.csv", features=folder / "features", out=file)
    again = io.read(file, root=folder, allow_outside=True).rows
    assert len(again) and (again["start"] == again["end"]).all()


def test_all_ways_to_evaluate_agree(run: Run, folder: Path, tmp_path: Path) -> None:
    wanted = run.metrics["point_map"]
    assert evaluate(run)["point_map"] == wanted
    assert evaluate(run.predictions_dir / "test")["point_map"] == wanted
    file = tmp_path / "theirs.csv"
    rows = read_predictions(run.predictions_dir / "test").events.rows
    rows[["video", "start", "end", "label", "score"]].to_csv(file, index=False)
    theirs = evaluate(file, folder / "events.csv", split="test", bootstrap=0)
    assert theirs["point_map"] == pytest.approx(wanted)
    for target in (run, run.predictions_dir / "test"):
        with pytest.raises(UsageError, match="tolerances"):
            evaluate(target, protocol="thumos14")


def test_the_report_tells_of_moments(run: Run) -> None:
    page = run.report_path.read_text()
    for text in ("Mean average precision of moments", "mAP within 0.5 s", "standard deviation"):
        assert text in page
    assert "Detections by kind" not in page and "of the time as annotated" not in page


def test_a_long_video_in_windows_has_the_same_moments(run: Run, folder: Path) -> None:
    given: dict[str, Any] = {"split": "test", "features": folder / "features"}
    whole = predictions(run, folder / "events.csv", **given).events.rows
    cut = predictions(run, folder / "events.csv", window=48, overlap=24, **given).events.rows
    assert len(whole) == len(cut)
    for column in ("video", "label"):
        assert whole.sort_values(["video", "start"])[column].tolist() == (
            cut.sort_values(["video", "start"])[column].tolist()
        )
    apart = np.sort(whole["start"].to_numpy()) - np.sort(cut["start"].to_numpy())
    assert np.abs(apart).max() < 0.1


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(folder: Path, tmp_path: Path) -> None:
    plain = {"optimizer": {"name": "sgd", "lr": 0.02}, "clip_norm": None, "batch_size": 4}
    how: dict[str, Any] = {"training": {"epochs": 2, "evaluate_every": 1} | plain}
    child = torchrun(tmp_path / "log", ONE_NODE, train_two, folder, tmp_path / "two", how)
    instants.train_run(folder, tmp_path / "one", **how)
    assert child.end() == 0, child.err.read_text()
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    first = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert first < 1e-5
    measured = [Run.open(tmp_path / name).metrics["point_map"] for name in ("one", "two")]
    assert measured[0] == pytest.approx(measured[1], abs=1e-6)


def train_two(folder: Path, out: Path, how: dict[str, Any]) -> None:
    instants.train_run(folder, out, **how)


def test_events_that_last_are_learnt_at_a_moment(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = instants.make(tmp_path, videos=6, last=2.0)
    given: dict[str, Any] = {"data": events, "features": tmp_path / "features", "report": False}
    short = {"epochs": 1, "evaluate_every": 1}
    with caplog.at_level(logging.INFO, "actionspace"):
        made = train(
            instants.recipe(model={"points": {"at": "start"}}, training=short),
            out=tmp_path / "run",
            **given,
        )
    assert "training events last (start < end): their start is what is learnt" in caplog.text
    assert made.metrics["protocol"]["rules"]["at"] == "start"
    assert read_predictions(made.predictions_dir / "test").labels["points"] == "start"


def test_a_recipe_of_segments_names_the_one_of_moments(folder: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"data": folder / "events.csv", "features": folder / "features"}
    with pytest.raises(DataError, match="localize_points"):
        train(untrimmed.recipe(), out=tmp_path / "run", **given)
    recipe = untrimmed.recipe().model_copy(update={n: str(p) for n, p in given.items()})
    write_yaml(tmp_path / "recipe.yaml", recipe.model_dump(mode="json"))
    messages = [f.message for f in check_recipe(tmp_path / "recipe.yaml")]
    assert any("localize_points" in message for message in messages)


def test_a_check_says_what_becomes_of_events_that_last(tmp_path: Path) -> None:
    instants.make(tmp_path, videos=6, last=2.0)
    recipe = load_recipe("localize_points")
    assert isinstance(recipe, LocalizationRecipe)
    values = recipe.model_dump(mode="json") | {"data": str(tmp_path / "events.csv")}
    write_yaml(tmp_path / "recipe.yaml", values)
    messages = [f.message for f in check_recipe(tmp_path / "recipe.yaml")]
    assert any("their center is what is learnt and told" in message for message in messages)


def test_a_published_checkpoint_becomes_a_run(folder: Path, tmp_path: Path) -> None:
    recipe = instants.recipe(classes=("snap",), data=str(folder / "events.csv"))
    torch.manual_seed(0)
    network = create_network(recipe.model, instants.DIM, 1)
    path = tmp_path / "epoch_010.pth.tar"
    torch.save({"state_dict_ema": published_state(network.state_dict())}, path)
    made = run_from_checkpoint(path, recipe, tmp_path / "run")
    found = evaluate(made, features=folder / "features", bootstrap=0)
    assert found["protocol"]["classes"] == ["snap"] and "point_map" in found


def samples(folder: Path, rows: int, padded: PaddedLength) -> FeatureSamples:
    events = io.read(folder / "events.csv")
    files = FeatureFiles(stride=instants.STRIDE)
    return FeatureSamples(
        events,
        open_source(events, [folder / "features"], files),
        instants.CLASSES,
        padded,
        train=Truncation(rows, moments=True),
        at="center",
    )


def test_every_part_of_a_step_knows_the_moments_of_all(folder: Path) -> None:
    recipe = instants.recipe(training={"batch_size": 5})
    found = samples(folder, 60, lambda rows: padded_length(recipe.model, rows))
    steps = StepSamples(found, recipe.training, recipe.model, recipe.loss)
    members = epoch_order(len(found), recipe.training.seed, 1)[:5].tolist()
    batch = found.collate([found.load(i, 1) for i in members])
    points = pyramid_points(recipe.model, batch.features.shape[-1], torch.device("cpu"))
    here = HeatmapLoss(recipe.model).targets(points, batch.truth, 2).heat == 1
    valid = torch.cat([batch.mask[:, 0, ::stride] for stride in recipe.model.strides], dim=1)
    sizes = [batch.features.shape[-1] // stride for stride in recipe.model.strides]
    wanted = tuple(int(n.sum()) for n in torch.split(here & valid[..., None], sizes, 1))
    assert {steps.load(i, 1)[1].positives for i in members} == {wanted}
    assert wanted[0] >= wanted[-1] > 5


def test_windows_keep_whole_moments(folder: Path) -> None:
    found = samples(folder, 24, lambda rows: rows)
    for epoch in range(20):
        sample, whole = found.load(1, epoch), found.whole(1)
        shift = (sample.grid.first - whole.grid.first) / whole.grid.step
        inside = (whole.segments[:, 0] - shift).numpy()
        kept = inside[(np.round(inside) >= 0) & (np.round(inside) < 24)]
        assert len(sample) == 24 and len(kept)
        np.testing.assert_allclose(sample.segments[:, 0].numpy(), kept, atol=1e-4)


def test_options_that_contradict_or_mean_nothing() -> None:
    with pytest.raises(ValueError, match="neck=cs_fpn"):
        instants.recipe(model={"points": {"levels": "finest"}})
    with pytest.raises(ValueError, match=r"points\.levels 'all'"):
        instants.recipe(
            model={"points": {"levels": "finest"}, "neck": "fpn"},
            suppression={"peaks": {"levels": "all"}},
        )
    with pytest.raises(ValueError, match="no moment could be measured"):
        instants.recipe(evaluation={"tolerances": ()})
    made = instants.recipe(loss={"center_radius": 2.0}, suppression={"sigma": 0.3})
    assert {"loss.center_radius", "suppression.sigma"} <= set(idle_options(made))


def test_the_recipe_says_nothing_idle() -> None:
    recipe: Any = load_recipe("localize_points")
    assert idle_options(recipe) == [] and recipe.model.head == "points"


def test_the_command_line(folder: Path, tmp_path: Path) -> None:
    words = [
        *("train", "localize_points", f"data={folder / 'events.csv'}"),
        *(f"features={folder / 'features'}", "encoder=null", f"files.stride={instants.STRIDE}"),
        *("training.epochs=2", "model.embed_dim=16", "model.neck_dim=16", "model.head_dim=16"),
        *("evaluation.bootstrap=0", "--out", str(tmp_path / "run")),
    ]
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output
    assert "point_map" in made.output and "timing_error" in made.output
    told = CliRunner().invoke(app, ["evaluate", str(tmp_path / "run")])
    assert told.exit_code == 0 and "point_ap@0.5s" in told.output
    words = ["predict", str(tmp_path / "run"), str(folder / "events.csv")]
    words += ["--set", "threshold=0.01", "--set", f"features={folder / 'features'}"]
    words += ["--out", str(tmp_path / "out.csv")]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    rows = io.read(tmp_path / "out.csv", root=folder, allow_outside=True).rows
    assert len(rows) and (rows["start"] == rows["end"]).all()
