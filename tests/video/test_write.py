"""Written videos: size, rate, key frames, colours, and nothing half-written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from actionspace.errors import VideoError
from actionspace.video.index import frame_index
from actionspace.video.sweep import sweep
from actionspace.video.transform import FrameTransform
from actionspace.video.write import write_video
from tests.video import counter


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mkv", "libx265", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.mov", "libx264", "yuv444p"),
    ],
)
def test_frames_come_back(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    quick = {
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
        "libx265": {"x265-params": "log-level=none"},
    }
    options = quick.get(codec)
    path = write_video(
        tmp_path / "new" / name,
        counter.frames(20),
        10,
        codec=codec,
        pix_fmt=pix_fmt,
        options=options,
    )
    index = frame_index(path)
    assert (len(index), index.width, index.height) == (20, 64, 48)
    assert index.fps == pytest.approx(10, rel=0.06) and not index.damage
    read = [counter.read(f) for _, f in sweep(path, range(20), transform=FrameTransform())]
    assert read == list(range(20))


def test_key_frames_and_quality(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3), dtype=np.uint8)
    fine = write_video(tmp_path / "f.mp4", noise, 25, crf=10, gop=5)
    coarse = write_video(tmp_path / "c.mp4", noise, 25, crf=40)
    assert np.diff(frame_index(fine).keyframes).max() <= 5
    assert frame_index(coarse).keyframes.tolist() == [0]
    assert fine.stat().st_size > 3 * coarse.stat().st_size


def test_uneven_frames_keep_their_times(tmp_path: Path) -> None:
    ends = np.cumsum([0.04, 0.5, 0.033, 1001 / 30000, 0.1, 0.04, 0.2])
    times = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
    for name, apart in (("a.mp4", 1 / 90_000), ("a.mkv", 1e-3)):
        still = [np.zeros((48, 64, 3), np.uint8)] * 7  # what encoders like to reorder
        path = write_video(tmp_path / name, still, 7 / ends[-1], times=times)
        np.testing.assert_allclose(frame_index(path).times, times, atol=apart)


def test_odd_sizes_are_padded_by_one(tmp_path: Path) -> None:
    path = write_video(tmp_path / "odd.mp4", [np.full((31, 45, 3), 200, np.uint8)] * 3, 25)
    ((_, picture),) = sweep(path, [2], transform=FrameTransform())
    assert picture.shape == (32, 46, 3) and np.abs(picture.astype(int) - 200).max() < 6
    exact = write_video(
        tmp_path / "odd444.mp4", [np.zeros((31, 45, 3), np.uint8)], 25, pix_fmt="yuv444p"
    )
    assert (frame_index(exact).width, frame_index(exact).height) == (45, 31)


def test_wrong_input_leaves_no_file(tmp_path: Path) -> None:
    def breaking() -> Iterator[np.ndarray]:
        yield counter.frame(0)
        yield np.zeros((10, 10, 3), np.uint8)

    with pytest.raises(VideoError, match="there are no frames"):
        write_video(tmp_path / "a.mp4", [], 25)
    with pytest.raises(VideoError, match=r"a frame is uint8 \[10, 10, 3\]"):
        write_video(tmp_path / "a.mp4", breaking(), 25)
    with pytest.raises(VideoError, match="float64"):
        write_video(tmp_path / "a.mp4", [np.zeros((8, 8, 3))], 25)
    with pytest.raises(VideoError, match=r"a\.xyz"):
        write_video(tmp_path / "a.xyz", counter.frames(2), 25)
    with pytest.raises(VideoError, match="codec no_such"):
        write_video(tmp_path / "a.mp4", counter.frames(2), 25, codec="no_such")
    assert list(tmp_path.iterdir()) == []
