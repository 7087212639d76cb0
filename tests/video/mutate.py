"""Damaged videos from a seed, and what becomes of them; run as a program in its own process.

``python -m tests.video.mutate FOLDER COUNT [SOURCE...]`` prints one JSON line per damaged file, so
that a crash inside a decoder is seen as a line that is missing and not as the end of the tests.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from actionspace.errors import VideoError
from actionspace.video.clips import iter_clips
from actionspace.video.index import frame_index
from actionspace.video.inspect import inspect
from actionspace.video.sweep import SweepStats
from actionspace.video.views import Views
from tests.video import counter

SEED = 20240607
TIME_LIMIT = 5.0


def sources(folder: Path) -> list[Path]:
    """Small sound files of several containers and codecs."""
    make = {
        "h264.mp4": ("libx264", {"gop": 12}),
        "h264.mkv": ("libx264", {"gop": 12}),
        "h264.ts": ("libx264", {"gop": 12}),
        "mpeg4.avi": ("mpeg4", {"gop": 12, "b_frames": 2}),
        "vp9.webm": ("libvpx-vp9", {"options": {"deadline": "realtime", "cpu-used": "8"}}),
        "animation.gif": ("gif", {"pix_fmt": "rgb8"}),
    }
    return [counter.encode(folder / name, 40, c, **kw) for name, (c, kw) in make.items()]


def damage(data: bytes, kind: int, rng: np.random.Generator) -> bytes:
    """Return ``data`` truncated, with bits flipped, its header zeroed, or a block overwritten."""
    array = np.frombuffer(data, np.uint8).copy()
    size = len(array)
    if kind == 0:
        return array[: rng.integers(0, size)].tobytes()
    if kind == 1:  # anywhere
        at = rng.integers(0, size, rng.integers(1, 1 + size // 100 + 8))
        array[at] ^= (1 << rng.integers(0, 8, len(at))).astype(np.uint8)
    elif kind == 2:  # near the start or the end, where containers keep their tables
        near = rng.integers(0, min(size, 600), rng.integers(1, 12))
        at = near if rng.random() < 0.5 else size - 1 - near
        array[at] ^= (1 << rng.integers(0, 8, len(at))).astype(np.uint8)
    elif kind == 3:
        array[: rng.integers(1, min(size, 400))] = 0
    else:
        start = rng.integers(0, size)
        block = array[start : start + rng.integers(1, 4096)]
        block[:] = rng.integers(0, 256, len(block)) if kind == 4 else 0
    return array.tobytes()


def mutants(folder: Path, count: int, given: list[Path]) -> Iterator[Path]:
    """Yield ``count`` damaged files, the same ones for the same sources."""
    originals = [(p.name, p.read_bytes()) for p in [*sources(folder), *given]]
    for n in range(count):
        rng = np.random.default_rng((SEED, n))
        name, data = originals[n % len(originals)]
        path = folder / f"{n:03d}_{name}"
        path.write_bytes(damage(data, n // len(originals) % 6, rng))
        yield path


def outcome(path: Path) -> str:
    """Return ``decoded``, ``partial`` or ``error``; anything but a VideoError is not caught."""
    verdict = inspect(path, threads=1, time_limit=TIME_LIMIT).verdict
    stats = SweepStats()
    views = Views(frames=4, stride=2, size=32, short_side=32, resize="fast")
    try:
        index = frame_index(path, time_limit=TIME_LIMIT)
        requests, _ = views.requests_dense(index, 8)
        for clip in iter_clips(
            path,
            requests,
            views.transform(),
            index=index,
            policy="partial",
            time_limit=TIME_LIMIT,
            stats=stats,
        ):
            assert clip.frames.shape == (4, 32, 32, 3)
    except VideoError as e:
        assert path.name in str(e) and len(str(e)) < 600 and verdict != "ok"
        return "error"
    return "partial" if stats.damage else "decoded"


if __name__ == "__main__":
    for mutant in mutants(Path(sys.argv[1]), int(sys.argv[2]), [Path(a) for a in sys.argv[3:]]):
        began = time.monotonic()
        print(json.dumps([mutant.name, "begin", 0]), flush=True)
        end = outcome(mutant)
        print(json.dumps([mutant.name, end, time.monotonic() - began]), flush=True)
        mutant.unlink()
