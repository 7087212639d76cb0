"""Pixels of the original UCF50 pipeline (spread frames, crop or pad) and of pytorchvideo."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden.x3d import folders, unit


def cases() -> list[tuple[Path, dict[str, Any]]]:
    """Cases of ``sampling.json`` of which ``transforms.safetensors`` holds an output."""
    from safetensors import safe_open

    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for folder in folders():
        pixels, listing = folder / "transforms.safetensors", folder / "sampling.json"
        if not (pixels.is_file() and listing.is_file()):
            continue
        with safe_open(pixels, "np") as f:
            held = {name.split(".")[0] for name in f.keys()}  # noqa: SIM118 (no mapping)
        for entry in json.loads(listing.read_text(encoding="utf-8"))["cases"]:
            if entry["name"] in held:
                found.setdefault(entry["name"], (pixels, entry))
    return list(found.values())


CASES = cases()
pytestmark = pytest.mark.skipif(not CASES, reason="no golden/x3d transform case here")


@pytest.mark.parametrize(
    ("file", "entry"), CASES, ids=[f"x3d-transform-{entry['name']}" for _, entry in CASES]
)
def test_pixels(
    file: Path, entry: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    from safetensors.numpy import load_file

    from actionspace.encoders.convnet import KINETICS_MEAN, KINETICS_STD
    from actionspace.video.float_clips import center_crop, scale_short_side, third_crop
    from actionspace.video.sample import spread_indices
    from actionspace.video.transform import normalize

    name = entry["name"]
    expected = {
        key.removeprefix(f"{name}."): value
        for key, value in load_file(file).items()
        if key.startswith(f"{name}.") and not key.endswith(".in")
    }
    shape = (entry["T"], 3, entry["H"], entry["W"])
    values = unit(f"tf/golden/{name}", int(np.prod(shape))).reshape(shape)
    frames = np.floor(256 * values).astype(np.uint8).transpose(0, 2, 3, 1)
    if "short_side" in entry:
        scaled = "ss"
        clip = np.moveaxis(frames.astype(np.float32) / 255, -1, 0)
        got = {scaled: scale_short_side(clip, entry["short_side"])}
        prefix = ""
    else:
        scaled = "ss24"
        kept = frames[spread_indices(entry["T"], entry["num_frames"], short="repeat_last")]
        clip = center_crop(normalize(kept, KINETICS_MEAN, KINETICS_STD), entry["crop"])
        slow = spread_indices(entry["num_frames"], entry["num_frames"] // 4)
        got = {"out": clip, "slow_a4": clip[:, slow], scaled: scale_short_side(clip, 24)}
        prefix = f"{scaled}."
    for which in range(3):
        key = f"{prefix}crop{which}"
        if key in expected:
            got[key] = third_crop(got[scaled], expected[key].shape[-1], which)
    errors = []
    for key, value in expected.items():
        # The original's interpolation weights are float32: up to 2e-5 between extreme pixels.
        np.testing.assert_allclose(got[key], value, rtol=0, atol=5e-5, err_msg=f"{name}.{key}")
        errors.append(float(np.abs(got[key] - value).max()))
    record_property("max_abs_error", max(errors))
    print(f"x3d-transform-{name}: max abs error {max(errors):.2e}")
