"""Dense windows of a long video: one sweep against opening and seeking for every clip.

Makes a 720p H.264 file (key frames every 250 and every 30 frames), takes windows of 32 frames,
stride 2, hop 16 from it in both ways with the same number of decoder threads, checks that the
clips are equal, and prints JSON. Target: at least 5x at 250, each frame decoded once.

    python benchmarks/decode_sweep.py [--seconds 120] [--threads 1] [--clips 24]

The slow side decodes the same clips with the same converter. It is measured over ``--clips``
windows spread over the file (its cost per window does not depend on how many there are) and
scaled to all of them; ``--clips 0`` measures every one.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from actionspace.video.clips import ClipRequest, iter_clips
from actionspace.video.convert import Converter
from actionspace.video.index import FrameIndex, frame_index
from actionspace.video.reader import Reader
from actionspace.video.sweep import SweepStats
from actionspace.video.views import Views
from actionspace.video.write import write_video

FPS, WIDTH, HEIGHT = 30, 1280, 720


def scene(seconds: float) -> Iterator[np.ndarray]:
    """A textured, panning background with moving discs: costs about what real video costs."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(30, 220, (HEIGHT // 8 + 40, WIDTH // 8 + 120, 3)).astype(np.uint8)
    texture = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
    texture = texture + rng.integers(0, 24, texture.shape, dtype=np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for n in range(int(seconds * FPS)):
        t = n / FPS
        dx, dy = int(400 + 380 * np.sin(t / 3)), int(150 + 140 * np.sin(t / 5))
        frame = texture[dy : dy + HEIGHT, dx : dx + WIDTH].copy()
        for k in range(3):
            cx = WIDTH * (0.5 + 0.4 * np.sin(t * (0.7 + 0.3 * k) + k))
            cy = HEIGHT * (0.5 + 0.35 * np.cos(t * (0.9 + 0.2 * k)))
            box = (
                slice(max(0, int(cy) - 60), int(cy) + 60),
                slice(max(0, int(cx) - 60), int(cx) + 60),
            )
            inside = (x[box] - cx) ** 2 + (y[box] - cy) ** 2 < 3600
            frame[box][inside] = (250, 60 * k, 40)
        yield frame


def per_clip(
    index: FrameIndex, requests: list[ClipRequest], views: Views, threads: int
) -> tuple[list[np.ndarray], int]:
    """Open the file for each clip, seek to the key frame before it, decode up to its end."""
    clips, decoded = [], 0
    for request in requests:
        wanted = set(request.frames.tolist())
        kept: dict[int, np.ndarray] = {}
        convert = Converter(index, views.transform())
        with Reader(index.path, threads=threads) as reader:
            first = int(request.frames.min())
            if first:
                reader.seek(int(index.pts[first]))
            for frame in reader.frames():
                number = int(np.searchsorted(index.pts, frame.pts))
                if number in wanted:
                    kept[number] = convert(frame)
                if len(kept) == len(wanted):
                    break
            decoded += reader.decoded
        x, y, w, h = request.box  # type: ignore[misc]
        clips.append(np.stack([kept[n][y : y + h, x : x + w] for n in request.frames.tolist()]))
    return clips, decoded


def measure(path: Path, resize: str, threads: int, sample: int) -> dict[str, Any]:
    """Time both ways on one file and compare their clips."""
    views = Views(frames=32, stride=2, size=224, short_side=224, resize=resize)  # type: ignore[arg-type]
    stats = SweepStats()
    began, cpu = time.perf_counter(), time.process_time()
    index = frame_index(path)
    requests, _ = views.requests_dense(index, 16)
    some = requests[:: max(1, len(requests) // sample)] if sample else requests
    chosen = {request.key for request in some}
    kept: dict[Any, np.ndarray] = {}
    count = 0
    for clip in iter_clips(
        path, requests, views.transform(), index=index, threads=threads, stats=stats
    ):
        count += 1
        if clip.key in chosen:
            kept[clip.key] = clip.frames
    fast, fast_cpu = time.perf_counter() - began, time.process_time() - cpu
    began, cpu = time.perf_counter(), time.process_time()
    slow_clips, slow_decoded = per_clip(index, some, views, threads)
    scale = len(requests) / len(some)
    slow, slow_cpu = (time.perf_counter() - began) * scale, (time.process_time() - cpu) * scale
    equal = all(np.array_equal(kept[r.key], c) for r, c in zip(some, slow_clips, strict=True))
    last = int(max(r.frames.max() for r in requests))
    return {
        "resize": resize,
        "frames": len(index),
        "windows": count,
        "sweep_seconds": round(fast, 3),
        "per_clip_seconds": round(slow, 3),
        "per_clip_windows_measured": len(some),
        "ratio": round(slow / fast, 2),
        "cpu_ratio": round(slow_cpu / fast_cpu, 2),
        "equal": equal,
        "sweep_decoded": stats.decoded,
        "decoded_once": stats.decoded <= last + 1 and stats.seeks == 0,
        "sweep_resized": stats.converted,
        "per_clip_decoded": round(slow_decoded * scale),
        "sweep_windows_per_second": round(count / fast, 2),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clips", type=int, default=24, help="windows of the slow side, 0 = all")
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for gop in (250, 30):
            path = Path(folder) / f"gop{gop}.mp4"
            write_video(path, scene(args.seconds), FPS, gop=gop, options={"preset": "veryfast"})
            size = path.stat().st_size
            for resize in ("exact", "fast"):
                found = measure(path, resize, args.threads, args.clips)
                results.append({"gop": gop, "megabytes": round(size / 1e6, 1), **found})
    at_250 = [r["ratio"] for r in results if r["gop"] == 250]
    print(
        json.dumps(
            {
                "benchmark": "decode_sweep",
                "video": f"{args.seconds:g} s of {WIDTH}x{HEIGHT} H.264 at {FPS} fps",
                "threads": args.threads,
                "cores": os.cpu_count(),
                "results": results,
                "target": "ratio >= 5 at GOP 250, equal, decoded once",
                "reached": min(at_250) >= 5
                and all(r["equal"] and r["decoded_once"] for r in results),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
