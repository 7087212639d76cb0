"""However a step is cut up or computed, localization learns the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from tests.localization import untrimmed
from tests.localization.worker import work
from tests.processes import ONE_NODE, torchrun

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    untrimmed.make(folder, videos=10, rows=40)
    work(folder, folder / "one")
    return folder


def records(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "metrics.csv")


def normaliser(out: Path) -> float:
    state: dict[str, Any] = torch.load(out / "state.pt", weights_only=True)
    return float(state["model"]["loss.normalizer"])


def test_two_processes_learn_what_one_learns(folder: Path, tmp_path: Path) -> None:
    """The normaliser is that of the whole step; so are losses, their parts, and the mean IoU."""
    child = torchrun(tmp_path, ONE_NODE, work, folder, tmp_path / "two")
    assert child.end() == 0, child.err.read_text()
    assert normaliser(tmp_path / "two") == normaliser(folder / "one") != 20.0
    alone, together = records(folder / "one"), records(tmp_path / "two")
    for name in ("loss", "class_loss", "regression_loss", "mean_iou"):
        ours, theirs = together[f"train/{name}"].dropna(), alone[f"train/{name}"].dropna()
        assert len(ours) > 2
        np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(together["val/map"].dropna(), alone["val/map"].dropna(), atol=1e-4)
    weights = load_file(folder / "one" / "weights.safetensors")
    for name, value in load_file(tmp_path / "two" / "weights.safetensors").items():
        np.testing.assert_allclose(value, weights[name], atol=2e-4, err_msg=name)


def test_accumulated_passes_record_what_one_pass_records(folder: Path, tmp_path: Path) -> None:
    work(folder, tmp_path / "cut", micro_batch_size=1)
    whole, cut = records(folder / "one"), records(tmp_path / "cut")
    for name in ("loss", "class_loss", "regression_loss", "mean_iou"):
        np.testing.assert_allclose(
            cut[f"train/{name}"].dropna(), whole[f"train/{name}"].dropna(), atol=1e-4, err_msg=name
        )
    fit = cut[["train/min_iou", "train/mean_iou", "train/max_iou"]].dropna()
    assert (fit.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None) and (fit.iloc[:, 2] <= 1).all()
    assert "train_smooth/mean_iou" in cut


def test_bfloat16_stays_close(folder: Path, tmp_path: Path) -> None:
    work(folder, tmp_path / "rough", precision="bfloat16")
    rough, whole = (
        records(out)["train/loss"].dropna() for out in (tmp_path / "rough", folder / "one")
    )
    assert not np.array_equal(rough, whole)
    np.testing.assert_allclose(rough, whole, rtol=0.03)
