"""Every awkward real file ends as frames or as a named error, in both resize modes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actionspace.errors import VideoError
from actionspace.video.clips import iter_clips
from actionspace.video.index import frame_index
from actionspace.video.sweep import SweepStats, sweep
from actionspace.video.transform import FrameTransform
from actionspace.video.views import Views
from tests.conftest import SHARED

FOLDER = SHARED / "data" / "awkward"
FILES = sorted(p for p in FOLDER.rglob("*") if p.is_file() and p.suffix not in ("", ".md"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_clips_or_a_named_error(path: Path, mode: str) -> None:
    views = Views(frames=4, stride=3, size=32, short_side=32, resize=mode)  # type: ignore[arg-type]
    stats = SweepStats()
    try:
        index = frame_index(path)
        requests = views.requests_for_interval(index, float("nan"), float("nan"))
        (clip,) = iter_clips(path, requests, views.transform(), index=index, stats=stats)
    except VideoError as e:
        assert str(path) in str(e) and path.name in ("zero_bytes.webm", "corrupted.mp4")
        return
    assert clip.frames.shape == (4, 32, 32, 3) and not stats.damage
    assert len(set(requests[0].frames.tolist())) == stats.converted
    # Some are of one colour (or nearly); every other one must show a picture.
    flat = ("bitmap", "dash", "frame_exceeds", "mpeg4.mp4", "unordered", "no_duration")
    assert clip.frames.std() > 3 or any(word in path.name for word in flat)


def test_there_were_files(shared_data: Path) -> None:
    assert len(FILES) > 50


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_rotated_video_is_shown_upright(shared_data: Path, mode: str) -> None:
    path = shared_data / "awkward" / "torchcodec" / "nasa_13013_rotated.mp4"
    transform = FrameTransform(short_side=90, mode=mode)  # type: ignore[arg-type]
    index = frame_index(path)
    ((_, picture),) = sweep(path, [0], transform=transform, index=index)
    assert (index.width, index.height, index.rotation) == (270, 480, 90)
    assert picture.shape == (160, 90, 3)
    reference = shared_data / "awkward" / "torchcodec" / "nasa_13013.mp4"
    assert frame_index(reference).rotation == 0


@pytest.mark.parametrize("mode", ["exact", "fast"])
@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_rotation_turns_counter_clockwise(tmp_path: Path, rotation: int, mode: str) -> None:
    from actionspace.video.write import write_video

    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:16, :16] = 255  # a mark at the top left
    path = write_video(tmp_path / "r.mp4", [stored] * 3, 25, rotation=rotation)
    transform = FrameTransform(short_side=24, mode=mode)  # type: ignore[arg-type]
    ((_, picture),) = sweep(path, [1], transform=transform)
    expected = np.rot90(stored, rotation // 90)[::2, ::2]
    assert picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected).mean() < 3
