"""Tokens in a store: what they are, how they are stored and read, and how large they get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from actionspace.errors import StoreError, UsageError
from actionspace.events.table import Events
from actionspace.features import forward
from actionspace.features.bags import bags
from actionspace.features.extract import extract
from actionspace.features.packing import fits, pack, unpack
from actionspace.features.size import Size
from actionspace.features.store import FeatureStore
from actionspace.features.token_rows import MeanTokens, TokenTimeline, one_vector
from actionspace.features.tokens import pool_tokens, side_of
from actionspace.features.track import Track
from actionspace.video.views import Views
from tests.features.tiny import CLIP, contents, encoder, make_video, manifest


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Events:
    root = tmp_path_factory.mktemp("videos")
    make_video(root / "a.mp4", 30, seed=1)
    make_video(root / "b.mp4", 21, seed=2)
    make_video(root / "short.mp4", 3, seed=3)
    rows = [("a.mp4", 0.2, 1.0, "x"), ("b.mp4", 0.5, 1.5, "y"), ("short.mp4", 0.1, 0.2, "x")]
    return manifest(root, rows)


def run(events: Events, out: Path, **options: Any) -> FeatureStore:
    return extract(events, encoder(), out, progress=False, **options)


def test_pooled_tokens_are_means_in_order_of_time_then_rows() -> None:
    features = torch.arange(2 * 3 * 2 * 4 * 4, dtype=torch.float32).reshape(2, 3, 2, 4, 4)
    time = pool_tokens(features, "time")
    assert torch.equal(time, features.mean(dim=(3, 4)).transpose(1, 2))
    quarters = pool_tokens(features, "2x2")
    assert quarters.shape == (2, 8, 3)
    torch.testing.assert_close(quarters[:, 5], features[:, :, 1, :2, 2:].mean(dim=(2, 3)))
    torch.testing.assert_close(pool_tokens(features, "4x4")[:, 16 + 4], features[:, :, 1, 1, 0])


@pytest.mark.parametrize("name", ["times", "4x3", "0x0", "4", ""])
def test_tokens_that_there_are_not(name: str) -> None:
    with pytest.raises(UsageError, match="neither 'time'"):
        side_of(name)


@pytest.mark.parametrize(("tokens", "count"), [("time", 2), ("2x2", 8)])
def test_a_store_of_tokens(tmp_path: Path, events: Events, tokens: str, count: int) -> None:
    pooled = run(events, tmp_path / "p", dtype="float32")
    store = run(events, tmp_path / "s", dtype="float32", tokens=tokens)
    assert (store.tokens, store.n_tokens, store.dim) == (tokens, count, 8)
    assert (pooled.tokens, pooled.n_tokens) == (None, 1) and "tokens" not in pooled.fingerprint
    found = store.get("a.mp4")
    assert found.features.shape == (7, count, 8) and found.features.std(axis=1).min() > 0
    np.testing.assert_allclose(found.features.mean(1), pooled.get("a.mp4").features, atol=1e-6)
    np.testing.assert_array_equal(found.times, pooled.get("a.mp4").times)
    with pytest.raises(StoreError, match=f"tokens: '{tokens}' there, 'not set' now"):
        run(events, tmp_path / "s", dtype="float32")
    store.export_npy(tmp_path / "npy")
    assert np.load(tmp_path / "npy/a.mp4.npy").shape == (7, count, 8)


def test_views_and_tokens_are_two_axes(tmp_path: Path, events: Events) -> None:
    views = Views(4, 2, 16, 16, clips=3)
    store = run(events, tmp_path / "s", rows="events", views=views, tokens="time", dtype="int8")
    assert store.get("a.mp4").features.shape == (1, 3, 2, 8) and store.n_views == 3
    kept, mean = bags(events, store, tokens=True), bags(events, store)
    assert kept.features.shape == (9, 2, 8) and mean.features.shape == (9, 8)
    np.testing.assert_allclose(kept.features.mean(1), mean.features, atol=1e-6)
    assert kept.size.tolist() == mean.size.tolist() == [3, 3, 3]


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_interrupted_in_parts_gives_the_same_bytes(
    tmp_path: Path, events: Events, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"batch_size": 2, "dtype": dtype, "tokens": "2x2"}
    run(events, tmp_path / "s", **options)
    calls: list[int] = []
    real = forward.Forward.__call__

    def interrupted(self: forward.Forward, clips: np.ndarray, seed: int) -> np.ndarray:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(len(clips))
        return real(self, clips, seed)

    with monkeypatch.context() as patch:
        patch.setattr(forward.Forward, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(events, tmp_path / "t", part_seconds=0, **options)
    assert list((tmp_path / "t/parts").glob("*/*.safetensors"))
    store = run(events, tmp_path / "t", **options)
    assert contents(tmp_path / "s") == contents(tmp_path / "t")
    assert store.get("a.mp4").features.dtype == np.float16


VECTORS = arrays.arrays(
    np.float32, (3, 5), elements=st.floats(-60000, 60000, width=32, allow_subnormal=False)
)


@given(VECTORS, st.integers(-20, 0))
def test_int8_is_as_close_as_stated(values: np.ndarray, power: int) -> None:
    values = values * np.float32(2.0**power)
    packed = pack(values, "int8")
    assert packed["features"].dtype == np.int8 and packed["scale"].shape == (3,)
    assert fits(packed).all()
    error = np.abs(unpack(packed).astype(np.float64) - values).max(axis=1)
    assert (error <= np.abs(values).max(axis=1) / 225 + 6e-8).all()


def test_what_does_not_fit_is_told() -> None:
    values = np.array([[1, 2], [1e6, 0], [np.nan, 0], [np.inf, 1]], np.float32)
    for dtype, fit in (
        ("int8", [1, 0, 0, 0]),
        ("float16", [1, 0, 0, 0]),
        ("float32", [1, 1, 0, 0]),
    ):
        assert fits(pack(values, dtype)).tolist() == [bool(f) for f in fit]


def test_the_size_is_told_and_a_large_one_refused(
    tmp_path: Path, events: Events, capsys: pytest.CaptureFixture[str]
) -> None:
    size = Size(2000, 8, 1024, "float16")
    assert str(size) == "2,000 clips × 8 tokens × 1,024 × 2 bytes = 33 MB"
    assert "(1,024 + 2) bytes = 16 MB" in str(Size(2000, 8, 1024, "int8"))
    store = extract(events, encoder(), tmp_path / "s", tokens="time")
    assert store.summary is not None
    stored = sum(store.get(v).features.size for v in store.videos())
    said = f"{store.summary.clips} clips × 2 tokens × 8 × 2 bytes = {stored * 2} bytes"
    assert said in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"more than 1e-07 GB: 13 clips.*limit_gb=1\."):
        run(events, tmp_path / "t", tokens="time", limit_gb=1e-7)
    assert not (tmp_path / "t/store.json").exists()
    run(events, tmp_path / "t", limit_gb=1e-7)  # pooled features are not limited


def test_more_places_than_the_encoder_has(tmp_path: Path, events: Events) -> None:
    with pytest.raises(UsageError, match=r"encoder 'tiny' has: 2x2 at 16 pixels"):
        run(events, tmp_path / "s", tokens="3x3")


def test_mean_of_tokens_is_what_readers_of_one_vector_see(tmp_path: Path, events: Events) -> None:
    store = run(events, tmp_path / "s", tokens="2x2")
    mean = one_vector(store)
    assert isinstance(mean, MeanTokens) and mean.get("a.mp4").features.shape == (7, 8)
    assert mean.fingerprint == run(events, tmp_path / "p").fingerprint
    assert isinstance(one_vector(store, timeline=True), MeanTokens)  # its clips overlap
    with pytest.raises(StoreError, match="Extract with rows=dense hop=8"):
        TokenTimeline(store)
    pooled = run(events, tmp_path / "p")
    assert one_vector(pooled) is pooled
    track = Track.of_features("a.mp4", store.get("a.mp4"))
    np.testing.assert_allclose(track.embeddings, mean.get("a.mp4").features, atol=1e-6)


@pytest.mark.parametrize("fps", [None, 5.0])
def test_time_steps_as_rows(tmp_path: Path, events: Events, fps: float | None) -> None:
    views = Views(4, 2, 16, 16, fps=fps)
    store = run(events, tmp_path / "s", tokens="2x2", hop=CLIP.span, views=views)
    found = one_vector(store, timeline=True)
    assert isinstance(found, TokenTimeline) and found.rows == "dense"
    step = 4 / (fps or 10.0)  # frames of a token at 10 per second
    for video, seconds in (("a.mp4", 3.0), ("b.mp4", 2.1), ("short.mp4", 0.3)):
        rows = found.get(video)
        starts = np.arange(np.ceil(seconds / step - 1e-9)) * step
        np.testing.assert_allclose(rows.times[:, 0], starts, atol=1e-6)
        np.testing.assert_allclose(rows.times[:, 1], np.minimum(starts + step, seconds), atol=1e-6)
        assert rows.features.shape == (len(starts), 8)
    tokens = store.get("a.mp4").features.astype(np.float32)
    np.testing.assert_allclose(found.get("a.mp4").features[1], tokens[0, 4:].mean(0), atol=1e-6)
