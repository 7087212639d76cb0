"""Bad input through the command line, once each: a message that explains, no traceback."""

from __future__ import annotations

import csv
import json
import math
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionspace.config import write_yaml
from actionspace.training.run import Run
from actionspace.video.write import write_video
from tests.alignment import phased
from tests.cli.test_cli import call
from tests.datasets import framewise_layouts as made
from tests.datasets.test_framewise import published_pouring

UNMEASURED: dict[str, Any] = {"evaluation": {"after_training": False}}


class Told:
    """Runs commands in a folder and keeps what they say."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.run = Run(folder / "run")

    def train(self, *words: str, **changes: Any) -> tuple[int, str]:
        values = phased.recipe(**{"training": {"epochs": 1, "evaluate_every": 1}, **changes})
        write_yaml(self.folder / "r.yaml", values)
        data = words or (f"features={self.folder / 'features'}",)
        given = (f"data={self.folder / 'events.csv'}", *data, "--out", self.run.path)
        return self("train", self.folder / "r.yaml", *given)

    def __call__(self, *words: str | Path) -> tuple[int, str]:
        code = call(*words)
        out, err = self._capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out + err

    def losses(self) -> list[float]:
        with (self.run.path / "metrics.csv").open() as file:
            return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]

    @property
    def notes(self) -> str:
        return " ".join(map(str, self.run.environment["notes"]))


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(tmp_path, capsys)


def test_videos_of_one_frame_among_others(told: Told) -> None:
    """Half of the draws of a video of one frame miss it: such samples are masked throughout."""
    phased.make(told.folder, videos=12, lengths=[1, 1, 20, 1, 20, 1, 20, 20, 1, 20])
    code, said = told.train(training={"epochs": 3, "batch_size": 2}, **UNMEASURED)
    assert code == 0, said
    assert all(map(math.isfinite, told.losses()))
    assert "have fewer rows than sampling.frames=24" in told.notes
    assert all(np.isfinite(rows).all() for rows in told.run.weights().values())


def test_nothing_but_videos_of_one_frame(told: Told) -> None:
    phased.make(told.folder, videos=8, lengths=[1] * 8)
    code, said = told.train()
    assert code == 1
    assert "No training video has more than one row of features" in said
    assert "rows.hop=" in said


def test_video_files_of_one_frame(told: Told) -> None:
    for k in range(4):
        picture = np.full((48, 64, 3), 60 * k, np.uint8)
        write_video(told.folder / "videos" / f"v{k}.mp4", [picture], 10.0)
    words = (f"data={told.folder / 'videos'}", "device=cpu", "--out", told.run.path)
    code, said = told("train", "align", *words)
    assert code == 1
    assert "No training video has more than one row of features" in said


@pytest.mark.parametrize("loss", ["scl", "tcc", "tcn", "lav", "classification"])
def test_samples_that_are_masked_throughout(told: Told, loss: str) -> None:
    """A video of one row at the mercy of the draw, in every loss."""
    phased.make(told.folder, videos=4, lengths=[1, 2, 9, 9])
    pairs = {"positive_window": 3} if loss == "tcn" else {}
    code, said = told.train(
        loss={"name": loss},
        sampling={"frames": 4, **pairs},
        training={"epochs": 2, "batch_size": 2},
        **UNMEASURED,
    )
    assert code == 0, said
    assert all(map(math.isfinite, told.losses()))


def test_without_labels(told: Told) -> None:
    phased.make(told.folder, videos=10, phases=False)
    code, said = told.train()
    assert code == 0, said
    assert "Kendall's tau alone is measured" in told.notes
    assert "phase_accuracy" not in told.run.metrics
    code, said = told.train("--overwrite", loss={"name": "classification"})
    assert code != 0


def test_a_phase_that_is_missing(told: Told) -> None:
    events = phased.make(told.folder)
    lost = (events.rows["video"] == "v00") & (events.rows["phase"] == "grasp")
    events.select(mask=~lost).to_csv(told.folder / "events.csv")
    code, said = told.train(evaluation={"missing": "refuse"})
    assert code == 0, said
    assert told.run.metrics["progression_r2"] is None
    assert "Phase 1 does not occur" in told.notes
    assert "Phase 1 does not occur" in told.run.report_path.read_text(encoding="utf-8")


def test_other_numbers_of_labels_than_frames(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    source = published_pouring(told.folder / "pouring")
    made.video(source / "videos" / "a.mp4", 20)
    out = told.folder / "pouring.csv"
    code, said = told("prepare", "pouring", source, "--out", out)
    assert code == 1
    assert "20 frames, but 10 labels" in said
    assert "mismatch=resample" in said
    code, said = told("prepare", "pouring", source, "mismatch=resample", "--out", out)
    assert code == 0, said
    assert "10 labels stretched to 20 frames" in caplog.text


def test_features_of_another_length_than_the_video(told: Told) -> None:
    """Labels are in seconds: rows past the last event have none, and are left out of measures."""
    phased.make(told.folder, videos=8)
    rows = np.load(told.folder / "features" / "v03.npy")
    np.save(told.folder / "features" / "v03.npy", np.concatenate([rows, rows[-9:]]))
    code, said = told.train()
    assert code == 0, said
    assert math.isfinite(told.run.metrics["phase_accuracy"])


def test_constant_embeddings(told: Told) -> None:
    phased.make(told.folder, videos=10)
    for file in (told.folder / "features").iterdir():
        np.save(file, np.ones_like(np.load(file)))
    code, said = told.train()
    assert code == 0, said
    assert told.run.metrics["raw_features"]["kendall_tau"] is None
    assert "Kendall's tau is undefined" in told.notes
    page = told.run.report_path.read_text(encoding="utf-8")
    assert "constant embeddings?" in page


class Malicious:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder / "ran"),)


def test_a_pickle_that_would_run_code(told: Told) -> None:
    source = published_pouring(told.folder / "pouring")
    (source / "train.pkl").write_bytes(pickle.dumps([Malicious(told.folder)]))
    code, said = told("prepare", "pouring", source, "--out", told.folder / "pouring.csv")
    assert code == 1
    assert "is a pickle that asks for" in said and "mkdir" in said
    (source / "train.pkl").write_bytes(b"\x80\x04half")
    code, said = told("prepare", "pouring", source, "--out", told.folder / "pouring.csv")
    assert code == 1
    assert "cannot be read as a pickle" in said
    checkpoint = told.folder / "byol.pth"
    checkpoint.write_bytes(pickle.dumps({"model": Malicious(told.folder)}))
    words = (f"data={told.folder / 'events.csv'}", "device=cpu", "--out", told.run.path)
    phased.make(told.folder, videos=4)
    code, said = told("train", "carl_pouring", f"weights={checkpoint}", *words)
    assert code == 1
    assert "byol.pth" in said
    assert not (told.folder / "ran").exists()


def test_a_run_can_be_evaluated_on_less(told: Told) -> None:
    """Phases that training did not know, in another manifest."""
    phased.make(told.folder, videos=10)
    assert told.train()[0] == 0
    text = (told.folder / "events.csv").read_text().replace("grasp", "drop")
    (told.folder / "other.csv").write_text(text)
    code, said = told("evaluate", told.run.path, f"data={told.folder / 'other.csv'}")
    assert code == 0, said
    assert "the phase 'drop' is none of the classes" in json.dumps(told.run.metrics["notes"])
