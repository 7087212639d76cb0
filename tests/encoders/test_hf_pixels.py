"""Pixels against those of transformers' own processors, and settings read from their JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import actionspace
from actionspace.encoders.encoder import Encoder
from actionspace.encoders.hf_families import FAMILIES
from actionspace.encoders.hf_pixels import clip_of, processor_settings
from actionspace.encoders.spec import ClipSpec
from actionspace.errors import WeightsError
from actionspace.features.extract import views_of
from actionspace.video.clips import iter_clips
from actionspace.video.index import frame_index
from actionspace.video.resize import resize_antialias

# Written by scripts/processor_pixels.py.
RECORD = json.loads((Path(__file__).parent / "processor_pixels.json").read_text(encoding="utf-8"))
DATA = Path(actionspace.__file__).parent / "demo" / "data"
CASES = {case["processor"]: case for case in RECORD["cases"]}


def _pixels(clip: ClipSpec) -> np.ndarray:
    """Return the recorded frame as an encoder of this clip is given it, ``[3, S, S]``."""
    encoder = Encoder(nn.Identity(), name="x", dim=3, clip=replace(clip, frames=1, stride=1))
    index = frame_index(DATA / RECORD["video"])
    start = index.times[RECORD["frame"], 0]
    views = replace(views_of(encoder), fps=None)
    crop = tuple(RECORD["crop"])
    requests = views.requests_for_interval(index, start, index.times[RECORD["frame"], 1], crop=crop)
    (cut,) = iter_clips(index.path, requests, views.transform(crop))
    return np.asarray(encoder.prepare(torch.from_numpy(cut.frames)[None])[0, :, 0])


@pytest.mark.parametrize("name", CASES)
def test_as_the_processor(name: str) -> None:
    case = CASES[name]
    clip = clip_of(case["settings"], FAMILIES[case["family"]].clip, name)
    pixels = _pixels(clip)
    assert pixels.shape == (3, case["size"], case["size"])
    at = np.linspace(0, case["size"] - 1, 5).round().astype(int)
    error = np.abs(pixels[:, at][:, :, at].ravel() - case["pixels"])
    assert error.max() < 2e-5, error.max()  # the record has five digits
    if not clip.resize.startswith("float"):
        mean, std = (np.array(v)[:, None, None] for v in (clip.mean, clip.std))
        as_bytes = np.rint(pixels.astype(np.float64) * std + mean).astype(np.uint8)
        assert hashlib.sha256(as_bytes.tobytes()).hexdigest() == case["sha256"]


def test_backends_differ() -> None:
    """A wrong backend would be seen, if only in a few pixels."""
    for name in ("BitImageProcessor", "CLIPImageProcessor", "SiglipImageProcessor"):
        assert CASES[name]["sha256"] != CASES[f"{name}Fast"]["sha256"]
    image = np.random.default_rng(0).integers(0, 256, (97, 131, 3), np.uint8)
    for filter in ("bilinear", "bicubic"):
        one, other = (
            resize_antialias(image, 64, 48, f"{how}_{filter}").astype(int) for how in ("pil", "tv")
        )
        assert 0 < np.abs(one - other).max() <= 2


def test_floats_are_not_rounded() -> None:
    case = CASES["DINOv3ViTImageProcessor"]
    clip = clip_of(case["settings"], FAMILIES["dinov3_vit"].clip, "x")
    at = np.linspace(0, 223, 5).round().astype(int)
    rounded = _pixels(replace(clip, resize="tv_bilinear"))[:, at][:, :, at].ravel()
    error = np.abs(rounded - case["pixels"]).max()
    assert 1e-3 < error < 1.01 / 57.1  # a grey level at most


def test_families_are_what_their_processors_say() -> None:
    """Without a JSON the clip is the same as with the one that the processor would have written."""
    for name in ("VideoMAEImageProcessor", "VivitImageProcessor", "BitImageProcessor"):
        _assert_same(CASES[name])
    for name in ("LlavaOnevisionVideoProcessor", "DINOv3ViTImageProcessor", "CLIPImageProcessor"):
        _assert_same(CASES[name])
    _assert_same(CASES["SiglipImageProcessor"])


def _assert_same(case: dict[str, Any]) -> None:
    family = FAMILIES[case["family"]].clip
    read = clip_of(case["settings"], family, "x")
    assert read.mean == pytest.approx(family.mean) and read.std == pytest.approx(family.std)
    assert replace(read, mean=family.mean, std=family.std) == family


def test_old_settings() -> None:
    """Feature extractors wrote sizes as numbers."""
    base = FAMILIES["clip_vision_model"].clip
    old = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 336, "crop_size": 336}
    read = clip_of(old | {"do_center_crop": True, "resample": 3}, base, "x")
    assert (read.size, read.short_side, read.geometry) == (336, 336, "center")
    assert read.resize == "pil_bicubic"
    grey = {"image_mean": 0.5, "image_std": 0.25}
    assert clip_of(grey, base, "x").std == (63.75, 63.75, 63.75)
    assert clip_of({}, base, "x") == base


@pytest.mark.parametrize(
    "settings",
    [
        {"do_resize": False},
        {"size": {"height": 224, "width": 288}},
        {"size": {"shortest_edge": 224}, "crop_size": {"height": 256, "width": 256}},
        {"size": {"height": 256, "width": 256}, "crop_size": {"height": 224, "width": 224}},
        {"resample": 1},
    ],
)
def test_unknown_ways_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="clip=ClipSpec"):
        clip_of(settings, FAMILIES["clip_vision_model"].clip, "a folder")


def test_which_file_counts(tmp_path: Path) -> None:
    assert processor_settings(tmp_path) == {}
    (tmp_path / "processor_config.json").write_text('{"image_processor": {"size": 1}}')
    assert processor_settings(tmp_path) == {"size": 1}
    (tmp_path / "preprocessor_config.json").write_text('{"size": 2}')
    assert processor_settings(tmp_path) == {"size": 2}
    (tmp_path / "video_preprocessor_config.json").write_text('{"size": 3}')
    assert processor_settings(tmp_path) == {"size": 3}
    (tmp_path / "video_preprocessor_config.json").write_text("{")
    with pytest.raises(WeightsError, match="not JSON"):
        processor_settings(tmp_path)


def test_exact_in_a_recipe_is_the_processors_way() -> None:
    dinov3 = FAMILIES["dinov3_vit"].clip
    assert (dinov3.resizing("exact"), dinov3.resizing("fast")) == ("float_bilinear", "fast")
    assert ClipSpec().resizing("exact") == ClipSpec(resize="fast").resizing("exact") == "exact"


@pytest.mark.parametrize("mode", ["pil_bilinear", "tv_bicubic", "float_bilinear"])
def test_same_size_stays(mode: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    same = resize_antialias(image, 9, 7, mode)
    assert np.array_equal(same, image)
    assert same.dtype == (np.float32 if mode.startswith("float") else np.uint8)
