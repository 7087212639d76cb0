"""Every wanted frame, exactly that frame, once, whether by reading on or by seeking."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import VideoError
from actionspace.video.index import FrameIndex, frame_index
from actionspace.video.sweep import SEEK_COST, SweepStats, plan, sweep
from actionspace.video.transform import FrameTransform
from tests.video import counter
from tests.video.conftest import FRAMES, KINDS, TIMES

Make = Callable[[str], Path]
WHOLE = FrameTransform()


def _read(path: Path, wanted: list[int], index: FrameIndex, stats: SweepStats) -> dict[int, int]:
    found = sweep(path, wanted, transform=WHOLE, index=index, stats=stats)
    return {number: counter.read(picture) for number, picture in found}


@pytest.mark.parametrize("name", KINDS)
def test_sweep_and_seek_give_the_frame_asked_for(name: str, numbered: Make) -> None:
    path = numbered(name)
    index = frame_index(path)
    assert len(index) == FRAMES and not index.damage
    stats = SweepStats()
    everything = _read(path, list(range(FRAMES)), index, stats)
    assert everything == {n: n for n in range(FRAMES)}
    assert (stats.decoded, stats.converted, stats.seeks) == (FRAMES, FRAMES, 0)
    rng = np.random.default_rng(1)
    for wanted in ([FRAMES - 1], [FRAMES - 20], [43], [44, 270], *rng.choice(FRAMES, (3, 5))):
        wanted = sorted({int(n) for n in wanted})
        stats = SweepStats()
        assert _read(path, wanted, index, stats) == {n: n for n in wanted}
        assert stats.converted == len(wanted) and not stats.damage
        if name.endswith((".mp4", ".mkv", ".webm")) and name != "intra_refresh.mp4":
            assert stats.decoded <= stats.planned + 2 * stats.seeks


@pytest.mark.parametrize("name", ["gop30.mp4", "open_gop.mkv", "mpeg4.avi", "vp8.webm"])
def test_seeking_gives_the_same_pixels(name: str, numbered: Make) -> None:
    path = numbered(name)
    index = frame_index(path)
    wanted = [47, 130, 131, 269]
    stats = SweepStats()
    sought = dict(sweep(path, wanted, transform=WHOLE, index=index, stats=stats))
    swept = dict(sweep(path, range(FRAMES), transform=WHOLE, index=index, threads=2))
    assert stats.seeks >= 2
    assert all(np.array_equal(sought[n], swept[n]) for n in wanted)


@pytest.mark.parametrize("name", ["gop250.mp4", "gop30.mp4"])
def test_overlapping_wishes_decode_each_frame_once(name: str, numbered: Make) -> None:
    path, stats = numbered(name), SweepStats()
    windows = np.arange(0, 236, 16)[:, None] + np.arange(0, 64, 2)
    got = [n for n, _ in sweep(path, windows.ravel(), transform=WHOLE, stats=stats)]
    assert got == sorted(set(windows.ravel().tolist()))
    assert len(got) <= stats.decoded <= windows.max() + 1 and stats.seeks == 0


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["gop250.mp4", "open_gop.mkv", "intra_refresh.mp4"])
def test_frames_that_nobody_needs_are_left_out(name: str, threads: int, numbered: Make) -> None:
    path = numbered(name)
    everything = dict(sweep(path, range(FRAMES), transform=WHOLE))
    for wanted in (range(0, 200, 4), range(1, 200, 7), [63, 190]):
        stats = SweepStats()
        found = dict(sweep(path, wanted, transform=WHOLE, threads=threads, stats=stats))
        assert list(found) == list(wanted) and not stats.damage
        assert all(np.array_equal(found[n], everything[n]) for n in wanted)
        if name == "gop250.mp4":
            assert stats.decoded < 0.8 * stats.planned


@pytest.mark.parametrize("name", TIMES)
def test_times_are_the_stamps_from_the_first_frame(name: str, numbered: Make) -> None:
    index = frame_index(numbered(name))
    times = np.array(TIMES[name], float) * float(KINDS[name]["unit"])
    assert np.allclose(index.times[:, 0], times - times[0], atol=1e-3)
    assert np.array_equal(index.times[1:, 0], index.times[:-1, 1])
    assert index.times.dtype == np.float64 and (np.diff(index.times, axis=1) > 0).all()
    assert index.frame_at(float(index.times[77].mean())) == 77
    assert index.frames_between(index.times[10, 0], index.times[19, 1]) == (10, 20)


def _remux(source: Path, target: Path, edit: Callable[[int, bytearray], bool]) -> None:
    """Copy packets; ``edit`` may change the data of the n-th and tells whether to keep it."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for n, packet in enumerate(p for p in old.demux(video=0) if p.size):
            data = bytearray(bytes(packet))
            if not edit(n, data):
                continue
            copy = av.Packet(bytes(data))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            new.mux(copy)


@pytest.mark.parametrize("name", ["gop30.mp4", "open_gop.mkv"])
def test_frames_before_the_first_key_frame_do_not_exist(
    name: str, numbered: Make, tmp_path: Path
) -> None:
    path, stats = tmp_path / "cut.mkv", SweepStats()
    _remux(numbered(name), path, lambda n, _: n >= 10)
    index = frame_index(path)
    seen = _read(path, list(range(len(index))), index, stats)
    assert list(seen.values()) == list(range(FRAMES - len(index), FRAMES)) and not stats.damage
    assert stats.decoded == len(index) == FRAMES - 30 and index.times[0, 0] == 0


def test_hidden_reference_frames_are_not_counted(numbered: Make, tmp_path: Path) -> None:
    hidden = {10, 47, 48, 200}
    path = tmp_path / "hidden.webm"

    def hide(n: int, data: bytearray) -> bool:
        if n in hidden:
            data[0] &= ~0x10  # VP8's "show this frame"
        return True

    _remux(numbered("vp8.webm"), path, hide)
    index, stats = frame_index(path), SweepStats()
    shown = [n for n in range(FRAMES) if n not in hidden]
    assert _read(path, list(range(len(index))), index, stats) == dict(enumerate(shown))
    assert len(index) == stats.decoded == len(shown) and not stats.damage


def test_stamps_are_not_trusted_where_they_are_wrong(numbered: Make) -> None:
    by_count = {name: frame_index(numbered(name)).by_count for name in KINDS if ".avi" in name}
    assert by_count == {
        "h264_b_frames.avi": True,
        "mpeg4.avi": False,
        "mpeg4_b_frames.avi": True,
    }


def _index(total: int, keys: list[int]) -> FrameIndex:
    times = np.arange(total + 1) / 25
    return FrameIndex(
        path=Path("made_up.mp4"),
        times=np.stack([times[:-1], times[1:]], axis=1),
        pts=np.arange(total),
        keyframes=np.array(sorted({0, *keys})),
        by_count=False,
        fps=25.0,
        width=64,
        height=48,
    )


@given(st.data())
def test_plan_covers_what_is_wanted_and_seeks_only_where_it_pays(data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 400))
    frame = st.integers(0, total - 1)
    index = _index(total, data.draw(st.lists(frame, max_size=30)))
    wanted = data.draw(st.lists(frame, min_size=1, max_size=40))
    stretches = plan(index, wanted).stretches
    assert np.concatenate([s.wanted for s in stretches]).tolist() == sorted(set(wanted))
    for s in stretches:
        assert s.start in index.keyframes and s.start <= s.wanted[0]
    for before, after in itertools.pairwise(stretches):
        assert after.start - before.wanted[-1] > SEEK_COST


def test_a_frame_outside_is_refused() -> None:
    with pytest.raises(VideoError, match=r"frame 12 is asked for.*frames 0 to 9"):
        plan(_index(10, []), [3, 12])
