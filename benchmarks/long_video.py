"""Memory of extracting one very long video: bounded, whatever its length.

Writes a video (2 fps, 160x120, ten hours by default), extracts dense features in a fresh process
and reports that process's peak resident memory beside that of the same for a short video: the
difference is what length costs. The encoder is a toy by default, fed the starter's clips: what it
computes does not matter here. With ``--predict`` a localization run (of the starter encoder,
trained for an epoch) predicts the videos instead and writes their overlays. Prints one JSON object.

    python benchmarks/long_video.py --hours 10
    python benchmarks/long_video.py --hours 10 --encoder starter --hop 64
    python benchmarks/long_video.py --hours 3 --fps 5 --width 320 --height 240 --hop 16 --predict
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from actionspace.video.write import write_video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--encoder", default=f"{Path(__file__).resolve()}:toy")
    parser.add_argument("--hop", type=int, default=None, help="frames; the default of extract")
    parser.add_argument("--fps", type=float, default=2.0)
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--height", type=int, default=120)
    parser.add_argument("--predict", action="store_true", help="localize and write the overlay")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.predict:
            args.encoder = "starter"
            make_run(Path(folder), args)
        short = measure(Path(folder) / "short.mp4", 300, args)
        long = measure(Path(folder) / "long.mp4", round(args.hours * 3600 * args.fps), args)
    result: dict[str, Any] = {
        "benchmark": "long_video",
        "video": f"{args.hours:g} h at {args.fps:g} fps, {args.width}x{args.height}",
        "work": "extract, localize, overlay" if args.predict else "extract",
        "encoder": "toy" if args.encoder.endswith(":toy") else args.encoder,
        "short": short,
        "long": long,
        "extra_mib_for_the_length": round(long["peak_mib"] - short["peak_mib"], 1),
    }
    print(json.dumps(result, indent=2))


def measure(path: Path, frames: int, args: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    write(path, frames, args)
    written = time.monotonic() - began
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    if args.predict:
        child = context.Process(target=predict, args=(path, send))
    else:
        child = context.Process(target=work, args=(path, args.encoder, args.hop, send))
    child.start()
    send.close()  # so that a child that fails ends the wait below
    try:
        found: dict[str, Any] = receive.recv()
    except EOFError:
        raise SystemExit("The extraction failed; see above.") from None
    child.join()
    size = path.stat().st_size
    return {
        "frames": frames,
        "file_mib": round(size / 2**20, 1),
        "write_s": round(written, 1),
    } | found


def write(path: Path, frames: int, args: argparse.Namespace) -> None:
    shown = pictures(frames, args.width, args.height)
    write_video(path, shown, args.fps, crf=40, options={"preset": "ultrafast"})


def make_run(folder: Path, args: argparse.Namespace) -> None:
    """Train on two minutes with an event every eight seconds."""
    from actionspace.events.table import Events
    from actionspace.localization.fit import train
    from actionspace.recipes.loader import load_recipe

    write(folder / "train.mp4", round(120 * args.fps), args)
    rows = [
        {"video": "train.mp4", "start": t, "end": t + 5, "label": "ab"[t // 8 % 2]}
        for t in range(0, 112, 8)
    ]
    videos = [{"video": "train.mp4", "split": "train"}]
    hop = [] if args.hop is None else [f"rows.hop={args.hop}"]
    recipe = load_recipe("localize", ["training.epochs=4", "predict.threshold=0", *hop])
    events = Events.from_frames(rows, videos, folder)
    train(recipe, data=events, out=folder / "run", report=False)  # type: ignore[arg-type]


def toy() -> Any:
    """A patch embedding of the starter's clips, 64 numbers per clip."""
    import torch

    from actionspace.encoders.starter import CLIP

    torch.manual_seed(0)
    net: Any = torch.nn.Sequential(torch.nn.Conv3d(3, 64, (4, 16, 16), (4, 16, 16)))
    net.dim, net.clip = 64, CLIP
    return net


def pictures(frames: int, width: int, height: int) -> Iterator[np.ndarray]:
    """A bright blob that wanders over a still, structured ground."""
    rng = np.random.default_rng(0)
    ground = rng.integers(60, 120, (height // 8, width // 8, 3)).astype(np.uint8)
    ground = ground.repeat(8, axis=0).repeat(8, axis=1)
    for t in range(frames):
        picture = ground.copy()
        x = int((width - 20) * (0.5 + 0.5 * np.sin(t / 7)))
        y = int((height - 20) * (0.5 + 0.5 * np.sin(t / 11)))
        picture[y : y + 20, x : x + 20] = 230
        yield picture


def work(path: Path, name: str, hop: int | None, send: Any) -> None:
    import torch

    from actionspace.encoders.create import create_encoder
    from actionspace.events.table import Events
    from actionspace.features.extract import extract

    encoder = create_encoder(name)
    rows = [{"video": path.name, "start": 0, "end": 1, "label": "x"}]
    events = Events.from_frames(rows, root=path.parent)
    base = peak_mib()
    store = extract(events, encoder, path.with_suffix(""), hop=hop)
    assert store.summary is not None and not store.summary.skipped
    send.send(
        {
            "rows": store.summary.clips,
            "seconds": round(store.summary.seconds, 1),
            "data_wait_share": round(store.summary.data_wait_share, 4),
            "threads": torch.get_num_threads(),
            "peak_mib_before": round(base, 1),
            "peak_mib": round(peak_mib(), 1),
        }
    )


def predict(path: Path, send: Any) -> None:
    import torch

    from actionspace.localization.predict import predictions
    from actionspace.report.overlay import write_overlays

    base, began = peak_mib(), time.monotonic()
    found = predictions(path.parent / "run", [path], out=path.with_suffix(""))
    peak, predicted = peak_mib(), time.monotonic()
    assert not found.skipped
    write_overlays(found, path.parent)
    send.send(
        {
            "detections": len(found.events),
            "predict_s": round(predicted - began, 1),
            "overlay_s": round(time.monotonic() - predicted, 1),
            "threads": torch.get_num_threads(),
            "peak_mib_before": round(base, 1),
            "peak_mib_predicting": round(peak, 1),
            "peak_mib": round(peak_mib(), 1),
        }
    )


def peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
