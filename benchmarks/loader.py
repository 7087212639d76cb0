"""Clips for training: ours against opening and seeking per clip, as PyAV loaders usually do.

Real videos and generated ones with a key frame every 250 frames. *One clip per video* goes through
the trainer's loader on both sides, cut as the recipes ``lora`` and ``finetune`` cut it (crops and
colours are changed on the training device); ours is ``recognition.clip_samples``, its first epoch,
in which it reads the frame indexes, apart. *Four clips per video* is what extraction and evaluation
cut: ours is ``video.loader``, frame index included.

The other side opens the file, seeks to the key frame before the clip, decodes up to the clip's last
frame with one decoder thread and turns each wanted frame, once, into small RGB by the decoder's
scaler. It is told which frames are wanted. "careful": one converter for all frames of a clip;
"usual": ``frame.reformat``. Same threads, files in the page cache, times taken in turn, pixels
compared. Prints one JSON object.

    python benchmarks/loader.py [../shared/data] [--threads 2] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation, VideoReformatter

from actionspace.events.table import Events
from actionspace.features.grid import sources
from actionspace.recognition import data as manifest
from actionspace.recognition.clip_samples import ClipSamples
from actionspace.training import plan
from actionspace.training.loader import Loader
from actionspace.video.clips import Clip, ClipRequest
from actionspace.video.index import FrameIndex, frame_index
from actionspace.video.loader import ClipLoader, Job
from actionspace.video.transform import crop_resize
from actionspace.video.views import Views
from actionspace.video.write import write_video
from decode_sweep import FPS, scene

ONE = Views(frames=16, stride=4, size=160, short_side=182, resize="fast")
FOUR = replace(ONE, clips=4)
SUFFIXES = {".mp4", ".avi", ".mkv", ".asf"}
BATCH = 8
WHOLE = float("nan")

Found = list[np.ndarray]
Work = Callable[[], Found]


@dataclass(frozen=True)
class Videos:
    """A data set: one event per video."""

    events: Events
    indexes: list[FrameIndex]

    @classmethod
    def of(cls, files: Sequence[Path], root: Path) -> Videos:
        names = [str(f.relative_to(root)) for f in files]
        rows = [{"video": n, "label": "ab"[i % 2]} for i, n in enumerate(names)]
        events = Events.from_frames(rows, root=root)
        return cls(events, [frame_index(s.path) for s in sources(events, "events")])

    def requests(self, views: Views) -> list[tuple[FrameIndex, ClipRequest]]:
        """Return the clips to cut, video by video."""
        return [
            (index, request)
            for index in self.indexes
            for request in views.requests_for_interval(index, WHOLE, WHOLE)
        ]


def per_clip(index: FrameIndex, request: ClipRequest, careful: bool) -> np.ndarray:
    """Open, seek, decode to the end of the clip."""
    width, height = ONE.transform().output_size(index.width, index.height)
    wanted = set(request.frames.tolist())
    first = min(wanted)
    small: dict[int, np.ndarray] = {}
    convert = VideoReformatter()
    options = {"width": width, "height": height, "format": "rgb24", "threads": 1}
    options["interpolation"] = Interpolation.AREA
    with av.open(str(index.path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if first and not index.by_count:
            container.seek(int(index.pts[first]), stream=stream)
        for count, frame in enumerate(container.decode(stream)):
            number = count if index.by_count else int(np.searchsorted(index.pts, frame.pts))
            if number in wanted:
                scaled = (
                    convert.reformat(frame, **options) if careful else frame.reformat(**options)
                )
                small[number] = scaled.to_ndarray()
                if len(small) == len(wanted):
                    break
    cut = {n: crop_resize(small[n], request.box, request.size, request.flip) for n in wanted}
    return np.stack([cut[n] for n in request.frames.tolist()])


class PerClip:
    """The other side as samples of the trainer's loader."""

    def __init__(self, videos: Videos, careful: bool) -> None:
        self.wanted, self.careful = videos.requests(ONE), careful

    def __len__(self) -> int:
        return len(self.wanted)

    def name(self, index: int) -> str:
        return str(self.wanted[index][0].path)

    def load(self, index: int, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(per_clip(*self.wanted[index], self.careful)), torch.tensor(0)

    def collate(self, samples: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Any:
        return tuple(torch.stack(part) for part in zip(*samples, strict=True))


def train_epoch(samples: Any, epoch: int, threads: int) -> Found:
    """Take an epoch from the trainer's loader; return the clips in the order of the videos."""
    loader = Loader(samples, device=torch.device("cpu"), workers=threads, policy="raise")
    order = plan.epoch_order(len(samples), 0, epoch)
    steps = plan.flatten(plan.epoch_steps(order, BATCH, BATCH))
    found = {}
    for batch in loader.stream(steps, epoch):
        for number, clip in zip(batch.indices.tolist(), batch.data[0].numpy(), strict=True):
            found[number] = clip
    return [found[n] for n in sorted(found)]


def sweep_each(videos: Videos, threads: int) -> Found:
    """Cut four clips of every video, each file read once."""

    def cut(index: FrameIndex) -> list[ClipRequest]:
        return FOUR.requests_for_interval(index, WHOLE, WHOLE)

    jobs = [Job(n, i.path, cut, FOUR.transform()) for n, i in enumerate(videos.indexes)]
    found = {}
    with ClipLoader(jobs, workers=threads, threads=1) as loader:
        for job, item in loader:
            if isinstance(item, Clip):
                found[job.key, item.key[1]] = item.frames
    return [found[key] for key in sorted(found)]


def seek_each(videos: Videos, threads: int, careful: bool) -> Found:
    """Cut the same clips one by one."""

    def cut(one: tuple[FrameIndex, ClipRequest]) -> np.ndarray:
        return per_clip(*one, careful)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(cut, videos.requests(FOUR)))


def compare(rounds: Iterator[dict[str, Work]]) -> dict[str, Any]:
    """Time the sides of each round in turn; their clips must be equal."""
    wall: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    clips = 0
    for number, sides in enumerate(rounds):
        results = {}
        for name in list(sides)[:: 1 if number % 2 else -1]:
            began, used = time.perf_counter(), time.process_time()
            found = sides[name]()
            wall.setdefault(name, []).append(time.perf_counter() - began)
            cpu.setdefault(name, []).append(time.process_time() - used)
            results[name] = [zlib.crc32(clip) for clip in found]
        clips = len(results["ours"])
        differs = [name for name in results if results[name] != results["ours"]]
        if differs:
            raise SystemExit(f"The clips of {', '.join(differs)} differ from ours; no ratio.")
    report: dict[str, Any] = {"clips": clips, "equal": True}
    for name, seconds in wall.items():
        report[f"{name}_clips_per_second"] = round(clips / median(seconds), 1)
        if name != "ours":
            report[f"ratio_to_{name}"] = _ratio(seconds, wall["ours"])
            report[f"cpu_ratio_to_{name}"] = _ratio(cpu[name], cpu["ours"])
    return report


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return round(median(a / b for a, b in zip(theirs, ours, strict=True)), 2)


def one_clip(videos: Videos, args: argparse.Namespace) -> dict[str, Any]:
    targets = manifest.targets(videos.events, "label")
    every: dict[str, Any] = {
        "ours": ClipSamples(videos.events, ONE, "label", targets),
        "careful": PerClip(videos, careful=True),
        "usual": PerClip(videos, careful=False),
    }

    def sides(epoch: int) -> dict[str, Work]:
        return {n: lambda s=s: train_epoch(s, epoch, args.threads) for n, s in every.items()}

    train_epoch(every["usual"], 0, args.threads)  # reads the files into the page cache
    return {
        "first_epoch": compare(sides(epoch) for epoch in range(1)),
        "later_epochs": compare(sides(epoch) for epoch in range(1, args.repeats + 1)),
    }


def four_clips(videos: Videos, args: argparse.Namespace) -> dict[str, Any]:
    sides: dict[str, Work] = {
        "ours": lambda: sweep_each(videos, args.threads),
        "careful": lambda: seek_each(videos, args.threads, careful=True),
        "usual": lambda: seek_each(videos, args.threads, careful=False),
    }
    return compare(sides for _ in range(args.repeats))


def data_sets(root: Path, made: Path, args: argparse.Namespace) -> Iterator[tuple[str, Videos]]:
    for name in ("human_videos", "animal_videos"):
        files = sorted(p for p in (root / name).rglob("*") if p.suffix.lower() in SUFFIXES)
        if files:
            yield name, Videos.of(files, root)
    for seconds in args.seconds:
        first = made / f"{seconds}_0.mp4"
        write_video(first, scene(seconds), FPS, gop=250, options={"preset": "veryfast"})
        copies = [first, *(Path(shutil.copy(first, made / f"{seconds}_{n}.mp4")) for n in "123")]
        yield f"generated: {seconds:g} s of 720p, GOP 250", Videos.of(copies, made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("data", nargs="?", type=Path, default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, nargs="*", default=[10, 30], help="lengths of generated videos"
    )
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, videos in data_sets(args.data, Path(folder), args):
            one, four = one_clip(videos, args), four_clips(videos, args)
            results[name] = {
                "videos": len(videos.indexes),
                "one_clip_per_video": one,
                "four_clips_per_video": four,
                "reached": {
                    "one": one["later_epochs"]["ratio_to_careful"] >= 1.2,
                    "four": four["ratio_to_careful"] >= 2,
                },
            }
    result = {
        "benchmark": "loader",
        "clip": f"{ONE.frames} frames, stride {ONE.stride}, {ONE.size} x {ONE.size}",
        "threads": args.threads,
        "cores": os.cpu_count(),
        "data": results,
        "target": "one clip: later epochs >= 1.2, four clips: >= 2, both against careful",
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
