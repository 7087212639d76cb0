"""`search`, `align` and `embed` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import actionspace as A
from actionspace.video.index import frame_index
from tests.alignment.warped import FRAMES, make_store, make_videos
from tests.cli.test_cli import call


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moments")
    make_videos(folder)
    make_store(folder / "store")
    (folder / "phases.csv").write_text(
        "video,start,end,phase\na.mp4,0,1,reach\na.mp4,1,4,pour\n", encoding="utf-8"
    )
    return folder


def test_align_writes_a_folder(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["align", place / "store", *FRAMES, "--root", place, "--out", out]
    assert call(*words, "--labels", place / "phases.csv", "--set", "method=soft_dtw") == 0
    said = capsys.readouterr().out
    assert "b.mp4" in said and str(out) in said
    assert {p.name for p in out.iterdir()} == {
        *("time_map.csv", "curves.csv", "progress.svg", "anomaly.svg", "phases.csv"),
        *("phase_progress.svg", "side_by_side.mp4"),
    }
    assert len(frame_index(out / "side_by_side.mp4")) == FRAMES["a.mp4"]
    curves = pd.read_csv(out / "curves.csv")
    assert curves.groupby("video").size().to_dict() == {"b.mp4": 120, "c.mp4": 60}
    assert curves["progress"].between(0, 1).all() and (curves["anomaly"] >= 0).all()
    # b.mp4 is through the first of two phases where a quarter of the course is over.
    of_b = curves[curves["video"] == "b.mp4"]
    then = of_b["time"][of_b["phase_progress"] >= 0.5].min()
    assert then == pytest.approx(6 * 0.25 ** (1 / 1.7), abs=0.2)
    phases = A.read_events(out / "phases.csv", allow_outside=True)
    assert set(phases.rows["phase"]) == {"reach", "pour"}


def test_align_says_what_is_wrong(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = place / "store"
    assert call("align", store, "a.mp4", "--out", tmp_path / "o") == 2
    assert "one other video" in capsys.readouterr().err
    assert call("align", store, "a.mp4", "d.mp4", "--out", tmp_path / "o") == 1
    assert "d.mp4" in capsys.readouterr().err
    assert call("align", store, "a.mp4", "b.mp4", "--set", "methd=dtw") == 2
    assert "'method'" in capsys.readouterr().err
    assert call("align", store, "a.mp4", "b.mp4", "--set", "method=dwt") == 2
    assert "dtw" in capsys.readouterr().err
    assert call("align", place, "a.mp4", "b.mp4") == 1
    assert "store" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_search_prints_and_draws(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.jpg"
    words = ["search", place / "store", "--query", "a.mp4@2s", "-k", 3, "--root", place]
    assert call(*words, "--sheet", sheet, "--json", "--set", "elsewhere=true") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 3 and sheet.is_file()
    assert {m["video"] for m in found[:2]} == {"b.mp4", "c.mp4"}
    # Half of the course is over there, a frame more or less.
    times = {m["video"]: m["time"] for m in found[:2]}
    np.testing.assert_allclose(times["b.mp4"], 6 * 0.5 ** (1 / 1.7), atol=0.15)
    np.testing.assert_allclose(times["c.mp4"], 3 * 0.5 ** (1 / 0.6), atol=0.15)
    assert call("search", place / "store", "--query", "a.mp4") == 2
    assert "VIDEO@SECONDS" in capsys.readouterr().err
    assert call("search", place / "store", "--query", "a.mp5@2") == 1
    assert "Did you mean 'a.mp4'?" in capsys.readouterr().err


def test_the_verbs_are_functions(place: Path) -> None:
    store = place / "store"
    assert A.search(store, "a.mp4@2", 2)[0].similarity > 0.99
    found = A.align(store, ["a.mp4", "b.mp4"], every=2)
    assert [m.target.name for m in found.forth] == ["b.mp4"]
    assert len(found.forth[0].times) == FRAMES["a.mp4"] / 2
