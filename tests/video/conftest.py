"""Small generated videos, made once per session."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.video import counter

FRAMES = 300

_steps = np.random.default_rng(0).integers(1, 9, FRAMES)

#: Every kind of file whose frames must be told apart exactly: name -> how to encode it.
KINDS: dict[str, dict[str, Any]] = {
    "gop250.mp4": {"codec": "libx264", "gop": 250, "options": {"x264-params": "scenecut=0"}},
    "gop30.mp4": {"codec": "libx264", "gop": 30, "options": {"x264-params": "scenecut=0"}},
    "open_gop.mkv": {
        "codec": "libx264",
        "gop": 30,
        "options": {"x264-params": "open-gop=1:bframes=3:scenecut=0"},
    },
    "intra_refresh.mp4": {
        "codec": "libx264",
        "gop": 30,
        "options": {"x264-params": "intra-refresh=1:bframes=0"},
    },
    "stream.ts": {"codec": "libx264", "gop": 30},
    "h264_b_frames.avi": {"codec": "libx264", "gop": 30},
    "mpeg4.avi": {"codec": "mpeg4", "gop": 12},
    "mpeg4_b_frames.avi": {"codec": "mpeg4", "gop": 12, "b_frames": 2},
    "mpeg4_b_frames.mp4": {"codec": "mpeg4", "gop": 12, "b_frames": 2},
    "mpeg2.mpg": {"codec": "mpeg2video", "gop": 12, "b_frames": 2},
    "windows.wmv": {"codec": "wmv2", "gop": 12},
    "vp8.webm": {
        "codec": "libvpx",
        "gop": 30,
        "options": {"cpu-used": "16", "deadline": "realtime"},
    },
    "vp9.webm": {
        "codec": "libvpx-vp9",
        "gop": 30,
        "options": {"lag-in-frames": "16", "cpu-used": "8", "deadline": "realtime"},
    },
    "animation.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "varying_rate.mp4": {
        "codec": "libx264",
        "gop": 30,
        "times": np.cumsum(_steps).tolist(),
        "unit": Fraction(1, 90),
    },
    "varying_late_start.mkv": {
        "codec": "libx264",
        "gop": 30,
        "times": (500 + 10 * np.cumsum(_steps)).tolist(),
        "unit": Fraction(1, 1000),
    },
}

TIMES = {name: kind["times"] for name, kind in KINDS.items() if "times" in kind}


@pytest.fixture(scope="session")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a name in ``KINDS`` to a file of 300 frames that show their number."""
    folder = tmp_path_factory.mktemp("numbered")

    def make(name: str) -> Path:
        path = folder / name
        return path if path.exists() else counter.encode(path, FRAMES, **KINDS[name])

    return make
