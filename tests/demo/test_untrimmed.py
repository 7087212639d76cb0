"""The demo's untrimmed video: real bouts, exact truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from actionspace.demo import copy_clips
from actionspace.demo.untrimmed import FPS, bouts, join_bouts
from actionspace.errors import ActionspaceError
from actionspace.events import io
from actionspace.video.inspect import inspect


@pytest.mark.parametrize("seed", range(5))
def test_bouts_hold_two_to_six_clips_of_one_class_and_session(seed: int, tmp_path: Path) -> None:
    clips = io.read(copy_clips(tmp_path / "clips")).select(split="test")
    table = clips.rows.merge(clips.videos[["video", "group"]], on="video")
    found = bouts(table, seed)
    for bout in found:
        assert 2 <= len(bout) <= 6
        assert bout["label"].nunique() == bout["group"].nunique() == 1
        assert bout["video"].is_monotonic_increasing
    used = [v for bout in found for v in bout["video"]]
    assert len(used) == len(set(used))
    assert {b["label"].iloc[0] for b in found} == set(table["label"])


def test_the_truth_is_exact(tmp_path: Path) -> None:
    clips = io.read(copy_clips(tmp_path / "clips")).select(split="test")
    few = clips.select(videos=[v for v in clips.videos["video"] if "rearing" in v][:6])
    truth = join_bouts(few, tmp_path / "out")
    info = inspect(tmp_path / "out" / "untrimmed.mp4")
    assert info.verdict == "ok"
    assert info.frames % 16 == 0
    assert truth.rows["start"].iloc[0] == 0
    assert truth.rows["end"].iloc[-1] == pytest.approx(info.frames / FPS)
    assert (truth.rows["start"].iloc[1:].to_numpy() == truth.rows["end"].iloc[:-1]).all()


def test_other_peoples_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ActionspaceError, match="holds other files"):
        copy_clips(tmp_path)
