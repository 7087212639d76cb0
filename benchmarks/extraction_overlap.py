"""How much of an extraction the encoder waits for clips, when the encoder is the bottleneck.

Decode threads work ahead of the encoder, so the wait should be the time to the first clip and
little more: at most 10 % is wanted. Prints one JSON object.

    python benchmarks/extraction_overlap.py VIDEO... --encoder swin3d_t --clips 24
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import torch

from actionspace.encoders.create import create_encoder
from actionspace.events.table import VIDEO_SUFFIXES, Events
from actionspace.features.extract import extract
from actionspace.video.index import frame_index

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "human_videos" / "scenes"
LIMIT = 0.10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="*", type=Path, help="files or folders of real videos")
    parser.add_argument("--encoder", default="swin3d_t")
    parser.add_argument("--clips", type=int, default=24, help="about this many, over all videos")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--torch-threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.torch_threads)
    videos = find(args.videos or [SHARED])
    encoder = create_encoder(args.encoder, device=args.device)
    hop = math.ceil(sum(len(frame_index(v)) for v in videos) / args.clips)
    rows = [{"video": str(v.resolve()), "start": 0, "end": 0, "label": "x"} for v in videos]
    with tempfile.TemporaryDirectory() as folder:
        store = extract(Events.from_frames(rows, root="/"), encoder, f"{folder}/s", hop=hop)
    summary = store.summary
    assert summary is not None
    result: dict[str, Any] = {
        "benchmark": "extraction_overlap",
        "encoder": args.encoder,
        "device": args.device,
        "videos": len(videos),
        "skipped": summary.skipped,
        "clips": summary.clips,
        "hop": hop,
        "seconds": round(summary.seconds, 2),
        "clips_per_second": round(summary.clips / summary.seconds, 3),
        "data_wait_seconds": round(summary.data_wait, 2),
        "data_wait_share": round(summary.data_wait_share, 4),
        "limit": LIMIT,
        "met": summary.data_wait_share <= LIMIT,
    }
    print(json.dumps(result, indent=2))


def find(places: list[Path]) -> list[Path]:
    files = [p for place in places for p in ([place] if place.is_file() else place.rglob("*"))]
    videos = sorted(p for p in files if p.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        raise SystemExit("No videos there; name some files or folders.")
    return videos


if __name__ == "__main__":
    main()
