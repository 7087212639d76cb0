"""Seconds per batch of an encoder: median and 95th percentile, warmed up and synchronised.

The clips lie on the device already, so this is the network alone. Prints one JSON object.

    python benchmarks/latency.py untrained:x3d_s --batch 1 --batch 8 --device cuda
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch

from actionspace.encoders.create import create_encoder
from actionspace.metrics.latency import measure_latency


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", nargs="?", default="untrained:x3d_s")
    parser.add_argument("--batch", type=int, action="append", help="clips per call; repeatable")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    encoder = create_encoder(args.encoder, device=args.device)
    clip = encoder.clip
    result: dict[str, Any] = {
        "benchmark": "latency",
        "encoder": args.encoder,
        "clip": [clip.channels, clip.frames, clip.size, clip.size],
        "threads": args.threads,
        "torch": torch.__version__,
        "batches": [],
    }
    for size in args.batch or [1]:
        clips = torch.randn(size, clip.channels, clip.frames, clip.size, clip.size)
        clips = clips.to(args.device)
        with torch.inference_mode():
            found = measure_latency(
                lambda clips=clips: encoder(clips),
                batch_size=size,
                device=args.device,
                calls=args.calls,
            )
        result["batches"].append(found.as_dict())
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
