"""300 damaged videos: decoded, partial or a named error, in bounded time, without a crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO, SHARED

COUNT = 300
REAL = [
    "awkward/torchcodec/h265_video.mp4",
    "awkward/torchcodec/animated.gif",
    "awkward/torchcodec/av1_video.mkv",
    "awkward/torchcodec/nasa_13013_rotated.mp4",
    "awkward/moviepy/transparent.webm",
    "animal_videos/zamba/chimpandsee__Trip_5__card_1.2_location__PICT0074.ASF",
]


@pytest.mark.slow
def test_damaged_videos_end_well(tmp_path: Path) -> None:
    given = [str(p) for p in (SHARED / "data" / name for name in REAL) if p.is_file()]
    done = subprocess.run(
        [sys.executable, "-m", "tests.video.mutate", str(tmp_path), str(COUNT), *given],
        cwd=REPO,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"crash at {lines[-1:]}: {done.stderr[-2000:]}"
    ends = [(name, end, seconds) for name, end, seconds in lines if end != "begin"]
    assert len(ends) == COUNT and "Traceback" not in done.stderr
    counts = {end: sum(e == end for _, e, _ in ends) for end in ("decoded", "partial", "error")}
    assert sum(counts.values()) == COUNT
    assert min(counts.values()) > 20, counts  # the damage is neither nothing nor everything
    assert max(seconds for *_, seconds in ends) < 20
