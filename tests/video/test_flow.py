"""Optical flow: right where the movement is known, the same clips as pictures, exact in storage."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.encoders.encoder import Encoder
from actionspace.encoders.spec import FLOW_SCALE, ClipSpec
from actionspace.errors import UsageError, VideoError
from actionspace.features.content import content_hash
from actionspace.features.extract import extract, views_of
from actionspace.video.clips import ClipRequest, iter_clips
from actionspace.video.flow import FLOWS, Flow, flow_pictures, read_flow, store_flow
from actionspace.video.index import frame_index
from actionspace.video.sweep import SweepStats
from actionspace.video.transform import FrameTransform, crop_resize
from actionspace.video.views import Views
from actionspace.video.write import write_video
from tests.features import tiny

STEP = 40 / 255  # pixels between two stored values
FPS = 10


def _texture(seed: int, size: int = 96) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(size, size, 1)).repeat(3, axis=2)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    low, high = smooth.min(), smooth.max()
    return np.asarray((smooth - low) * (255 / (high - low)), np.uint8)


def _moving(steps: list[tuple[int, int]], seed: int = 0) -> np.ndarray:
    """A texture that moves by (right, down) pixels from each frame to the next."""
    pictures = [_texture(seed)]
    for right, down in steps:
        pictures.append(np.roll(pictures[-1], (down, right), axis=(0, 1)))
    return np.stack(pictures)


def _flow(
    pictures: np.ndarray, wanted: list[int], flow: Flow | None = None
) -> dict[int, np.ndarray]:
    source = (pair for pair in enumerate(pictures))
    asked = np.array(wanted)
    return dict(flow_pictures(source, asked, len(pictures), flow or Flow(), FPS))


@settings(max_examples=25)
@given(
    right=st.integers(-4, 4),
    down=st.integers(-4, 4),
    seed=st.integers(0, 50),
    method=st.sampled_from(FLOWS),
)
def test_a_moving_texture_has_the_flow_it_moves_with(right: int, down: int, seed: int, method: str):
    pictures = _moving([(right, down)], seed)
    inside = read_flow(_flow(pictures, [0], Flow(method))[0])[20:-20, 20:-20]
    found = np.median(inside, axis=(0, 1))
    np.testing.assert_allclose(found, [right, down], atol=0.2 if method == "dis-medium" else 0.6)


@given(st.lists(st.floats(-60, 60, width=32), min_size=2, max_size=40))
def test_stored_flow_is_right_to_half_a_step_and_mirrors_exactly(pixels: list[float]):
    flow = np.array(pixels[: len(pixels) // 2 * 2], np.float32).reshape(1, -1, 2)
    stored = store_flow(flow)
    assert np.abs(read_flow(stored) - np.clip(flow, -20, 20)).max() <= STEP / 2 + 1e-5
    mirrored = crop_resize(stored, None, None, True)
    assert (read_flow(mirrored)[..., 0] == -read_flow(stored)[:, ::-1, 0]).all()
    assert (mirrored[..., 1] == stored[:, ::-1, 1]).all()
    assert (crop_resize(mirrored, None, None, True) == stored).all()


def test_nothing_moves_in_a_constant_video():
    found = read_flow(_flow(_moving([(0, 0)] * 3), [0, 1, 2, 3])[1])
    assert np.abs(found).max() <= STEP / 2 + 1e-5


def test_each_frame_has_the_flow_to_the_next_and_the_last_that_of_the_one_before():
    pictures = _moving([(2, 0), (0, 3), (-4, 0)])
    found = _flow(pictures, [0, 1, 2, 3])
    moved = {
        n: np.median(read_flow(f)[20:-20, 20:-20], axis=(0, 1)).round() for n, f in found.items()
    }
    assert {n: m.tolist() for n, m in moved.items()} == {
        0: [2, 0],
        1: [0, 3],
        2: [-4, 0],
        3: [-4, 0],
    }
    assert list(_flow(pictures, [1])) == [1]
    assert list(_flow(pictures[:1], [0])) == [0]
    assert set(np.unique(_flow(pictures[:1], [0])[0])) == {128}


def test_a_nominal_rate_scales_the_flow_before_it_is_cut_off():
    slow = read_flow(_flow(_moving([(3, 0)]), [0], Flow(fps=FPS / 2))[0])
    assert np.median(slow[20:-20, 20:-20, 0]) == pytest.approx(6, abs=0.2)
    wild = read_flow(_flow(_moving([(6, 0)]), [0], Flow(fps=FPS / 8))[0])
    assert np.median(wild[20:-20, 20:-20, 0]) == 20


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pixels to the right for 12 frames, then three pixels down for 12."""
    path = tmp_path_factory.mktemp("flow") / "moving.mp4"
    pictures = _moving([(2, 0)] * 12 + [(0, 3)] * 12)
    return write_video(path, pictures, FPS, crf=1, gop=8, options={"preset": "ultrafast"})


def test_clips_of_flow_go_through_boxes_flips_and_sizes(video: Path):
    frames, box = np.array([3, 4, 15, 24]), (20, 20, 48, 48)
    requests = [
        ClipRequest("whole", frames),
        ClipRequest("box", frames, box),
        ClipRequest("flip", frames, box, flip=True),
        ClipRequest("size", frames, box, flip=True, size=24),
    ]
    stats = SweepStats()
    transform = FrameTransform(flow=Flow())
    got = {c.key: c.frames for c in iter_clips(video, requests, transform, stats=stats)}
    assert got["whole"].shape == (4, 96, 96, 2) and got["whole"].dtype == np.uint8
    assert (got["box"] == got["whole"][:, 20:68, 20:68]).all()
    assert (got["flip"][..., 0] == 255 - got["box"][:, :, ::-1, 0]).all()
    assert (got["flip"][..., 1] == got["box"][:, :, ::-1, 1]).all()
    assert got["size"].shape == (4, 24, 24, 2)
    moved = np.median(read_flow(got["size"]), axis=(1, 2))
    np.testing.assert_allclose(moved, [[-2, 0], [-2, 0], [0, 3], [0, 3]], atol=0.3)
    assert stats.converted == len({3, 4, 5, 15, 16, 23, 24})  # each frame once


def test_every_window_of_a_dense_grid_has_its_flow(video: Path):
    index = frame_index(video)
    views = Views(4, 2, 32, 32, "full", flow="dis-fast")
    requests, _ = views.requests_dense(index, 3)
    clips = list(iter_clips(video, requests, views.transform(), index=index))
    assert [c.key for c in clips] == [r.key for r in requests]
    assert {c.frames.shape for c in clips} == {(4, 32, 32, 2)}


class _TwoStream(torch.nn.Module):
    """Mean flow in pixels: a flow encoder whose answer is known."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1] == 2 and x.min() >= -1 and x.max() <= 1
        return x.mean(dim=(2, 3, 4)) * 20


def _encoder(**clip: object) -> Encoder:
    spec = ClipSpec(8, 1, 32, 96, FLOW_SCALE, FLOW_SCALE, input="flow", **clip)  # type: ignore[arg-type]
    return Encoder(_TwoStream(), name="mean-flow", dim=2, clip=spec, weights_hash="none")


def test_one_extraction_feeds_a_flow_encoder(video: Path, tmp_path: Path):
    events = tiny.manifest(
        video.parent, [("moving.mp4", 0.0, 1.2, "right"), ("moving.mp4", 1.2, 2.5, "down")]
    )
    store = extract(events, _encoder(), tmp_path / "s", rows="events", progress=False)
    found = store.get("moving.mp4").features
    np.testing.assert_allclose(found, [[2, 0], [0, 3]], atol=0.25)
    assert store.fingerprint["flow"] == "dis-medium"
    views = Views(8, 1, 32, 96)
    with pytest.raises(UsageError, match=r"looks at flow, the views show pictures.*dis-medium"):
        extract(events, _encoder(), tmp_path / "t", views=views, progress=False)
    with pytest.raises(UsageError, match="looks at rgb"):
        views = views_of(_encoder())
        extract(events, tiny.encoder(), tmp_path / "u", views=views, progress=False)


def _flow_folder(root: Path, stored: np.ndarray, fps: int = 25) -> Path:
    """Write flow ``[N, H, W, 2]`` as EPIC-KITCHENS does."""
    for channel, name in enumerate("uv"):
        (root / name).mkdir(parents=True)
        for n, picture in enumerate(stored[..., channel]):
            file = root / name / f"frame_{n + 1:010d}.jpg"
            cv2.imwrite(str(file), picture, [cv2.IMWRITE_JPEG_QUALITY, 100])
    (root / "fps.txt").write_text(f"{fps}\n")
    return root


def test_published_flow_pictures_are_a_video(tmp_path: Path):
    rng = np.random.default_rng(0)
    blocks = rng.integers(40, 215, (30, 6, 8, 2)).astype(np.uint8)
    stored = blocks.repeat(8, axis=1).repeat(8, axis=2)
    folder = _flow_folder(tmp_path / "P01_01", stored)
    index = frame_index(folder)
    assert len(index) == 30 and index.duration == pytest.approx(1.2)
    requests = [ClipRequest("a", np.array([3, 29])), ClipRequest("b", np.array([5]), flip=True)]
    transform = FrameTransform(flow=Flow())
    got = {c.key: c.frames.astype(int) for c in iter_clips(folder, requests, transform)}
    assert np.abs(got["a"] - stored[[3, 29]]).max() <= 3
    assert np.abs(got["b"][0, ..., 0] - (255 - stored[5, :, ::-1, 0].astype(int))).max() <= 3
    assert np.abs(got["b"][0, ..., 1] - stored[5, :, ::-1, 1]).max() <= 3
    events = tiny.manifest(tmp_path, [("P01_01", 0.4, 0.8, "x")])
    store = extract(events, _encoder(), tmp_path / "s", rows="events", progress=False)
    shown = stored[11:19].astype(float) / 127.5 - 1  # the eight pictures in its middle
    expected = 20 * shown[:, 16:32, 24:40].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(store.get("P01_01").features[0], expected, atol=0.4)
    with pytest.raises(VideoError, match="holds optical flow; give it to an encoder of flow"):
        list(iter_clips(folder, requests, FrameTransform()))
    other = _flow_folder(tmp_path / "P01_02", stored[::-1])
    assert content_hash(folder) != content_hash(other)
    (other / "v" / "frame_0000000030.jpg").unlink()
    with pytest.raises(VideoError, match="30 pictures in u and 29 in v"):
        list(iter_clips(other, requests, transform))
    (folder / "u" / "frame_0000000004.jpg").unlink()
    with pytest.raises(VideoError, match="1 of 30 pictures are missing"):
        list(iter_clips(folder, requests, transform))


def test_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UsageError, match=r"'dis-medum' is none of.*Did you mean 'dis-medium'"):
        Flow("dis-medum")
    with pytest.raises(VideoError, match="at least 12 pixels; these have 8 x 8"):
        _flow(_moving([(1, 0)])[:, :8, :8], [0])
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match=r"pip install 'actionspace\[flow\]'"):
        _flow(_moving([(1, 0)]), [0])
