"""Embedding a long video by a run of alignment: bounded memory, each frame decoded once.

Writes a video (30 minutes of 320x240 at 25 fps by default: three minutes are encoded, their packets
repeated) and a short one of a tenth of it, and embeds each in a fresh process: by a run of the
recipe `align` (the starter's features, a row every two seconds), or with `--frames` by a network of
pictures (a ResNet-50 at 32 pixels, so that it takes minutes on a CPU). Reported: peak resident
memory of both, what the length costs, and how many frames came out of the decoder; more than there
are end the programme. The runs are trained for an epoch on seconds of video: what they say does not
matter here. Prints one JSON object.

    OMP_NUM_THREADS=1 python benchmarks/embed_long.py [--minutes 30] [--fps 25] [--frames]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import av

from actionspace.video.write import write_video
from long_video import peak_mib, pictures

SIZE = (320, 240)
REPEATS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--frames", action="store_true", help="a network of pictures")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        frames = round(args.minutes * 60 * args.fps / REPEATS)
        write_video(
            folder / "short.mp4",
            pictures(frames, *SIZE),
            args.fps,
            crf=40,
            options={"preset": "ultrafast"},
        )
        repeat(folder / "short.mp4", folder / "long.mp4", REPEATS)
        in_process(make_run, folder, args)
        short, long = (in_process(work, folder / f"{name}.mp4") for name in ("short", "long"))
    result = {
        "benchmark": "embed_long",
        "video": f"{args.minutes:g} min at {args.fps:g} fps, {SIZE[0]}x{SIZE[1]}",
        "network": "pictures, 32 x 32" if args.frames else "features of the starter",
        "short": short,
        "long": long,
        "extra_mib_for_the_length": round(long["peak_mib"] - short["peak_mib"], 1),
    }
    print(json.dumps(result, indent=2))


def repeat(source: Path, out: Path, times: int) -> None:
    """Write a video's packets several times, one after the other."""
    with av.open(str(out), "w") as write:
        to, shift = None, 0
        for _ in range(times):
            end = 0
            with av.open(str(source)) as read:
                track = read.streams.video[0]
                to = to or write.add_stream_from_template(track)
                for packet in read.demux(track):
                    if packet.dts is None or packet.pts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = to
                    write.mux(packet)
            shift += end


def make_run(folder: Path, args: argparse.Namespace) -> None:
    """Train for an epoch on four clips of four seconds."""
    from actionspace.alignment.fit import train
    from actionspace.events.table import Events
    from actionspace.recipes.loader import load_recipe

    videos = []
    for number in range(4):
        name = f"{number}.mp4"
        write_video(folder / name, pictures(100, *SIZE), args.fps)
        videos.append({"video": name, "split": "train"})
    options = ["training.epochs=1", "training.batch_size=2", "sampling.frames=16"]
    if args.frames:
        options += ["network.input=frames", "encoder=null", "pictures.size=32"]
        options += ["pictures.short_side=36", "evaluation.raw_features=false"]
    else:
        options += [f"rows.hop={round(2 * args.fps)}"]
    recipe: Any = load_recipe("align", options)
    train(recipe, data=Events.from_frames([], videos, folder), out=folder / "run", report=False)


def in_process(work: Callable[..., Any], *given: Any) -> Any:
    """Work in a process of its own: a peak begins with that of the process before."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *given).result()


def work(video: Path) -> dict[str, Any]:
    from actionspace.alignment.embed import embed
    from actionspace.events.table import Events
    from actionspace.video import clips
    from actionspace.video.index import frame_index

    sweep, seen = clips.sweep, []

    def counted(*args: Any, **options: Any) -> Iterator[Any]:
        seen.append(options["stats"])
        return sweep(*args, **options)

    clips.sweep = counted  # type: ignore[assignment]
    events = Events.from_frames([], [{"video": video.name}], video.parent)
    began, base = time.monotonic(), peak_mib()
    store = embed(video.parent / "run", events, video.with_suffix(".store"))
    found = {
        "frames": len(frame_index(video)),
        "decoded": sum(stats.decoded for stats in seen),
        "converted": sum(stats.converted for stats in seen),
        "rows": len(store.get(video.name)),
        "seconds": round(time.monotonic() - began, 1),
        "peak_mib_before": round(base, 1),
        "peak_mib": round(peak_mib(), 1),
    }
    if found["decoded"] > found["frames"]:
        raise SystemExit(f"Frames are decoded more than once: {found}.")
    return found


if __name__ == "__main__":
    main()
