"""Networks of pictures: two augmented views of real video files, through a ResNet."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import actionspace as A
from actionspace.alignment.chunks import cut_clips
from actionspace.alignment.data import PictureVideos
from actionspace.alignment.infer import embed_video, evaluation_pictures
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.alignment.saved import load_network
from actionspace.config import parse, write_yaml
from actionspace.errors import UsageError
from actionspace.events.table import Events
from actionspace.training.run import Run
from actionspace.video import clips
from actionspace.video.clips import Clip, iter_clips
from actionspace.video.sweep import SweepStats
from actionspace.video.write import write_video
from tests.alignment import phased

SIZE, FPS = 32, 10.0
LENGTHS = (9, 3, 12, 8, 10, 1)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos in which brightness rises with time; the last has one frame."""
    folder = tmp_path_factory.mktemp("videos")
    rows, table = [], []
    for k, length in enumerate(LENGTHS):
        name = f"v{k}.mp4"
        levels = np.linspace(0, 255, length).astype(np.uint8)
        frames = (np.full((48, 64, 3), level, np.uint8) for level in levels)
        write_video(folder / name, frames, FPS)
        middle, end = (length // 2) / FPS, length / FPS
        rows.append({"video": name, "phase": "0", "start": 0.0, "end": middle or end})
        if middle:
            rows.append({"video": name, "phase": "1", "start": middle, "end": end})
        table.append({"video": name, "split": "test" if k in (2, 3) else "train"})
    Events.from_frames(rows, table, folder, ("phase",)).to_csv(folder / "events.csv")
    return folder / "events.csv"


def recipe(**changes: object) -> AlignmentRecipe:
    return phased.recipe(
        network={
            "input": "frames",
            "frames_per_batch": 8,
            "compat": "carl",
            "positions": "stretched",
        },
        sampling={"frames": 6},
        pictures={"size": SIZE},
        augment={
            "crop": {"p": 1.0, "area": [0.8, 1.0]},
            "flip": 0.5,
            "jitter": {"p": 0.8, "brightness": 0.8},
        },
        training={"epochs": 1, "batch_size": 2},
        **changes,
    )


@pytest.fixture(scope="module")
def run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("pictures")
    write_yaml(folder / "r.yaml", recipe())
    yield A.train(folder / "r.yaml", data=str(manifest), out=folder / "run")
    shutil.rmtree(folder)  # a ResNet-50 is large


def test_it_trains_and_is_measured(run: Run) -> None:
    assert {"kendall_tau", "phase_accuracy"} <= set(run.metrics)
    assert "raw_features" not in run.metrics
    assert run.labels["encoder"] == {}
    names = set(run.weights())
    assert {"backbone.0.weight", "res_finetune.0.conv1.weight"} <= names
    assert run.environment["skipped"] == {}


def test_clips_of_a_video_are_embedded_apart(run: Run, manifest: Path) -> None:
    made = parse(AlignmentRecipe, run.config, "config.yaml")
    network = load_network(run, made)
    videos = PictureVideos(Events.from_frames([], [{"video": "v2.mp4"}], manifest.parent))
    whole = embed_video(network, videos, 0, made)
    assert whole.shape == (12, 16)
    short = made.model_copy(
        update={"evaluation": made.evaluation.model_copy(update={"frames_per_clip": 6})}
    )
    halves = embed_video(network, videos, 0, short)
    assert halves.shape == whole.shape
    assert not np.allclose(halves, whole)  # positions are stretched over each clip
    again = embed_video(network, videos, 0, made)
    assert np.array_equal(whole, again)


def test_frames_are_those_that_were_asked_for(manifest: Path) -> None:
    videos = PictureVideos(Events.from_frames([], [{"video": "v2.mp4"}], manifest.parent), 24)
    picked = videos.read(0, np.array([11, 0, 6, 6]))
    assert picked.dtype == torch.uint8
    assert picked.shape == (4, 24, 32, 3)
    means = picked.float().mean((1, 2, 3)).round().tolist()
    assert means[0] > 250
    assert means[1] < 5
    assert means[2] == means[3] == pytest.approx(139, abs=3)


def test_features_are_of_no_use_to_it(manifest: Path, tmp_path: Path) -> None:
    write_yaml(tmp_path / "r.yaml", recipe())
    with pytest.raises(UsageError, match="takes pictures"):
        A.train(tmp_path / "r.yaml", data=str(manifest), features=str(tmp_path), out=tmp_path / "x")


def test_a_video_is_read_once_whatever_it_is_cut_into(
    run: Run, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parse(AlignmentRecipe, run.config, "config.yaml")
    small = {"contexts": 3, "frames_per_batch": 4, "positions": "none"}
    network = load_network(run, made)
    network.config = network.config.model_copy(update=small)
    changed = made.model_copy(
        update={
            "evaluation": made.evaluation.model_copy(update={"frames_per_clip": 5}),
            "sampling": made.sampling.model_copy(update={"context_stride": 3}),
        }
    )
    videos = PictureVideos(Events.from_frames([], [{"video": "v2.mp4"}], manifest.parent))
    seen: list[SweepStats] = []

    def counted(*args: Any, **options: Any) -> Iterator[Clip]:
        seen.append(SweepStats())
        return iter_clips(*args, stats=seen[-1], **options)

    monkeypatch.setattr(clips, "iter_clips", counted)
    found = embed_video(network, videos, 0, changed)
    assert [stats.converted for stats in seen] == [stats.decoded for stats in seen] == [12]
    pictures = evaluation_pictures(made)(videos.read(0, np.arange(12)))
    with torch.no_grad():
        parts = [
            network(pictures[clip.inputs][None])[0].numpy()
            for clip in cut_clips(12, 5, contexts=3, context_stride=3)
        ]
    np.testing.assert_allclose(found, np.concatenate(parts), atol=1e-5)
