"""The videos of the demo of alignment: exact truth, varying speed, splits apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.demo import pouring
from actionspace.demo.pouring import ARC, PHASES, Scene, draw_scene
from actionspace.demo.pouring_videos import FPS, LASTING, phase_lengths, pouring_videos, time_warp
from actionspace.video.index import frame_index

SMALL = (64, 48)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actionspace.demo.pouring_videos.SIZE", SMALL)
    monkeypatch.setattr("actionspace.demo.pouring_videos.LASTING", (0.2, 0.6))


@pytest.mark.usefixtures("quick")
def test_phases_cover_each_video_and_last_differently(tmp_path: Path) -> None:
    made = pouring_videos(tmp_path, {"train": 2, "test": 1}, seed=3)
    assert made.videos["split"].tolist() == ["train", "train", "test"]
    assert made.videos["group"].nunique() == 3
    lengths = []
    for video, rows in made.by_video():
        assert rows["phase"].tolist() == list(PHASES)
        assert rows["start"].iloc[0] == 0 and rows["end"].iloc[-1] == video["duration"]
        assert (rows["start"].to_numpy()[1:] == rows["end"].to_numpy()[:-1]).all()
        index = frame_index(made.path(str(video["video"])))
        assert len(index) == round(video["duration"] * FPS)
        assert (index.width, index.height) == SMALL
        lengths.append((rows["end"] - rows["start"]).to_numpy())
    shares = np.array([one / one.sum() for one in lengths])
    assert (np.ptp(shares, axis=0) > 0.02).any(), "no phase is a fixed share of the time"


@pytest.mark.usefixtures("quick")
def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_video(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pouring_videos(tmp_path / name, {"test": 1}, seed=seed)
    a, b, c = ((tmp_path / name / "test_01.mp4").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.usefixtures("quick")
def test_a_video_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    pouring_videos(tmp_path / "one", {"train": 1})
    pouring_videos(tmp_path / "more", {"test": 1, "train": 2})
    one, more = (tmp_path / name / "train_01.mp4" for name in ("one", "more"))
    assert one.read_bytes() == more.read_bytes()


@given(seed=st.integers(0, 10**6), frames=st.integers(1, 200))
def test_time_never_runs_back_and_a_phase_is_played_from_begin_to_end(
    seed: int, frames: int
) -> None:
    done = time_warp(np.random.default_rng(seed), frames)
    assert done.shape == (frames,) and (np.diff(done) >= 0).all()
    assert done[0] >= 0 and done[-1] <= 1
    fine = time_warp(np.random.default_rng(seed), 6000)
    assert fine[0] < 0.02 and fine[-1] > 0.98


def test_speed_varies_within_a_phase_and_between_phases() -> None:
    rng = np.random.default_rng(0)
    speeds = [np.diff(time_warp(rng, 100)) for _ in range(50)]
    assert sum((s < 1e-6).any() for s in speeds) > 15, "pauses"
    assert np.median([s.max() / np.median(s) for s in speeds]) > 1.5
    seconds = np.array([phase_lengths(rng) for _ in range(100)]) / FPS
    assert seconds.min() >= LASTING[0] - 0.02 and seconds.max() <= LASTING[1] + 0.02
    assert (seconds.max(axis=0) / seconds.min(axis=0) > 3).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_cameras_of_the_splits_are_apart(seed: int) -> None:
    pieces = set()
    for split in pouring.SPLITS:
        scene = draw_scene(np.random.default_rng(seed), split, SMALL)
        away = scene.camera.eye - scene.camera.target
        share = (np.arctan2(away[1], away[0]) + np.pi / 2) / ARC + 0.5
        piece = int(share * len(pouring.SPLITS) * pouring.PIECES)
        pieces.add(piece % len(pouring.SPLITS))
    assert pieces == {0, 1}


def test_every_phase_changes_the_picture_and_the_course_ends_elsewhere() -> None:
    rng = np.random.default_rng(1)
    scene = draw_scene(rng, "train", SMALL)

    def shown(phase: int, done: float) -> np.ndarray:
        return quiet(scene).picture(phase, done, np.random.default_rng(0)).astype(int)

    for phase in range(len(PHASES)):
        assert np.abs(shown(phase, 1.0) - shown(phase, 0.0)).mean() > 0.2, PHASES[phase]
        if phase:
            # Only what flows out of the cup is there in one phase alone, and not at its ends.
            assert (shown(phase, 0.0) == shown(phase - 1, 1.0)).all(), PHASES[phase]


def test_the_cup_is_put_back_and_the_glass_is_full() -> None:
    scene = draw_scene(np.random.default_rng(1), "train", SMALL)
    begin, end = scene.things(0, 0.0), scene.things(len(PHASES) - 1, 1.0)
    assert len(end) == len(begin) + 1
    (cup, _, *hand), (cup_then, _, fluid, *hand_then) = begin, end
    for one, then in zip((cup, *hand), (cup_then, *hand_then), strict=True):
        assert np.allclose([one.start, one.end], [then.start, then.end])
    assert cup.start[2] == pytest.approx(0), "it stands on the table"
    level = fluid.end[2] / scene.glass_size[1]
    assert level == pytest.approx(scene.fill, abs=0.05)
    lifted = scene.things(PHASES.index("carry"), 0.0)[0]
    assert lifted.start[2] == pytest.approx(scene.lift)


def quiet(scene: Scene) -> Scene:
    """The same scene without noise."""
    return replace(scene, noise=0.0)
