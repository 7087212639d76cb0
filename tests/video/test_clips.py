"""Clips from one sweep: right frames, each decoded once, little memory, damage handled."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actionspace.errors import VideoError
from actionspace.video import clips as clips_module
from actionspace.video.clips import ClipRequest, Policy, iter_clips
from actionspace.video.index import frame_index
from actionspace.video.sweep import SweepStats
from actionspace.video.transform import FrameTransform
from actionspace.video.views import Views
from tests.video import counter
from tests.video.conftest import FRAMES

Make = Callable[[str], Path]
WHOLE = FrameTransform()


def _numbers(frames: np.ndarray) -> list[int]:
    return [counter.read(frame) for frame in frames]


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_dense_windows_share_frames(numbered: Make, mode: str) -> None:
    path, stats = numbered("gop250.mp4"), SweepStats()
    views = Views(frames=32, size=96, short_side=96, geometry="full", resize=mode)  # type: ignore[arg-type]
    requests, _ = views.requests_dense(frame_index(path), 16)
    found = list(iter_clips(path, requests, views.transform(), stats=stats))
    assert [c.key for c in found] == [r.key for r in requests]
    for clip, request in zip(found, requests, strict=True):
        assert clip.frames.shape == (32, 96, 96, 3) and clip.frames.dtype == np.uint8
        assert _numbers(clip.frames) == request.frames.tolist()
    wanted = set(np.concatenate([r.frames for r in requests]).tolist())
    assert stats.converted == len(wanted) <= stats.decoded <= max(wanted) + 1 <= FRAMES
    assert stats.seeks == 0


def test_clips_come_by_their_last_frame_then_as_requested(numbered: Make) -> None:
    frames = {"b": [5, 9], "loop": [0, 200, 3], "a": [5, 9], "one": [2], "back": [8, 7, 7]}
    requests = [ClipRequest(k, np.array(f)) for k, f in frames.items()]
    found = list(iter_clips(numbered("gop30.mp4"), requests, WHOLE))
    assert [c.key for c in found] == ["one", "back", "b", "a", "loop"]
    assert all(_numbers(c.frames) == frames[c.key] for c in found)


def test_boxes_flips_and_sizes(numbered: Make) -> None:
    path, frames = numbered("gop30.mp4"), np.array([7, 8])
    requests = [
        ClipRequest("whole", frames),
        ClipRequest("box", frames, box=(16, 8, 32, 24)),
        ClipRequest("flip", frames, box=(16, 8, 32, 24), flip=True),
        ClipRequest("size", frames, box=(16, 8, 32, 24), size=20),
    ]
    got = {c.key: c.frames for c in iter_clips(path, requests, WHOLE)}
    assert np.array_equal(got["box"], got["whole"][:, 8:32, 16:48])
    assert np.array_equal(got["flip"], got["box"][:, :, ::-1])
    assert got["size"].shape == (2, 20, 20, 3)
    with pytest.raises(VideoError, match="does not lie inside the resized frame of 64 x 48"):
        list(iter_clips(path, [ClipRequest("x", frames, box=(40, 0, 32, 8))], WHOLE))
    with pytest.raises(VideoError, match="clip 'x' asks for frames outside 0 to 299"):
        list(iter_clips(path, [ClipRequest("x", np.array([300]))], WHOLE))


def test_frames_are_freed_when_no_later_clip_needs_them(
    numbered: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    assemble = clips_module._assemble

    def spy(request: ClipRequest, frames: dict[int, np.ndarray]) -> clips_module.Clip:
        held.append(len(frames))
        return assemble(request, frames)

    monkeypatch.setattr(clips_module, "_assemble", spy)
    starts = range(0, FRAMES - 16, 4)
    requests = [ClipRequest(s, s + np.arange(0, 16, 2)) for s in starts]
    assert len(list(iter_clips(numbered("gop250.mp4"), requests, WHOLE))) == len(requests)
    assert max(held) <= 8  # two frames apart, windows of sixteen


def test_crops_are_cut_before_resizing(numbered: Make) -> None:
    path, request = numbered("gop30.mp4"), ClipRequest(0, np.array([1365]) % FRAMES)
    (whole,) = iter_clips(path, [request], WHOLE)
    crop = (16, 0, 40, 32)
    for mode in ("exact", "fast"):
        transform = FrameTransform(short_side=64, mode=mode, crop=crop)  # type: ignore[arg-type]
        (clip,) = iter_clips(path, [request], transform)
        assert clip.frames.shape == (1, 64, 80, 3)
        inside = whole.frames[0, 4:28, 20:52].astype(int)
        small = clip.frames[0, 9:56:2, 9:72:2].astype(int)
        assert np.abs(inside - small).mean() < 12


@pytest.fixture(scope="module")
def half(numbered: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AVI that ends in the middle."""
    data = numbered("mpeg4.avi").read_bytes()
    path = tmp_path_factory.mktemp("half") / "half.avi"
    path.write_bytes(data[: len(data) // 2])
    return path


def _take(path: Path, policy: Policy, stats: SweepStats) -> list[int]:
    requests = [ClipRequest(s, s + np.arange(8)) for s in range(0, len(frame_index(path)) - 8, 8)]
    found = list(iter_clips(path, requests, WHOLE, policy=policy, stats=stats))
    assert all(_numbers(c.frames) == list(range(c.key, c.key + 8)) for c in found)
    return [c.key for c in found]


def test_a_file_that_ends_early_follows_the_policy(half: Path) -> None:
    stats = SweepStats()
    with pytest.raises(VideoError, match=r"half.avi: incomplete: 13\d of 300 frames are there"):
        _take(half, "raise", stats)
    assert _take(half, "skip", stats) == [] and "incomplete" in stats.damage
    stats = SweepStats()
    assert len(_take(half, "partial", stats)) > 10 and "incomplete" in stats.damage


def test_frames_behind_damage_keep_their_numbers(numbered: Make, tmp_path: Path) -> None:
    data = bytearray(numbered("gop30.mp4").read_bytes())
    start = data.index(b"mdat") + len(data) // 3
    data[start : start + 1500] = bytes(1500)
    path = tmp_path / "hole.mp4"
    path.write_bytes(data)
    index, stats = frame_index(path), SweepStats()
    requests = [ClipRequest(n, np.array([n])) for n in range(len(index))]
    found = {
        c.key: counter.read(c.frames[0])
        for c in iter_clips(path, requests, WHOLE, policy="partial", stats=stats)
    }
    assert len(index) == FRAMES and "corrupt" in stats.damage
    assert len(found) + len(stats.dropped) == FRAMES
    wrong = [n for n, seen in found.items() if seen != n]
    assert len(wrong) < 60 and all(found[n] == n for n in range(250, FRAMES))


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    request = [ClipRequest(0, np.array([0]))]
    with pytest.raises(VideoError, match=r"nothing.mp4: there is no such file"):
        list(iter_clips(tmp_path / "nothing.mp4", request, WHOLE))
    with pytest.raises(VideoError, match="this is a folder"):
        list(iter_clips(tmp_path, request, WHOLE))
    stats = SweepStats()
    assert list(iter_clips(tmp_path, request, WHOLE, policy="skip", stats=stats)) == []
    assert "this is a folder" in stats.damage


def test_absurd_sizes_are_refused(numbered: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actionspace.video.reader.MAX_PIXELS", 1000)
    with pytest.raises(VideoError, match=r"gop30.mp4: not one frame can be decoded \(corrupt"):
        frame_index(numbered("gop30.mp4"))


def test_the_time_limit_counts_work_and_not_waiting(numbered: Make) -> None:
    path = numbered("gop30.mp4")
    requests = [ClipRequest(n, np.array([n])) for n in range(100)]
    with pytest.raises(VideoError, match="longer than the time limit of 1e-05 s"):
        list(iter_clips(path, requests, WHOLE, time_limit=1e-5))
    slow = iter_clips(path, requests, WHOLE, time_limit=0.4)
    assert sum(1 for _ in slow if time.sleep(0.008) is None) == 100


def test_files_are_closed_when_the_consumer_stops(numbered: Make) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("open files can be counted on Linux only")
    path = numbered("gop30.mp4")
    requests = [ClipRequest(n, np.array([n])) for n in range(100)]
    before = len(list(descriptors.iterdir()))
    for _ in range(5):
        stopped = iter_clips(path, requests, WHOLE)
        next(stopped)
        stopped.close()  # type: ignore[attr-defined]
    assert len(list(descriptors.iterdir())) == before
