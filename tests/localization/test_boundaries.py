"""Boundary distributions end to end: trained, told, measured, drawn and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionspace.errors import ConfigError, RunError, UsageError
from actionspace.events import io
from actionspace.events.columns import UNCERTAINTY
from actionspace.events.table import Events
from actionspace.localization.evaluate import evaluate
from actionspace.localization.fit import train
from actionspace.localization.predict import predict
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from tests.localization import untrimmed


def _recipe(**changes: Any) -> Any:
    model = untrimmed.recipe().model.model_dump() | {"head": "boundaries"}
    changed = {"auto": {"boundaries": True}, "training": {"epochs": 30, "evaluate_every": 30}}
    return untrimmed.recipe(model=model | changes.pop("model", {}), **(changed | changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrimmed")
    untrimmed.make(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    given: dict[str, Any] = {"data": folder / "events.csv", "features": folder / "features"}
    return train(_recipe(), out=folder / "run", **given)


def test_it_learns_and_says_how_certain_it_is(run: Run) -> None:
    assert run.metrics["map@0.50"] > 0.8
    assert run.metrics["boundary_error"] < 0.5  # a row of features
    assert 0.5 < run.metrics["boundary_coverage"] <= 1
    assert 0.1 < run.metrics["boundary_interval"] < 2
    assert len(run.config["model"]["boundaries"]["widths"]) == 3
    assert "Bins of the boundaries" in " ".join(run.environment["notes"])


def test_the_events_table_has_it(run: Run) -> None:
    found = read_predictions(run.predictions_dir / "test")
    rows = found.events.rows
    assert set(UNCERTAINTY) <= set(rows.columns)
    best = rows[rows["score"] > 0.3]
    assert (best[["start_std", "end_std"]] >= 0).all(axis=None)
    for end in ("start", "end"):
        assert (best[f"{end}_low"] <= best[f"{end}_high"]).all()
        inside = best[end].between(best[f"{end}_low"] - 1e-6, best[f"{end}_high"] + 1e-6)
        assert inside.mean() > 0.9  # of a lopsided distribution the mean may lie outside
    again = evaluate(run.predictions_dir / "test", bootstrap=0)
    assert again["boundary_coverage"] == run.metrics["boundary_coverage"]


def test_it_goes_along_where_there_is_room(run: Run, folder: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"features": folder / "features", "split": "test"}
    for name in ("found.csv", "found.json", "found.boris"):
        events = predict(run, folder / "events.csv", out=tmp_path / name, **given)
        kept = io.read(tmp_path / name, allow_outside=True).rows
        assert len(kept) == len(events.rows) > 0
        assert (set(UNCERTAINTY) <= set(kept.columns)) == (name != "found.boris")
    assert "blurred" in run.report_path.read_text()
    figure = events.plot()
    faint = [c for c in figure.axes[0].collections if c.get_alpha() is not None]
    assert faint and all(len(c.get_paths()) >= 1 for c in faint)


def test_jittered_boundaries_are_less_certain(folder: Path, run: Run) -> None:
    clean = read_predictions(run.predictions_dir / "test").events
    truth = io.read(folder / "events.csv")
    noise = np.random.default_rng(0).normal(0, 0.75, (len(truth.rows), 2))
    rows = truth.rows.assign(
        start=(truth.rows["start"] + noise[:, 0]).clip(0), end=truth.rows["end"] + noise[:, 1]
    )
    jittered = Events.from_frames(rows, truth.videos, truth.root)
    other = train(_recipe(), out=folder / "jittered", data=jittered, features=folder / "features")
    noisy = read_predictions(other.predictions_dir / "test").events

    def spread(events: Events) -> float:
        best = events.rows[events.rows["score"] > 0.3]
        return float(best[["start_std", "end_std"]].to_numpy().mean())

    assert spread(noisy) > 1.2 * spread(clean)


def test_too_few_bins_stop_the_training(folder: Path) -> None:
    bins = {"boundaries": {"bins": 2, "widths": [2, 2, 1]}}
    recipe = _recipe(model=bins, auto={"boundaries": False})
    with pytest.raises(ConfigError, match=r"level 2 .*model.boundaries.bins=\d"):
        train(recipe, out=folder / "few", data=folder / "events.csv", features=folder / "features")


def test_a_file_that_disagrees_is_refused(run: Run) -> None:
    from actionspace.localization.evaluate import recipe_of
    from actionspace.localization.export import compare
    from actionspace.localization.export_graph import Candidates
    from actionspace.localization.saved import load_network

    module = Candidates(load_network(run, recipe_of(run))).eval()

    def wrong(features: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
        import torch

        with torch.no_grad():
            found = module(torch.from_numpy(features), torch.from_numpy(mask))
        return [value.numpy() + 0.01 * (i == 1) for i, value in enumerate(found)]

    with pytest.raises(RunError, match=r"1\.0e-02 of scores"):
        compare(module, wrong, (32, untrimmed.DIM), 1e-5)
    assert compare(module, wrong, (32, untrimmed.DIM), 0.1)["segments"] == 0
    with pytest.raises(RunError, match="cannot be run"):
        compare(module, lambda features, mask: 1 / 0, (32, untrimmed.DIM), 1e-5)  # type: ignore


def test_the_network_is_exported(run: Run, tmp_path: Path) -> None:
    import torch

    from actionspace.localization.export import export

    made = export(run, tmp_path / "found.pt2", rows=32)
    assert max(made.errors.values()) <= 1e-5
    assert made.about["inputs"]["features"]["shape"] == [1, 32, untrimmed.DIM]
    assert made.about["outputs"]["segments"]["shape"] == [1, 32 + 16 + 8, 2]
    assert made.about["outputs"]["spread"]["shape"] == [1, 32 + 16 + 8, 2, 3]
    assert "max error" in str(made)
    module = torch.export.load(made.path).module()
    mask = torch.ones(1, 32, dtype=torch.bool)
    segments, scores, spread = module(torch.randn(1, 32, untrimmed.DIM), mask)
    assert (segments[..., 1] >= segments[..., 0]).all() and (spread[..., 0] >= 0).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    with pytest.raises(UsageError, match="multiples of 16"):
        export(run, tmp_path / "odd.pt2", rows=31)
    with pytest.raises(UsageError, match="takes features"):
        export(run, tmp_path / "odd.pt2", part="model")
