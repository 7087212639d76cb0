"""The command line: answers, exit codes, and messages instead of tracebacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from actionspace.cli import main
from actionspace.demo import copy_clips
from tests.recognition import tiny


def call(*words: str | Path) -> int:
    """Run the command line in this process and return its exit code."""
    try:
        main([str(w) for w in words])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return copy_clips(tmp_path / "clips")


def test_wrong_usage_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("trian") == 2
    assert "train" in capsys.readouterr().err
    assert call("list", "encodrs") == 2
    assert "Did you mean 'encoders'?" in capsys.readouterr().err
    assert call() == 2


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert call("train", "--help") == 0
    assert "RECIPE" in capsys.readouterr().out.upper()


def test_unknown_recipe_key_and_option(capsys: pytest.CaptureFixture[str], clips: Path) -> None:
    assert call("train", "linear_prob", f"data={clips}") == 2
    assert "Did you mean 'linear_probe'?" in capsys.readouterr().err
    assert call("train", "linear_probe", f"data={clips}", "hed.column=label") == 2
    assert "'hed'" in capsys.readouterr().err
    assert call("extract", clips, "hopp=8") == 2
    assert "Did you mean 'hop'?" in capsys.readouterr().err
    assert call("extract", clips, "--encoder", "startr") == 2
    assert "Did you mean 'starter'?" in capsys.readouterr().err


def test_train_without_data_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call("train", "linear_probe", "--out", tmp_path / "run") == 2
    assert "data=" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_what_is_no_run_is_refused(
    verb: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, clips: Path
) -> None:
    assert call(verb, tmp_path / "none", *([clips] if verb == "predict" else [])) == 1
    error = capsys.readouterr().err
    assert "error:" in error and "Traceback" not in error


def test_check_finds_and_exits_1(capsys: pytest.CaptureFixture[str], clips: Path) -> None:
    assert call("check", clips, "--fast") == 0
    text = clips.read_text().replace("grooming,", "groming,", 1).splitlines()
    text.append("missing/clip.mp4,grooming,train,x")
    clips.write_text("\n".join(text) + "\n")
    capsys.readouterr()
    assert call("check", clips, "--json") == 1
    findings = json.loads(capsys.readouterr().out)
    assert any("groming" in f["message"] for f in findings)
    assert any(f["row"] == len(text) for f in findings)


def test_check_of_a_recipe(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call("check", "linear_probe") == 0
    own = tmp_path / "mine.yaml"
    own.write_text("encoder: startr\n")
    assert call("check", own) == 1
    assert "Did you mean 'starter'?" in capsys.readouterr().out
    own.write_text("encodr: starter\n")
    assert call("check", own) == 1
    assert call("check", "no_such_thing") == 2


def test_inspect_json_and_exit_code(capsys: pytest.CaptureFixture[str], clips: Path) -> None:
    video = next(clips.parent.rglob("*.mp4"))
    assert call("inspect", video, "--json") == 0
    facts = json.loads(capsys.readouterr().out)[0]
    assert (facts["frames"], facts["width"], facts["height"]) == (16, 480, 270)
    empty = clips.parent / "empty.mp4"
    empty.touch()
    assert call("inspect", empty) == 1
    assert "empty" in capsys.readouterr().out


def test_events_there_and_back(capsys: pytest.CaptureFixture[str], clips: Path) -> None:
    target = clips.parent / "all.json"
    assert call("events", clips, target, "--to", "activitynet") in (0, 1)
    split = clips.parent / "mine.csv"
    assert call("split", clips, "--ratio", "60:20:20", "--out", split) == 0
    assert "test" in split.read_text()
    assert call("split", clips, "--folds", "3") == 0
    written = capsys.readouterr().out.split()
    folds = [line for line in written if "_fold" in line]
    assert len(folds) == 3
    assert all(call("check", fold, "--fast") == 0 for fold in folds)
    assert call("split", clips, "--ratio", "many") == 2


def test_lists_and_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("encoders", "recipes", "datasets", "weights"):
        assert call("list", what) == 0
        assert call("list", what, "--json") == 0
    capsys.readouterr()
    assert call("list", "encoders", "start*") == 0
    assert "starter" in capsys.readouterr().out
    assert call("doctor") == 0
    assert "PyAV" in capsys.readouterr().out


def test_convert_refuses_what_is_no_checkpoint(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.pth"
    bad.write_bytes(b"not a checkpoint")
    assert call("convert", bad) == 1
    assert "error:" in capsys.readouterr().err
    assert not bad.with_suffix(".safetensors").exists()


@pytest.mark.slow
def test_from_clips_to_a_run_and_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, clips: Path
) -> None:
    run = tmp_path / "run"
    fast = [f"encoder={tiny.ENCODER}", "evaluation.bootstrap=50"]
    assert call("train", "linear_probe", f"data={clips}", *fast, "--out", run) == 0
    first = json.loads((run / "metrics.json").read_text())
    capsys.readouterr()
    assert call("evaluate", run, "--split", "test", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["top1_accuracy"] == first["top1_accuracy"]
    # `predict` then `evaluate` on its folder equals `evaluate RUN`.
    out = tmp_path / "predictions"
    test = tmp_path / "clips" / "test.csv"
    lines = clips.read_text().splitlines()
    test.write_text("\n".join([lines[0], *(r for r in lines if ",test," in r)]) + "\n")
    assert call("predict", run, test, "--out", out) == 0
    capsys.readouterr()
    assert call("evaluate", out, "--json") == 0
    scored = json.loads(capsys.readouterr().out)
    for name in ("top1_accuracy", "mean_class_accuracy", "macro_f1"):
        assert scored[name] == first[name]
    assert call("report", run, out) == 0
    assert call("train", "linear_probe", f"data={clips}", *fast, "--out", run) == 1
    assert "already holds a finished run" in capsys.readouterr().err
    moved = tmp_path / "elsewhere"
    shutil.move(run, moved)
    video = next((clips.parent / "grooming").glob("*.mp4"))
    assert call("predict", moved, video, "--out", tmp_path / "one.csv", "--overlay") == 0
    assert "label" in (tmp_path / "one.csv").read_text()
    assert (tmp_path / video.name).with_suffix(".overlay.mp4").is_file()


def test_an_interruption_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from actionspace import api

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "doctor", stopped)
    assert call("doctor") == 130
    assert "run the same command again" in capsys.readouterr().err
