"""Clip sampling, geometry and pixels of the original UAS / Video Swin pipelines."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionspace.video import sample, transform
from tests.conftest import golden_dirs

Json = dict[str, Any]


def _first(name: str) -> Path | None:
    return next((d / "uas" / name for d in golden_dirs() if (d / "uas" / name).is_file()), None)


def _geometry(section: str) -> list[Any]:
    path = _first("sampling_and_geometry.json")
    reason = f"uas/sampling_and_geometry.json has no {section}, or is absent"
    found = json.loads(path.read_text()).get(section, []) if path else []
    cases = found["cases"] if isinstance(found, dict) else found
    if not cases:
        return [
            pytest.param(None, id=f"uas-{section}-absent", marks=pytest.mark.skip(reason=reason))
        ]
    return [pytest.param(case, id=f"uas-{section}-{i}") for i, case in enumerate(cases)]


@pytest.fixture(scope="module")
def pixels() -> dict[str, np.ndarray]:
    path = _first("pipeline.safetensors")
    if path is None:
        pytest.skip("uas/pipeline.safetensors is absent")
    from safetensors.numpy import load_file

    return load_file(path)


@pytest.mark.parametrize("case", _geometry("rescale_size"))
def test_rescale_size(case: Json) -> None:
    assert list(transform.rescale_size(*case["wh"], case["short"])) == case["out"]


@pytest.mark.parametrize("case", _geometry("sample_frames_test"))
def test_test_clips(case: Json) -> None:
    total, frames, stride = case["total_frames"], case["clip_len"], case["frame_interval"]
    offsets = sample.test_offsets(total, frames, stride, case["num_clips"])
    clips = [
        sample.clip_indices(int(o), frames, stride, total, case["out_of_bound"]) for o in offsets
    ]
    indices = np.concatenate(clips)
    assert [int(clip[0]) for clip in clips] == case["first_per_clip"]
    assert (int(indices.sum()), int(indices[-1])) == (case["sum"], case["last"])
    if case["inds"] is not None:
        assert indices.tolist() == case["inds"]


@pytest.mark.parametrize("case", _geometry("sample_frames_train_ranges"))
def test_train_offsets(case: Json) -> None:
    total, frames, stride = case["total_frames"], case["clip_len"], case["frame_interval"]
    rng = np.random.default_rng(0)
    draws = np.array(
        [sample.train_offsets(total, frames, stride, rng, case["num_clips"]) for _ in range(2000)]
    )
    # The file holds the extremes of the original's own draws: ours must reach about as far.
    low, high = np.array(case["min_offset"]), np.array(case["max_offset"])
    slack = np.maximum(3, (high - low) // 20)
    assert (np.abs(draws.min(0) - low) <= slack).all()
    assert (np.abs(draws.max(0) - high) <= slack).all()
    if case["theoretical_range_single"] is not None:
        assert draws.min() >= case["theoretical_range_single"][0]
        assert draws.max() <= case["theoretical_range_single"][1]


@pytest.mark.parametrize("case", _geometry("sample_frames_uniform_test"))
def test_segment_sampling(case: Json) -> None:
    assert sample.segment_indices(case["total_frames"], case["clip_len"]).tolist() == case["inds"]


@pytest.mark.parametrize("case", _geometry("center_crop"))
def test_center_crop(case: Json) -> None:
    height, width = case["hw"]
    box = transform.center_box(width, height, case["crop"])
    assert list(box) == [*case["left_top"], case["crop"], case["crop"]]


@pytest.mark.parametrize("case", _geometry("three_crop"))
def test_three_crops(case: Json) -> None:
    height, width = case["hw"]
    boxes = transform.three_boxes(width, height, case["crop"])
    assert [list(box[:2]) for box in boxes] == case["xy"]
    assert {box[2:] for box in boxes} == {(case["crop"], case["crop"])}


class LegacyDraws:
    """The original's two generators: numpy's for the shape, Python's for the place."""

    def __init__(self, seed: int) -> None:
        self.shape = np.random.RandomState(seed)
        self.place = random.Random(seed)

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        return self.shape.uniform(low, high, size=size)

    def integers(self, low: int, high: int) -> int:
        return self.place.randint(low, high - 1)


@pytest.mark.parametrize("case", _geometry("random_resized_crop"))
def test_random_resized_crop(case: Json) -> None:
    height, width = case["img_hw"]
    x, y, w, h = transform.random_resized_box(width, height, LegacyDraws(case["seed"]))
    assert [x, y, x + w, y + h] == case["bbox"]


def _views(
    frames: np.ndarray, short: int, indices: np.ndarray, boxes: str, size: int
) -> np.ndarray:
    """Return float32 views ``[crops, 3, T, size, size]`` of the frames at ``indices``."""
    height, width = frames.shape[1:3]
    resized = [
        transform.resize_bilinear(frames[i], *transform.rescale_size(width, height, short))
        for i in indices
    ]
    h, w = resized[0].shape[:2]
    places = (
        transform.three_boxes(w, h, size)
        if boxes == "three"
        else [transform.center_box(w, h, size)]
    )
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    return np.stack(
        [
            transform.normalize(
                np.stack([transform.crop_resize(f, box, None, False) for f in resized]), mean, std
            )
            for box in places
        ]
    )


@pytest.mark.parametrize("key", ["resize_32x32_uint8", "resize_short40_uint8"])
def test_resize_is_within_one_level(pixels: dict[str, np.ndarray], key: str) -> None:
    expected = pixels[key]
    height, width = expected.shape[:2]
    ours = transform.resize_bilinear(pixels["frames"][0], width, height)
    assert np.abs(ours.astype(int) - expected).max() <= 1


def test_flip(pixels: dict[str, np.ndarray]) -> None:
    ours = transform.crop_resize(pixels["frames"][0], None, None, True)
    assert np.array_equal(ours, pixels["flip_uint8"])


def test_val_view(pixels: dict[str, np.ndarray]) -> None:
    frames = pixels["frames"]
    offset = sample.test_offsets(len(frames), 8, 2, 1)
    indices = sample.clip_indices(int(offset[0]), 8, 2, len(frames))
    assert np.array_equal(indices, pixels["val_frame_inds"])
    ours = _views(frames, 40, indices, "center", 32)
    assert np.abs(ours - pixels["val_out"]).max() <= 0.02


def test_test_views_are_crop_major_then_clip(pixels: dict[str, np.ndarray]) -> None:
    frames = pixels["frames"]
    offsets = sample.test_offsets(len(frames), 8, 1, 2)
    clips = [sample.clip_indices(int(o), 8, 1, len(frames)) for o in offsets]
    assert np.array_equal(np.concatenate(clips), pixels["test_frame_inds"])
    by_clip = [_views(frames, 32, clip, "three", 32) for clip in clips]
    ours = np.stack([by_clip[c][crop] for crop in range(3) for c in range(2)])
    assert np.abs(ours - pixels["test_out"]).max() <= 0.03


def test_portrait_views(pixels: dict[str, np.ndarray]) -> None:
    frames = pixels["frames"].transpose(0, 2, 1, 3)
    offset = int(sample.test_offsets(len(frames), 2, 1, 1)[0])
    ours = _views(frames, 32, np.arange(offset, offset + 2), "three", 32)
    assert np.abs(ours - pixels["portrait_test_out"]).max() <= 0.03
