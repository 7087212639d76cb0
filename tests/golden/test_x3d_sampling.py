"""Frames and clips that the UCF50 pipeline and pytorchvideo choose, for every length listed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from actionspace.video.clip_times import constant_clips, uniform_clips
from actionspace.video.sample import spread_indices
from tests.golden.x3d import folders


def listing() -> dict[str, Any]:
    for folder in folders():
        if (folder / "sampling.json").is_file():
            found: dict[str, Any] = json.loads(
                (folder / "sampling.json").read_text(encoding="utf-8")
            )
            return found
    return {}


SAMPLING = listing()
pytestmark = pytest.mark.skipif(not SAMPLING, reason="no golden/x3d sampling.json here")


@pytest.mark.parametrize("frames", SAMPLING.get("uniform_temporal_subsample", {}))
def test_frames_of_every_length(frames: str) -> None:
    uniform = SAMPLING["uniform_temporal_subsample"][frames]
    fixed = SAMPLING["fixed_size_clip_sampler"][frames]
    assert len(SAMPLING["lengths"]) == len(uniform) == len(fixed) > 100
    for total, spread, kept in zip(SAMPLING["lengths"], uniform, fixed, strict=True):
        assert spread_indices(total, int(frames)).tolist() == spread, total
        ours = spread_indices(total, int(frames), short="repeat_last")
        assert ours.tolist() == kept, total


def test_frames_of_the_slow_pathway() -> None:
    tables = SAMPLING["pack_pathway_slow_index"]
    assert tables
    for name, expected in tables.items():
        fast, alpha = map(int, name.split("/"))
        assert spread_indices(fast, fast // alpha).tolist() == expected, name


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=f"x3d-clips-{i}-{c['kind']}")
        for i, c in enumerate(SAMPLING.get("clip_samplers", []))
    ],
)
def test_clips_in_seconds(case: dict[str, Any]) -> None:
    # Listed are start, end, number, (augmentation,) last: one row per augmentation of a clip.
    rows = [row for row in case["clips"] if case["kind"] == "uniform" or row[3] == 0]
    if case["kind"] == "uniform":
        ours = uniform_clips(
            case["duration"], case["clip"], case["stride"], backpad_last=case["backpad_last"]
        )
    else:
        ours = constant_clips(case["duration"], case["clip"], case["clips_per_video"])
    np.testing.assert_allclose(ours, [row[:2] for row in rows], rtol=0, atol=1e-9)
