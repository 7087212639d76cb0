"""Tiny videos and runs, made once for all tests of recognition."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from actionspace.events.table import Events
from actionspace.recipes.loader import load_recipe
from actionspace.recognition.fit import train
from actionspace.training.run import Run
from tests.recognition import tiny

torch.set_num_threads(1)
Train = Callable[..., Run]


def recipe(*overrides: str) -> Any:
    """The linear probe on the tiny encoder, with few resamples."""
    fixed = [f"encoder={tiny.ENCODER}", "device=cpu", "evaluation.bootstrap=50"]
    return load_recipe("linear_probe", [*fixed, *overrides])


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recognition")


@pytest.fixture(scope="session")
def clips(work: Path) -> Events:
    """Three classes in six groups, without splits."""
    events = tiny.clips(work / "clips")
    events.to_csv(work / "clips" / "clips.csv")
    return events


@pytest.fixture(scope="session")
def split(clips: Events) -> Events:
    """Four groups to learn from, one to validate, one to test."""
    names = {f"g{i}": "train" for i in range(4)} | {"g4": "val", "g5": "test"}
    return replace(clips, videos=clips.videos.assign(split=clips.videos["group"].map(names)))


@pytest.fixture(scope="session")
def long(work: Path) -> Events:
    """Six untrimmed videos of two motions with stretches where nothing moves."""
    events = tiny.untrimmed(work / "long", [f"{i}.mp4" for i in range(6)])
    events.to_csv(work / "long" / "events.csv")
    return events


@pytest.fixture(scope="session")
def _trained(work: Path, clips: Events, long: Events) -> dict[str, Run]:
    os.environ["ACTIONSPACE_CACHE"] = str(work / "cache")
    sources = {"run": work / "clips" / "clips.csv", "long_run": work / "long" / "events.csv"}
    return {
        name: train(recipe(), data=source, out=work / name, report=False)
        for name, source in sources.items()
    }


@pytest.fixture
def run(_trained: dict[str, Run], tmp_path: Path) -> Run:
    """A probe of the clips, split automatically; a copy of its own for each test."""
    return Run(Path(shutil.copytree(_trained["run"].path, tmp_path / "trained" / "run")))


@pytest.fixture
def long_run(_trained: dict[str, Run], tmp_path: Path) -> Run:
    """A probe of the untrimmed videos, background class and all; a copy for each test."""
    return Run(Path(shutil.copytree(_trained["long_run"].path, tmp_path / "trained" / "long")))


@pytest.fixture(autouse=True)
def _one_cache(work: Path, _own_cache: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Share encoded features between the tests of this folder."""
    monkeypatch.setenv("ACTIONSPACE_CACHE", str(work / "cache"))
