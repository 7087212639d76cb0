"""Searching a large feature store: every row read, against an index (faiss, `actionspace[index]`).

Writes a store of made-up features (each video dwells on scenes out of two thousand, in a space of
64 dimensions, with noise in all others; float16), indexes it, and asks for the 12 moments most like
one, in other videos, from many places. Both sides run in one process on the same threads, with the
files in the page cache. Prints one JSON object.

    OMP_NUM_THREADS=1 python benchmarks/search_index.py [--rows 2000000] [--width 256] [--ask 10]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from actionspace.features.store import FeatureStore, VideoFeatures
from actionspace.search.index import row_index
from actionspace.search.nearest import Moment, Query, nearest

SCENES, LIKE, DWELL, VIDEO = 2000, 64, 200, 4000


def write(store: FeatureStore, videos: int, width: int) -> None:
    rng = np.random.default_rng(0)
    scenes = rng.normal(size=(SCENES, LIKE)).astype(np.float32)
    spread = rng.normal(size=(LIKE, width)).astype(np.float32) / np.sqrt(LIKE)
    times = np.stack([np.arange(VIDEO), np.arange(VIDEO) + 1.0], axis=1)
    for number in range(videos):
        scene = scenes[rng.integers(0, SCENES, VIDEO // DWELL)].repeat(DWELL, axis=0)
        rows = (scene + 0.3 * rng.normal(size=scene.shape)) @ spread
        rows += 0.1 * rng.normal(size=rows.shape)
        found = VideoFeatures(rows.astype(np.float16), times)
        store.put(f"{number:05d}.mp4", f"{number:032x}", found)
    store.save_index()


def asked(
    store: FeatureStore, queries: list[Query], index: bool
) -> tuple[float, list[set[Moment]]]:
    seconds, found = [], []
    for query in queries:
        began = time.process_time()
        found.append(set(nearest(store, query, 12, elsewhere=True, index=index)))
        seconds.append(time.process_time() - began)
    return median(seconds), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--ask", type=int, default=10)
    args = parser.parse_args()
    videos = args.rows // VIDEO
    rng = np.random.default_rng(1)
    names = rng.integers(0, videos, args.ask)
    queries = [Query(f"{n:05d}.mp4", float(rng.uniform(0, VIDEO))) for n in names]
    with tempfile.TemporaryDirectory() as folder:
        about = {"encoder": "made up", "dim": args.width, "rows": "dense"}
        store = FeatureStore.create(Path(folder, "store"), about)
        write(store, videos, args.width)
        began = time.process_time()
        index = row_index(store)
        built = time.process_time() - began
        size = sum(p.stat().st_size for p in (store.path / "search").iterdir())
        indexed, some = asked(store, queries, True)
        exact, every = asked(store, queries, False)
    same = sum(len(a & b) for a, b in zip(some, every, strict=True))
    result = {
        "benchmark": "search_index",
        "rows": [videos * VIDEO, args.width],
        "videos": videos,
        "build_s": round(built, 1),
        "index_mib": round(size / 2**20),
        "recall": index.recall,
        "exact_s": round(exact, 3),
        "indexed_s": round(indexed, 3),
        "times": round(exact / indexed, 1),
        "same_moments": round(same / sum(map(len, every)), 4),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
