"""Temporal constraints on 10,000 detections, ordering included, against the limit of one second.

Detections of 20 classes lie all over one video, and over 200 videos. Each rule is timed by itself
and all together; then the sequence of the dynamic programme is held against all sequences of a few
events, one by one. Prints one JSON object.

    python benchmarks/constraints.py [--repeats 5] [--detections 10000] [--classes 20]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.events.constraints import TemporalConstraints

LIMIT = 1.0  # seconds of processor time


def detections(n: int, classes: int, videos: int, seed: int = 0) -> pd.DataFrame:
    """Events of many lengths all over the videos, scores with a long tail."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 4 * n / videos, n)
    return pd.DataFrame(
        {
            "video": [f"v{i}" for i in rng.integers(0, videos, n)],
            "start": start,
            "end": start + 0.2 + rng.exponential(6, n),
            "label": [f"c{i:02d}" for i in rng.integers(0, classes, n)],
            "score": rng.uniform(0, 1, n) ** 3,
        }
    )


def rules(classes: int) -> dict[str, dict[str, Any]]:
    names = [f"c{i:02d}" for i in range(classes)]
    follows = {a: [names[(i + k) % classes] for k in (1, 2, 3)] for i, a in enumerate(names)}
    alone: dict[str, dict[str, Any]] = {
        "merge": {"merge_gap": 0.05},
        "duration": {"duration_range": [0.5, 20]},
        "overlap": {"max_overlap_within": 0.3, "max_overlap_across": 0.6},
        "gap": {"min_gap": 1.0},
        "order": {"order": follows},
        "order_with_overlaps": {"order": follows, "order_overlap": True},
    }
    joined = [alone[name] for name in ("merge", "duration", "overlap", "gap", "order")]
    return alone | {"all": {k: v for rule in joined for k, v in rule.items()}}


def seconds(rule: TemporalConstraints, rows: pd.DataFrame, repeats: int) -> dict[str, Any]:
    kept = rule.applied(rows)  # warms up
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        kept = rule.applied(rows)
        taken.append(time.process_time() - began)
    return {"cpu_s": round(median(taken), 4), "kept": len(kept)}


def best_of_all(rows: pd.DataFrame, follows: dict[str, list[str]]) -> float:
    """Try every set of events; the best total score of one that is a sequence."""
    told = rows.sort_values(["start", "end"]).to_dict("records")
    best = 0.0
    for size in range(1, len(told) + 1):
        for some in itertools.combinations(told, size):
            fits = all(
                a["end"] <= b["start"] and b["label"] in follows[a["label"]]
                for a, b in itertools.pairwise(some)
            )
            best = max(best, sum(e["score"] for e in some)) if fits else best
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--detections", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=20)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"

    from actionspace.events.constraints import TemporalConstraints

    cases = {}
    for videos in (1, 200):
        rows = detections(args.detections, args.classes, videos)
        for name, given in rules(args.classes).items():
            rule = TemporalConstraints.model_validate(given)
            cases[f"{name}, {videos} video{'s' * (videos > 1)}"] = seconds(rule, rows, args.repeats)
    follows = rules(4)["order"]["order"]
    errors: list[float] = []
    for seed in range(10):
        rows = detections(12, 4, 1, seed)
        kept = TemporalConstraints(order=follows).applied(rows)
        errors.append(abs(best_of_all(rows, follows) - float(kept["score"].sum())))
    result = {
        "benchmark": "constraints",
        "detections": args.detections,
        "classes": args.classes,
        "repeats": args.repeats,
        "cases": cases,
        "largest_difference_to_all_sequences": max(errors),
        "limit_cpu_s": LIMIT,
        "reached": all(case["cpu_s"] < LIMIT for case in cases.values()) and max(errors) < 1e-9,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
