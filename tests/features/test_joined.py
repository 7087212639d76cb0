"""Features side by side, listed in a manifest, fewer or rescaled rows, named grids."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import StoreError, UsageError
from actionspace.events.table import Events
from actionspace.features.extract import extract
from actionspace.features.foreign import open_features
from actionspace.features.joined import JoinedFeatures, durations_of, listed_features
from actionspace.features.presets import PRESETS, grid_preset
from actionspace.features.resample import every, fixed_length
from actionspace.features.store import FeatureStore, VideoFeatures
from actionspace.video.views import Views
from tests.features.tiny import encoder, make_video, manifest


def rows(n: int, dim: int = 2, stride: float = 16, window: float = 16) -> VideoFeatures:
    values = np.random.default_rng(n).normal(size=(n, dim)).astype(np.float32)
    start = np.arange(n) * stride
    return VideoFeatures(values, np.stack([start, start + window], axis=1) / 30)


def folders(tmp_path: Path, *lengths: int) -> JoinedFeatures:
    parts = []
    for k, n in enumerate(lengths):
        (tmp_path / str(k)).mkdir()
        np.save(tmp_path / str(k) / "a.npy", rows(n, k + 2).features)
        if k == 0:
            np.save(tmp_path / "0" / "b.npy", rows(n).features)
        parts.append(open_features(tmp_path / str(k), stride=16, window=32, fps=30))
    return JoinedFeatures(parts)


def test_channels_lie_one_after_the_other(tmp_path: Path) -> None:
    joined = folders(tmp_path, 25, 25)
    assert joined.videos() == ["a"] and "a.mp4" in joined and "b" not in joined
    assert (joined.dim, joined.dims, len(joined)) == (5, (2, 3), 1)
    found = joined.get("a")
    np.testing.assert_array_equal(found.features[:, 2:], joined.parts[1].get("a").features)
    np.testing.assert_array_equal(found.times, joined.parts[0].get("a").times)
    assert joined.fingerprint["parts"][1]["dim"] == 3 and joined.skipped() == {}


def test_a_row_more_is_cut_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    joined = folders(tmp_path, 26, 25)
    with caplog.at_level(logging.WARNING, "actionspace"):
        assert len(joined.get("a")) == len(joined.get("a").features) == 25
    assert caplog.text.count("features of [26, 25] rows are cut to 25") == 1


def test_features_of_other_grids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has 50 and 25 rows"):
        folders(tmp_path, 50, 25).get("a")
    one, two = (open_features(tmp_path / "0", stride=s, fps=30) for s in (16, 17))
    with pytest.raises(StoreError, match=r"begin up to 1\.63 s beside"):
        JoinedFeatures([one, two]).get("a")


def test_features_listed_in_a_manifest(tmp_path: Path) -> None:
    folders(tmp_path, 25, 25)
    videos = [{"video": "x/v.mp4", "features": "0/a.npy; 1/a.npy", "fps": 15, "duration": 9}]
    events = Events.from_frames([{"video": "x/v.mp4", "label": "y"}], videos, tmp_path)
    found = listed_features(events, stride=16, window=32)
    assert found.dim == 5 and "x/v.mp4" in found
    np.testing.assert_allclose(found.get("x/v.mp4").times[1], [16 / 15, 48 / 15])
    evenly = listed_features(events, duration=durations_of(events)).get("x/v.mp4")
    np.testing.assert_allclose(evenly.times[-1], [9 * 24 / 25, 9])

    def refuse(features: str | None, match: str) -> None:
        changed = [{**videos[0], "features": features}]
        with pytest.raises(StoreError, match=match):
            listed_features(Events.from_frames(events.rows, changed, tmp_path), stride=16)

    refuse(None, "lists no features")
    refuse("0/c.npy", r"0/c\.npy of 'x/v\.mp4' do not exist")
    refuse("../a.npy", "lie outside")
    refuse("/a.npy", "lie outside")
    more = [{"video": "w", "features": "0/b.npy"}, *videos]
    with pytest.raises(StoreError, match="'w' has fewer files"):
        listed_features(
            Events.from_frames([{"video": "w", "label": "y"}], more, tmp_path), stride=1
        )


def test_offset_and_names_with_a_prefix(tmp_path: Path) -> None:
    np.save(tmp_path / "v_a.npy", rows(3).features)
    found = open_features(tmp_path, stride=4, window=8, fps=10, offset=2, prefix="v_")
    np.testing.assert_allclose(found.get("clips/v_a.mp4").times[:2], [[0.2, 1.0], [0.6, 1.4]])
    assert "a" in found and "b" not in found


@given(st.integers(1, 40), st.integers(1, 50))
def test_fixed_length_is_torchs_interpolation(before: int, after: int) -> None:
    found = rows(before)
    ours = fixed_length(found, after)
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(found.features.T)[None], size=after, mode="linear", align_corners=False
    )[0].T
    np.testing.assert_allclose(ours.features, wanted.numpy(), atol=1e-5)
    assert ours.features.dtype == np.float32 and len(ours) == after
    span = ours.times[-1, 1] - ours.times[0, 0]
    assert span == pytest.approx(found.times[-1, 1] - found.times[0, 0])
    np.testing.assert_allclose(np.diff(ours.times, axis=1), span / after)


def test_every_row_covers_what_it_covered() -> None:
    found = rows(7)
    ours = every(found, 3)
    np.testing.assert_array_equal(ours.features, found.features[[0, 3, 6]])
    np.testing.assert_array_equal(ours.times, found.times[[0, 3, 6]])
    assert every(found, 1) is found


def test_presets_are_the_grids_of_the_published_features(tmp_path: Path) -> None:
    # Seconds between rows as the published features have them.
    seconds = {"activitynet13_tsp": 1.067, "activitynet13_i3d": 0.64, "epic100_slowfast": 0.533}
    for name, step in {**seconds, "ego4d": 1 / 1.875}.items():
        preset = grid_preset(name)
        assert preset.fps is not None and preset.hop / preset.fps == pytest.approx(step, abs=1e-3)
    views = PRESETS["thumos14_i3d"].views(Views(size=112, fps=3, stride=5))
    assert (views.frames, views.stride, views.fps, views.size) == (16, 1, None, 112)
    with pytest.raises(UsageError, match="Did you mean 'thumos14_i3d'"):
        grid_preset("thumos_i3d")
    make_video(tmp_path / "a.mp4", 60)
    events = manifest(tmp_path, [("a.mp4", 0, 1, "x")])
    store = extract(events, encoder(), tmp_path / "s", preset="thumos14_i3d", progress=False)
    assert isinstance(store, FeatureStore)
    times = store.get("a.mp4").times
    np.testing.assert_allclose(times[:2], [[0, 1.6], [0.4, 2.0]])
    assert (store.fingerprint["frames"], store.fingerprint["hop"]) == (16, 4)
    for options in ({"hop": 2}, {"rows": "events"}):
        with pytest.raises(UsageError, match="leave out hop= and rows="):
            extract(events, encoder(), tmp_path / "t", preset="ego4d", **options)  # type: ignore[arg-type]
