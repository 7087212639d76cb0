"""Alignment and its measures against loops: DTW, Kendall's tau and AP@K, on one thread.

The other sides are written out here. DTW: a double loop in plain Python over the table of
distances, with its way back, in two forms: over the cells of a NumPy array with the predecessors
collected in a list for any warp, as the published library does it, and over Python lists, the
fastest that plain Python gets. Kendall's tau: for each ordered pair of videos SciPy's distances,
argmin and ``kendalltau``. AP@K: for each video and each K the distances to all other videos,
sorted whole.

Both sides must give the same paths and figures, or the programme stops. Times are processor time.
Prints one JSON object.

    OMP_NUM_THREADS=1 python benchmarks/alignment_metrics.py [--videos 100] [--frames 300]
        [--width 128] [--stride 1] [--large 5000]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import kendalltau

from actionspace.alignment.match import warp
from actionspace.metrics.frame_retrieval import retrieval_at_k
from actionspace.metrics.kendall_tau import kendalls_tau

LIMITS = {"dtw_300": 50, "tau_and_ap": 20, "large_gib": 2.0}
KS = (5, 10, 15)


def loop_over_array(cost: np.ndarray, warp: int = 1) -> tuple[float, list[tuple[int, int]]]:
    n, m = cost.shape
    table = np.full((n + 1, m + 1), np.inf)
    table[0, 0] = 0
    table[1:, 1:] = cost
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            before = [table[i - 1, j - 1]]
            for k in range(warp):
                before += [table[min(i - 1 + k, n), j], table[i, min(j - 1 + k, m)]]
            table[i, j] += min(before)
    return float(table[n, m]), way_back(table, n, m)


def loop_over_lists(cost: np.ndarray) -> tuple[float, list[tuple[int, int]]]:
    n, m = cost.shape
    table = [[0.0, *[float("inf")] * m]]
    for row in cost.tolist():
        above, cells, left = table[-1], [float("inf")], float("inf")
        for j, value in enumerate(row):
            left = value + min(above[j], above[j + 1], left)
            cells.append(left)
        table.append(cells)
    return table[n][m], way_back(np.array(table), n, m)


def way_back(table: np.ndarray, n: int, m: int) -> list[tuple[int, int]]:
    i, j, path = n, m, [(n - 1, m - 1)]
    while i > 1 or j > 1:
        step = int(np.argmin((table[i - 1, j - 1], table[i - 1, j], table[i, j - 1])))
        i, j = i - (step != 2), j - (step != 1)
        path.append((i - 1, j - 1))
    return path[::-1]


def tau_by_pairs(videos: list[np.ndarray]) -> float:
    found = [
        kendalltau(np.arange(len(a)), cdist(a, b, "sqeuclidean").argmin(axis=1)).statistic
        for i, a in enumerate(videos)
        for j, b in enumerate(videos)
        if i != j
    ]
    return float(np.nanmean(found))


def ap_by_videos(videos: list[np.ndarray], labels: list[np.ndarray]) -> dict[int, float]:
    found = {}
    for k in KS:
        per_video = []
        for i, query in enumerate(videos):
            others = [j for j in range(len(videos)) if j != i]
            apart = cdist(query, np.concatenate([videos[j] for j in others]), "sqeuclidean")
            phases = np.concatenate([labels[j] for j in others])
            nearest = np.argsort(apart, axis=1)[:, :k]
            per_video.append((phases[nearest] == labels[i][:, None]).mean())
        found[k] = float(np.mean(per_video))
    return found


def timed(call: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    seconds = []
    for _ in range(repeats):
        began = time.process_time()
        result = call()
        seconds.append(time.process_time() - began)
    return median(seconds), result


def dtw(size: int, rng: np.random.Generator) -> dict[str, Any]:
    cost = rng.random((size, size))
    warp(cost)
    ours, path = timed(lambda: warp(cost), 21)
    row: dict[str, Any] = {"frames": size, "ours_s": ours}
    for name, loop in (("array_loop", loop_over_array), ("list_loop", loop_over_lists)):
        theirs, (total, cells) = timed(lambda loop=loop: loop(cost), 3)  # type: ignore[misc]
        if total != path.cost or cells != [*zip(path.query, path.candidate, strict=True)]:
            raise SystemExit(f"The {name} finds another path.")
        row |= {f"{name}_s": round(theirs, 4), f"times_{name}": round(theirs / ours, 1)}
    return row | {"ours_s": round(ours, 5)}


def large(size: int, rng: np.random.Generator) -> dict[str, Any]:
    """Distances of two long videos and their path, with what the process held at most."""
    a, b = rng.normal(size=(2, size, 16))
    seconds, _ = timed(lambda: warp(cdist(a, b, "sqeuclidean")))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "frames": size,
        "ours_s": round(seconds, 3),
        "peak_gib": round(peak, 2),
        "within": peak <= LIMITS["large_gib"],
    }


def measures(args: argparse.Namespace, rng: np.random.Generator) -> dict[str, Any]:
    """Videos that all go through one course of action, each at its own speed."""
    course = np.cumsum(rng.normal(size=(50, args.width)), axis=0)
    videos, labels = [], []
    for _ in range(args.videos):
        at = 49 * np.sort(rng.random(args.frames)) ** rng.uniform(0.7, 1.4)
        between = np.array([np.interp(at, np.arange(50), column) for column in course.T]).T
        videos.append((between + rng.normal(size=between.shape)).astype(np.float32))
        labels.append((at // 10).astype(int))
    strided = [v[:: args.stride] for v in videos], [p[:: args.stride] for p in labels]
    kendalls_tau(videos[:3])
    tau, found = timed(lambda: kendalls_tau(videos, stride=args.stride), 3)
    ap, precision = timed(lambda: retrieval_at_k(videos, labels, KS, stride=args.stride), 3)
    tau_loop, expected = timed(lambda: tau_by_pairs(strided[0]))
    ap_loop, expected_ap = timed(lambda: ap_by_videos(*strided))
    worst = max(abs(found.mean - expected), *(abs(precision[k] - expected_ap[k]) for k in KS))
    if worst > 1e-12:
        raise SystemExit(f"The two sides differ by {worst}.")
    return {
        "frames": [args.videos, args.frames, args.width],
        "stride": args.stride,
        "tau": {"ours_s": round(tau, 3), "loop_s": round(tau_loop, 2)},
        "times_tau": round(tau_loop / tau, 1),
        "ap": {"ours_s": round(ap, 3), "loop_s": round(ap_loop, 2)},
        "times_ap": round(ap_loop / ap, 1),
        "times_tau_and_ap": round((tau_loop + ap_loop) / (tau + ap), 1),
        "largest_difference": worst,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=100)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--large", type=int, default=5000)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    # The large table first: the peak is that of the whole process.
    result = {"limits": LIMITS, "large": large(args.large, rng), "dtw": dtw(300, rng)}
    print(json.dumps(result | {"measures": measures(args, rng)}, indent=1))


if __name__ == "__main__":
    main()
