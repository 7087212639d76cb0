"""kill -9 an extraction many times at random moments, let it end, and compare byte for byte.

Children are forked (torch is imported once), so this needs a system with fork. Prints one JSON
object; exits 1 unless every file of the two stores is the same.

    python benchmarks/kill9.py --kills 100
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from actionspace.encoders.create import create_encoder
from actionspace.encoders.spec import ClipSpec
from actionspace.events.table import Events
from actionspace.features.extract import extract
from actionspace.video.write import write_video

CLIP = ClipSpec(frames=8, stride=2, size=64, short_side=64, resize="exact")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        events = make_videos(root / "videos", args.videos, rng)
        began = time.monotonic()
        finish(fork(events, root / "whole"), None)
        seconds = time.monotonic() - began
        kills, ended_first, stores = 0, 0, 0
        same = True
        while kills < args.kills:  # a store that is finished is compared, and a new one begun
            store = root / f"store{stores}"
            if finish(fork(events, store), rng.uniform(0.05, 0.5) * seconds):
                kills += 1
                continue
            ended_first, stores = ended_first + 1, stores + 1
            same &= contents(store) == contents(root / "whole")
        finish(fork(events, root / f"store{stores}"), None)
        same &= contents(root / f"store{stores}") == contents(root / "whole")
        files = len(contents(root / "whole"))
    result: dict[str, Any] = {
        "benchmark": "kill9",
        "kills": kills,
        "stores_compared": stores + 1,
        "runs_that_ended_before_the_kill": ended_first,
        "files_per_store": files,
        "uninterrupted_seconds": round(seconds, 2),
        "seed": args.seed,
        "equal": bool(same),
    }
    print(json.dumps(result, indent=2))
    sys.exit(0 if same else 1)


def make_videos(root: Path, count: int, rng: np.random.Generator) -> Events:
    """Write videos of 1 to 30 s with something moving in them."""
    rows = []
    for i in range(count):
        base = rng.integers(0, 255, (90, 120, 3)).astype(np.uint8)
        frames = (np.roll(base, 3 * t, axis=1) for t in range(int(rng.integers(10, 300))))
        write_video(root / f"{i}.mp4", frames, 10.0, crf=35, options={"preset": "ultrafast"})
        rows.append({"video": f"{i}.mp4", "start": 0, "end": 1, "label": "x"})
    (root / "broken.mp4").write_bytes(b"not a video")
    rows.append({"video": "broken.mp4", "start": 0, "end": 1, "label": "x"})
    return Events.from_frames(rows, root=root)


def work(events: Events, store: Path) -> None:
    encoder = create_encoder(
        "swin3d_t", clip=CLIP, embed_dim=24, depths=(1, 1), num_heads=(3, 6), seed=0
    )
    extract(events, encoder, store, batch_size=4, part_seconds=0.05, progress=False)


def fork(events: Events, store: Path) -> Any:
    child = multiprocessing.get_context("fork").Process(target=work, args=(events, store))
    child.start()
    return child


def finish(child: Any, after: float | None) -> bool:
    """Wait, kill after ``after`` seconds, and return whether that was needed."""
    child.join(after)
    if child.is_alive():
        child.kill()
        child.join()
    if child.exitcode not in (0, -signal.SIGKILL):
        raise SystemExit(f"An extraction failed with exit code {child.exitcode}.")
    return bool(child.exitcode)


def contents(store: Path) -> dict[str, str]:
    return {
        p.relative_to(store).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in store.rglob("*")
        if p.is_file()
    }


if __name__ == "__main__":
    main()
