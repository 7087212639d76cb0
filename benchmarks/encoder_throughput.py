"""Clips per second of encoders at their native input: eager float32, ours, ours with decoding.

For each encoder, with random weights: a plain forward pass in eager float32 (no autocast, no TF32)
and ``features.forward.Forward`` on the same clips, pass by pass in turn in one process, each from
bytes in main memory to features in main memory; the pooled features must agree. The share of the
device's peak counts two operations for each multiply-add that ``list encoders`` gives. Then
``features.extract`` of real videos, so that decoding counts, and how much of it the encoder waits
for clips; the first batch of it is not warmed up. An encoder that fails says why. Prints one JSON
object.

    python benchmarks/encoder_throughput.py --encoders vjepa2_vit_large,dinov3_vitb16 --compile
    python benchmarks/encoder_throughput.py --encoders starter,x3d_xs --device cpu --seconds 2
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from actionspace.encoders.create import create_encoder, list_encoders
from actionspace.encoders.encoder import Encoder
from actionspace.events.table import VIDEO_SUFFIXES, Events
from actionspace.features.extract import extract
from actionspace.features.forward import Forward, compute_dtype, default_batch_size, device_of

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "human_videos" / "scenes"
PEAK = 989e12  # H200: the vendor's figure for dense bfloat16
LIMIT = 0.40  # of the peak, V-JEPA 2 L
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2, "float16": 2e-2}
WARM_UP, LEAST = 2, 3  # passes that are not timed, and the fewest that are
FAST = ["vjepa2_vit_large", "vjepa2_1_vit_base_384", "dinov3_vitb16", "swin3d_b", "x3d_m"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--encoders", default=",".join(FAST), help="names, or patterns such as x3d*"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=10.0, help="of timed passes of each side")
    parser.add_argument("--batch", type=int, help="clips at once, instead of each encoder's own")
    parser.add_argument("--precision", default="auto", help="ours; auto = bfloat16 on CUDA")
    parser.add_argument("--compile", action="store_true", help="ours goes through torch.compile")
    parser.add_argument("--peak", type=float, default=PEAK, help="FLOP/s of the device")
    parser.add_argument("--videos", nargs="*", type=Path, default=[SHARED])
    parser.add_argument("--no-extract", action="store_true", help="forward passes alone")
    args = parser.parse_args()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    videos = [] if args.no_extract else find(args.videos)
    result: dict[str, Any] = {
        "benchmark": "encoder_throughput",
        "device": torch.cuda.get_device_name() if args.device == "cuda" else args.device,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "weights": "random",
        "compile": args.compile,
        "peak_flops": args.peak if args.device == "cuda" else None,
        "encoders": {},
    }
    for name in names(args.encoders):
        print(name, file=sys.stderr, flush=True)
        result["encoders"][name] = measure(name, videos, args)
        gc.collect()
        if args.device == "cuda":
            torch.cuda.empty_cache()
    print(json.dumps(result, indent=2))
    if not all(one.get("equal", True) for one in result["encoders"].values()):
        sys.exit("Features differ by more than the tolerance; the ratios above mean nothing.")


def names(asked: str) -> list[str]:
    """Return the encoders that names and patterns mean; a name that is none is tried, and fails."""
    return [n for word in asked.split(",") for n in [i.name for i in list_encoders(word)] or [word]]


def measure(name: str, videos: list[Path], args: argparse.Namespace) -> dict[str, Any]:
    """Return what is known of one encoder, or why it could not be measured."""
    try:
        encoder = create_encoder(f"untrained:{name}", device=args.device)
        found = forwards(encoder, name, args)
        if videos:
            found["extract"] = extraction(encoder, found, videos, args)
        return found
    except Exception as e:  # of others there is still something to be measured
        return {"failed": f"{type(e).__name__}: {e}".splitlines()[0]}


# --- forward passes -------------------------------------------------------------------------------


def forwards(encoder: Encoder, name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Time both sides in turn and compare what they give."""
    [info] = list_encoders(name)
    clip = encoder.clip
    precision = compute_dtype(args.precision, device_of(encoder))
    batch = args.batch or default_batch_size(encoder)
    shape = (batch, clip.frames, clip.size, clip.size, clip.channels)
    clips = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    ours = Forward(encoder, precision, args.compile, batch_size=batch)

    def eager() -> np.ndarray:
        with torch.inference_mode(), torch.autocast(encoder.mean.device.type, enabled=False):
            return np.asarray(encoder(encoder.prepare(torch.from_numpy(clips))).cpu().numpy())

    wanted, passes = eager(), ours(clips, 0)
    error = float(np.abs(passes - wanted).max() / np.abs(wanted).max())
    sides: dict[str, Callable[[], object]] = {
        "eager_float32": eager,
        "ours": lambda: ours(clips, 0),
    }
    seconds = timed(sides, args.seconds)
    rate = {side: batch / each for side, each in seconds.items()}
    flops = 2 * info.multiply_adds * rate["ours"]
    found: dict[str, Any] = {
        "clips": list(shape),
        "precision": precision,
        "clips_per_second": {side: round(value, 3) for side, value in rate.items()},
        "faster_than_eager_float32": round(rate["ours"] / rate["eager_float32"], 2),
        "largest_difference": error,
        "tolerance": TOLERANCE[precision],
        "equal": error <= TOLERANCE[precision],
        "multiply_adds": info.multiply_adds,
        "teraflops": round(flops / 1e12, 3),
    }
    if args.device == "cuda":
        share = flops / args.peak
        found |= {"share_of_peak": round(share, 4), "limit": LIMIT, "met": share >= LIMIT}
        found["peak_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        torch.cuda.reset_peak_memory_stats()
    return found


def timed(sides: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Return the median seconds of a pass of each side, whose result is waited for."""
    for run in sides.values():
        for _ in range(WARM_UP):
            run()
    taken: dict[str, list[float]] = {side: [] for side in sides}
    while any(sum(each) < seconds or len(each) < LEAST for each in taken.values()):
        for side, run in sides.items():
            began = time.perf_counter()
            run()
            taken[side].append(time.perf_counter() - began)
    return {side: median(each) for side, each in taken.items()}


# --- with decoding --------------------------------------------------------------------------------


def find(places: list[Path]) -> list[Path]:
    files = [p for place in places for p in ([place] if place.is_file() else place.rglob("*"))]
    videos = sorted(p for p in files if p.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        sys.exit("No videos there; name some files or folders with --videos, or say --no-extract.")
    return videos


def extraction(
    encoder: Encoder, found: dict[str, Any], videos: list[Path], args: argparse.Namespace
) -> dict[str, Any]:
    """Extract clips that follow one another, from as many videos as last about the time asked."""
    if encoder.clip.input != "rgb":
        return {"left out": f"it looks at {encoder.clip.input}"}
    wanted = max(1, round(args.seconds * found["clips_per_second"]["ours"]))
    rows = chosen(videos, encoder.clip.span, encoder.clip.fps, wanted)
    events = Events.from_frames(rows, root="/")
    how = {"batch_size": found["clips"][0], "compile": args.compile, "precision": args.precision}
    with tempfile.TemporaryDirectory() as folder:
        store = extract(events, encoder, f"{folder}/s", hop=encoder.clip.span, **how)
    summary = store.summary
    assert summary is not None
    rate = summary.clips / summary.seconds
    return {
        "videos": summary.videos,
        "skipped": summary.skipped,
        "clips": summary.clips,
        "seconds": round(summary.seconds, 2),
        "clips_per_second": round(rate, 3),
        "of_the_forward_pass": round(rate / found["clips_per_second"]["ours"], 3),
        "data_wait_share": round(summary.data_wait_share, 4),
    }


def chosen(videos: list[Path], span: int, fps: float | None, wanted: int) -> list[dict[str, Any]]:
    """Return a row for each of the first videos that together have the clips wanted, or of all."""
    from actionspace.video.index import frame_index

    rows, clips = [], 0.0
    for video in videos:
        index = frame_index(video)
        frames = index.duration * fps if fps else len(index)
        clips += max(1.0, frames / span)
        rows.append({"video": str(video.resolve()), "start": 0, "end": 0, "label": "x"})
        if clips >= wanted:
            break
    return rows


if __name__ == "__main__":
    main()
