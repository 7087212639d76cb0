"""The train verb: stopped, resumed, and shared by several processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from actionspace.cli import main
from actionspace.training.run import Run
from tests.cli.test_cli import call
from tests.processes import ONE_NODE, torchrun
from tests.recognition import tiny
from tests.recognition.test_head_mode import Stop

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = (
    *("mode=head", f"encoder={tiny.ENCODER}", "device=cpu", "clips.rows=events"),
    *("clips.train={augment: 3, geometry: center, short_side: 40}", "clips.dtype=float32"),
    *("training.epochs=4", "training.batch_size=6", "training.micro_batch_size=3"),
    *("training.optimizer.lr=0.1", "training.tensorboard=false", "evaluation.bootstrap=20"),
    "head.dropout=0",
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six groups of three clips, four of them to train on."""
    root = tmp_path_factory.mktemp("clips")
    events = tiny.clips(root)
    names = {f"g{i}": "train" for i in range(4)} | {"g4": "val", "g5": "test"}
    events.videos["split"] = events.videos["group"].map(names).astype(object)
    events.to_csv(root / "clips.csv")
    return root / "clips.csv"


def test_a_stopped_training_is_found_and_goes_on(
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("train", "linear_probe", f"data={manifest}", "inputs=features", *OPTIONS)
    assert call(*words, "--resume") == 1
    assert "no unfinished training of 'linear_probe'" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        Stop(patch, 5)
        assert call(*words) == 143
    said = capsys.readouterr()
    assert "Stopped by SIGTERM after step 3 of 8" in said.err and "--resume" in said.err
    assert "error:" not in said.err and "Traceback" not in said.err and not said.out
    stopped = Run(Path("runs/linear_probe"))
    assert stopped.resumable
    assert call(*words) == 0  # beside it, not in its place
    assert stopped.resumable
    assert call(*words, "--resume") == 0
    assert "top1_accuracy" in capsys.readouterr().out
    assert (stopped.environment["sessions"], stopped.environment["steps"]) == (2, 8)
    other = Run(Path("runs/linear_probe-2")).weights()
    for name, array in stopped.weights().items():
        np.testing.assert_array_equal(array, other[name])
    assert call(*words, "--resume") == 1
    assert "2 finished" in capsys.readouterr().err
    assert call(*words, "--resume", "--out", stopped.path) == 1
    assert "is finished" in capsys.readouterr().err


def same(one: Run, two: Run) -> None:
    """Two processes came to what one came to."""
    assert two.environment["processes"] == 2
    for name, array in one.weights().items():
        np.testing.assert_allclose(two.weights()[name], array, atol=1e-5)
    assert two.metrics["top1_accuracy"] == one.metrics["top1_accuracy"]


@pytest.mark.slow
def test_torchrun_starts_the_command_line(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", "linear_probe", f"data={manifest}", "inputs=features", *OPTIONS)
    assert call(*words, "--out", tmp_path / "one") == 0
    printed = capsys.readouterr().out
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "actionspace"]
    # The cache is empty: one encodes, the other waits.
    place = {"PYTHONPATH": str(ROOT), "ACTIONSPACE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", *launcher, *map(str, words), "--out", str(tmp_path / "two")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **place},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:-1] == printed.splitlines()[:-1]  # said once; the last is out
    assert done.stderr.count("steps per epoch") == 1
    same(Run(tmp_path / "one"), Run(tmp_path / "two"))


@pytest.mark.slow
def test_two_processes_learn_from_clips_what_one_does(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", "linear_probe", f"data={manifest}", "inputs=clips", *OPTIONS)
    assert call(*words, "--out", tmp_path / "one") == 0
    printed = capsys.readouterr().out
    both = torchrun(tmp_path, ONE_NODE, main, [*map(str, words), "--out", str(tmp_path / "two")])
    assert both.end() == 0, both.err.read_text()
    assert both.out.read_text().splitlines()[:-1] == printed.splitlines()[:-1]
    assert both.err.read_text().count("steps per epoch") == 1
    same(Run(tmp_path / "one"), Run(tmp_path / "two"))


@pytest.mark.slow
def test_if_encoding_fails_nobody_waits(manifest: Path, tmp_path: Path) -> None:
    broken = tmp_path / "clips"
    shutil.copytree(manifest.parent, broken)
    (broken / "still" / "g0_0.mp4").write_bytes(b"not a video")
    words = ("train", "linear_probe", f"data={broken / 'clips.csv'}", "inputs=features", *OPTIONS)
    out = ("clips.policy=raise", "--out", tmp_path / "run")
    both = torchrun(tmp_path, ONE_NODE, main, [*map(str, (*words, *out))])
    assert both.end() > 0
    assert "g0_0.mp4: cannot be opened" in both.err.read_text()
    assert not (tmp_path / "run" / "environment.json").exists()
