"""Run folders: what is written is read, what is not a run is refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actionspace.errors import ActionspaceError, RunError
from actionspace.paths import atomic_folder
from actionspace.training.run import FORMAT_VERSION, Run


def make(path: Path) -> Run:
    run = Run.start(path)
    run.write_config({"task": "recognition"})
    run.write_weights({"label.weight": np.eye(2, dtype=np.float32)})
    run.write_labels({"heads": {"label": {"classes": ["a", "b"], "multi_label": False}}})
    run.write_metrics({"top1_accuracy": float("nan")})
    run.write_trials([{"strength": 1.0, "loss": 0.5}, {"strength": 2.0, "fold": 1}])
    return run.finish({"device": "cpu"})


def test_round_trip(tmp_path: Path):
    make(tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.config == {"task": "recognition"}
    assert run.environment == {"format_version": FORMAT_VERSION, "device": "cpu"}
    assert run.metrics == {"top1_accuracy": None}
    np.testing.assert_array_equal(run.weights()["label.weight"], np.eye(2))
    lines = (run.path / "metrics.csv").read_text().splitlines()
    assert lines == ["strength,loss,fold", "1.0,0.5,", "2.0,,1"]


def test_a_finished_run_is_kept_unless_told(tmp_path: Path):
    make(tmp_path / "run")
    with pytest.raises(RunError, match="already holds a finished run"):
        Run.start(tmp_path / "run")
    again = Run.start(tmp_path / "run", overwrite=True)
    assert not again.finished
    with pytest.raises(RunError, match=r"unfinished run: environment\.json missing"):
        Run.open(again.path)
    make(again.path)  # an unfinished one is taken over


def test_foreign_folders_are_left_alone(tmp_path: Path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(RunError, match=r"thesis\.docx"):
        Run.start(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        Run.start(tmp_path / "file")


def test_what_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(RunError, match="not a folder"):
        Run.open(tmp_path / "nowhere")
    with pytest.raises(RunError, match="no run"):
        Run.open(tmp_path)
    run = make(tmp_path / "run")
    run.finish({}).path.joinpath("labels.json").write_text("{")
    with pytest.raises(RunError, match="not valid JSON"):
        _ = Run.open(run.path).labels
    (run.path / "weights.safetensors").write_bytes(b"junk")
    with pytest.raises(RunError, match="cannot be read"):
        run.weights()
    (run.path / "environment.json").write_text('{"format_version": 99}')
    with pytest.raises(RunError, match="format 99"):
        Run.open(run.path)


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")

    def fail() -> None:
        with atomic_folder(target) as tmp:
            (tmp / "new").write_text("new")
            raise OSError(28, "No space left on device")

    with pytest.raises(ActionspaceError, match="No space left"):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert [p.name for p in target.iterdir()] == ["old"]
    with atomic_folder(target) as tmp:
        (tmp / "new").write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert [p.name for p in target.iterdir()] == ["new"]
