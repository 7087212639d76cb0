"""Run folders: what is written is read, what is not a run is refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actionspace.errors import ActionspaceError, RunError
from actionspace.paths import atomic_folder
from actionspace.training.environment import (
    Stopwatch,
    describe,
    over_processes,
    process_facts,
)
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


LOOPED = ("state.pt", "state-before.pt", "ema.safetensors", "metrics.csv")
LOOPED_FOLDERS = ("tensorboard", "checkpoints", "wandb")


def stopped(path: Path) -> Run:
    """A training that was killed after it had saved its state."""
    run = Run.start(path)
    run.write_config({"task": "recognition"})
    for name in LOOPED:
        (path / name).write_text("x")
    for name in LOOPED_FOLDERS:
        (path / name).mkdir()
        (path / name / "epoch_034.safetensors").write_text("x")
    return run


def test_a_stopped_training_is_resumed_and_nothing_of_it_is_cleared(tmp_path: Path):
    run = stopped(tmp_path / "run")
    before = sorted(p.relative_to(run.path) for p in run.path.rglob("*"))
    assert Run.resume(run.path).path == run.path
    assert sorted(p.relative_to(run.path) for p in run.path.rglob("*")) == before
    (run.path / "state.pt").unlink()  # killed between the two renames: the one before is left
    assert Run.resume(run.path).resumable


def test_a_stopped_training_is_only_overwritten_when_told(tmp_path: Path):
    run = stopped(tmp_path / "run")
    for refuse in (Run.check_free, Run.start):
        with pytest.raises(RunError, match=r"training that was stopped.*--resume.*overwrite"):
            refuse(run.path)
    assert (run.path / "state.pt").is_file()
    Run.start(run.path, overwrite=True)
    assert [p.name for p in run.path.iterdir()] == ["config.yaml"]


def test_overwriting_a_finished_training_clears_what_it_left(tmp_path: Path):
    run = stopped(tmp_path / "run")
    run.write_weights({"a": np.eye(2, dtype=np.float32)})
    run.write_labels({})
    run.finish({"device": "cpu"})
    assert not run.resumable
    Run.start(run.path, overwrite=True)
    left = {p.name for p in run.path.iterdir()}
    assert not left & {*LOOPED, *LOOPED_FOLDERS, "environment.json"}


def test_what_cannot_be_resumed_says_why(tmp_path: Path):
    with pytest.raises(RunError, match="not a folder"):
        Run.resume(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"config\.yaml and state\.pt missing.*without --resume"):
        Run.resume(tmp_path)
    with pytest.raises(RunError, match="is finished; there is nothing left"):
        Run.resume(make(tmp_path / "done").path)
    begun = Run.start(tmp_path / "begun")
    begun.write_config({})
    with pytest.raises(RunError, match=r"cannot be resumed: state\.pt missing"):
        Run.resume(begun.path)
    assert not begun.resumable
    Run.start(begun.path)  # nothing is lost: it is taken over


def test_environment_of_all_processes():
    facts = [
        {"node": ("a", "0"), "memory": 5, "gpu_memory": 7},
        {"node": ("a", "0"), "memory": 6, "gpu_memory": 9},
        {"node": ("a", "1"), "memory": None, "gpu_memory": None},
    ]
    assert over_processes(facts) == {
        "processes": 3,
        "nodes": 2,
        "peak_memory_bytes": 11,
        "peak_gpu_memory_bytes": 9,
    }
    alone = over_processes([process_facts("cpu")])
    assert alone["processes"] == alone["nodes"] == 1 and alone["peak_gpu_memory_bytes"] is None
    told = describe(
        device="cpu",
        stopwatch=Stopwatch(),
        trainable_parameters=1,
        total_parameters=2,
        extra={**over_processes(facts), "steps": 10},
    )
    assert told["peak_memory_bytes"] == 11 and told["steps"] == 10 and "accelerate" in str(told)


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
