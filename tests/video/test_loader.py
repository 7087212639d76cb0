"""Many files through few threads: the same order always, bounded, and nothing hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from actionspace.errors import VideoError
from actionspace.video import loader as loader_module
from actionspace.video.clips import Clip, ClipRequest, Policy
from actionspace.video.index import FrameIndex
from actionspace.video.loader import ClipLoader, Job, JobResult, decode_threads
from actionspace.video.transform import FrameTransform
from tests.video import counter

SMALL = FrameTransform(short_side=48)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("loader")
    return [
        counter.encode(folder / f"{n}.mp4", 20 + 17 * (n % 4), "libx264", gop=12) for n in range(8)
    ]


def _windows(index: FrameIndex) -> list[ClipRequest]:
    return [ClipRequest(s, s + np.arange(4)) for s in range(0, len(index) - 3, 4)]


def _jobs(paths: Sequence[Path]) -> list[Job]:
    return [Job(path.name, path, _windows, SMALL) for path in paths]


def _run(loader: ClipLoader, pause: float = 0.0) -> list[tuple[str, object]]:
    events: list[tuple[str, object]] = []
    with loader:
        for job, item in loader:
            if isinstance(item, JobResult):
                events.append((job.key, item.status))
            else:
                assert [counter.read(f) for f in item.frames] == list(range(item.key, item.key + 4))
                events.append((job.key, item.key))
            time.sleep(pause)
    return events


def test_the_order_does_not_depend_on_threads(videos: list[Path]) -> None:
    expected = _run(ClipLoader(_jobs(videos), workers=1))
    assert [e for e in expected if e[1] == "ok"] == [(p.name, "ok") for p in videos]
    for workers, threads, prefetch, pause in ((2, 1, 1, 0), (4, 2, 3, 0.002), (8, 1, 100, 0)):
        loader = ClipLoader(_jobs(videos), workers=workers, threads=threads, prefetch=prefetch)
        assert _run(loader, pause) == expected
    assert [r.clips for r in loader.results] == [
        sum(1 for e in expected if e[0] == p.name) - 1 for p in videos
    ]


def test_the_buffer_is_bounded(videos: list[Path]) -> None:
    loader = ClipLoader(_jobs(videos), workers=4, prefetch=3)
    most = 0
    with loader:
        for _ in loader:
            time.sleep(0.003)
            most = max(most, loader._buffer.held)
    assert most <= 3 + 4  # beside the clips: at most one result per worker


def _broken(videos: list[Path], folder: Path) -> list[Path]:
    half = folder / "half.avi"
    counter.encode(half, 200, "mpeg4", gop=12)
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    empty = folder / "empty.mp4"
    empty.touch()
    return [videos[0], empty, half, videos[1], folder / "none.mp4"]


@pytest.mark.parametrize(
    ("policy", "statuses"),
    [
        ("skip", ["ok", "skipped", "skipped", "ok", "skipped"]),
        ("partial", ["ok", "skipped", "partial", "ok", "skipped"]),
    ],
)
def test_bad_files_are_listed_with_their_reason(
    videos: list[Path], tmp_path: Path, policy: Policy, statuses: list[str]
) -> None:
    loader = ClipLoader(_jobs(_broken(videos, tmp_path)), policy=policy, workers=2)
    events = _run(loader)
    assert [r.status for r in loader.results] == statuses
    reasons = {r.path.name: r.reason for r in loader.skipped()}
    assert "the file is empty" in reasons["empty.mp4"]
    assert "of 200 frames are there" in reasons["half.avi"]
    assert "no such file" in reasons["none.mp4"]
    clips = sum(1 for key, clip in events if key == "half.avi" and isinstance(clip, int))
    assert (clips > 10) == (policy == "partial")


def test_raise_comes_at_the_turn_of_the_file(videos: list[Path], tmp_path: Path) -> None:
    loader = ClipLoader(_jobs(_broken(videos, tmp_path)), policy="raise", workers=3)
    seen = []
    with pytest.raises(VideoError, match=r"empty.mp4: the file is empty"), loader:
        for job, _ in loader:
            seen.append(job.key)
    assert set(seen) == {"0.mp4"} and loader.results[0].status == "ok"


def test_a_bug_in_the_planning_is_not_swallowed(videos: list[Path]) -> None:
    def wrong(index: FrameIndex) -> list[ClipRequest]:
        raise KeyError("a bug")

    with pytest.raises(KeyError), ClipLoader([Job(0, videos[0], wrong, SMALL)], policy="skip") as x:
        list(x)


def test_the_time_limit_is_per_file(videos: list[Path]) -> None:
    loader = ClipLoader(_jobs(videos[:3]), policy="skip", time_limit=1e-6)
    _run(loader)
    assert [r.status for r in loader.results] == ["skipped"] * 3
    assert all("longer than the time limit" in r.reason for r in loader.results)


def test_a_call_that_never_returns_is_given_up(
    videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_module, "SILENCE", 0.2)
    never = threading.Event()

    def stuck(index: FrameIndex) -> list[ClipRequest]:
        never.wait(30)
        return []

    jobs = [Job("stuck", videos[0], stuck, SMALL), *_jobs(videos[1:3])]
    loader = ClipLoader(jobs, policy="skip", workers=1)
    began = time.monotonic()
    try:
        with loader:
            for _ in loader:
                never.is_set()
            assert [r.status for r in loader.results] == ["skipped", "ok", "ok"]
            assert "has not answered" in loader.results[0].reason
            never.set()
    finally:
        never.set()
    assert time.monotonic() - began < 5


def test_stopping_early_ends_the_threads(videos: list[Path]) -> None:
    with ClipLoader(_jobs(videos), workers=4, prefetch=2) as loader:
        _, item = next(iter(loader))
        assert isinstance(item, Clip)
    assert loader._pool and not any(thread.is_alive() for thread in loader._pool)


def test_waiting_is_measured(videos: list[Path]) -> None:
    def slow(index: FrameIndex) -> list[ClipRequest]:
        time.sleep(0.2)
        return _windows(index)

    waits = ClipLoader([Job(p.name, p, slow, SMALL) for p in videos[:4]], workers=1)
    _run(waits)
    assert waits.wait_seconds > 0.6 and waits.wait_share > 0.5
    busy = ClipLoader(_jobs(videos), prefetch=8)
    _run(busy, pause=0.02)
    assert busy.wait_share < 0.3


def test_a_file_without_requests_is_a_result_only(videos: list[Path]) -> None:
    with ClipLoader([Job(0, videos[0], [], SMALL)]) as loader:
        ((_, only),) = list(loader)
    assert isinstance(only, JobResult) and (only.status, only.clips) == ("ok", 0)


def test_threads_follow_the_machine() -> None:
    assert decode_threads(100, 8) == (8, 1)
    assert decode_threads(1, 8) == (1, 8)
    assert decode_threads(3, 8) == (3, 2)
    assert decode_threads(0, 1) == (1, 1)
    workers, threads = decode_threads(10)
    assert workers >= 1 and threads >= 1
