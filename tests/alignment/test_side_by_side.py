from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionspace.alignment import side_by_side
from actionspace.alignment.side_by_side import write_side_by_side
from actionspace.alignment.timemap import time_map
from actionspace.errors import UsageError
from actionspace.video.index import frame_index
from actionspace.video.sweep import SweepStats, sweep
from actionspace.video.transform import FrameTransform
from tests.alignment.warped import FRAMES, SIZES, course, make_videos, track


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("videos"))


def write(folder: Path, out: Path, names: list[str]) -> Path:
    others = [(folder / name, time_map(track("a.mp4"), track(name))) for name in names]
    return write_side_by_side(folder / "a.mp4", others, out, height=64)


def test_all_run_in_step_with_the_first(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[SweepStats] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        counts.append(SweepStats())
        return sweep(*arguments, **options, stats=counts[-1])

    monkeypatch.setattr(side_by_side, "sweep", counted)
    path = write(videos, tmp_path / "o.mp4", ["b.mp4", "c.mp4"])
    for stats, name in zip(counts, FRAMES, strict=True):
        assert stats.decoded <= FRAMES[name]  # each frame at most once
    index, first = frame_index(path), frame_index(videos / "a.mp4")
    np.testing.assert_allclose(index.times, first.times, atol=1e-4)
    tile = index.width // 3
    frames = dict(sweep(path, range(len(index)), transform=FrameTransform()))
    for number, share in list(enumerate(course("a.mp4")))[4:-4:6]:
        for k, name in enumerate(FRAMES):
            width, height = SIZES[name]
            wide = width * min(64 / height, tile / width)
            row = frames[number][32, k * tile : (k + 1) * tile].mean(axis=1)
            bar = np.flatnonzero(row > 150).mean() - (tile - wide) / 2
            there = (share * (width - 8) + 3.5) / width
            assert bar / wide == pytest.approx(there, abs=0.07), (number, name)


def test_more_than_four_go_into_rows(videos: Path, tmp_path: Path) -> None:
    path = write(videos, tmp_path / "o.mp4", ["b.mp4", "c.mp4", "b.mp4", "c.mp4"])
    one, five = (
        frame_index(write(videos, tmp_path / "p.mp4", ["b.mp4", "c.mp4"])),
        frame_index(path),
    )
    assert five.height == 2 * one.height
    assert five.width == one.width // 3 * 4


def test_alone_there_is_nothing_to_run_beside(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_side_by_side(videos / "a.mp4", [], tmp_path / "o.mp4")
    assert not list(tmp_path.iterdir())
