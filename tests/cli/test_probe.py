"""`probe` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import actionspace as A
from actionspace.errors import UsageError
from tests.cli.test_cli import call
from tests.recognition import tiny


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    tiny.clips(folder, groups=3).to_csv(folder / "clips.csv")
    return folder


def test_probe_prints_a_leaderboard_and_leaves_a_folder(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = f"{tiny.ENCODER}, starterr"
    told = ["probe", place / "clips.csv", "device=cpu", "--encoder", names]
    assert call(*told, "--heads", "knn,ridge", "--folds", "3") == 0
    out, err = capsys.readouterr()
    assert "mean class" in out and "GMACs" in out and "3 grouped folds" in out
    assert "could not be used: starterr" in err
    where = Path("runs", "probe")
    left = {"leaderboard.csv", "leaderboard.json", "report.html", "parts"}
    assert {p.name for p in where.iterdir()} == left
    command = f"actionspace train linear_probe device=cpu data={place / 'clips.csv'}"
    assert f"Go on: {command} encoder={tiny.ENCODER} folds=3" in out
    assert call(*told, "--heads", "centroid", "--shots", "1,2", "--json") == 0
    board = json.loads(capsys.readouterr().out)
    assert board["folder"] == str(Path("runs", "probe-2"))
    assert [p["shots"] for p in board["few_shot"][0]["points"]] == [1, 2]


def test_probe_says_what_is_wrong(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["probe", place / "clips.csv", "--out", tmp_path / "board"]
    assert call(*told, "--heads", "lineer") == 2
    assert "linear" in capsys.readouterr().err
    assert call(*told, "--encoder", "starterr,swinn3d_t") == 1
    err = capsys.readouterr().err
    assert "starterr" in err and "swinn3d_t" in err
    assert call(*told, "--shots", "few") == 2
    assert "whole numbers" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no recipe of a linear probe"):
        A.probe(place / "clips.csv", recipe="align", out=tmp_path / "board")
