"""Which encoder for the rats: `actionspace probe` on the six classes, sessions kept whole.

    python benchmarks/probe_leaderboard.py [../shared/data/rat_behaviour] [--encoders A,B]
        [--heads linear,knn] [--shots 1,2,5,10,20] [--out FOLDER]

Features are made first (into the cache), so that what is timed is a comparison from a warm store:
making each encoder, counting its multiply-adds, timing it, choosing, fitting and testing every head
in five session-grouped folds, the few-shot curves, the report. With three encoders and without
few-shot curves that is to take less than 60 s on two cores. Encoders called ``untrained:`` have
random weights: they say what their architecture alone is worth, and are no choice.

``normal`` is left out: it lives in one session, so that grouped folds cannot learn it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from actionspace.api_probe import probe
from actionspace.events.table import Events
from rat_behaviour import HIDDEN, read_clips

ENCODERS = "starter,untrained:starter,untrained:x3d_xs"
HEADS = "linear,knn,centroid,ridge"
LIMIT = 60.0


def six_classes(root: Path) -> Events:
    """The clips of the classes that occur in several sessions."""
    events = read_clips(root)
    return events.select(mask=events.rows["label"].to_numpy(dtype=str) != HIDDEN)


def timed(events: Events, encoders: str, heads: str, shots: list[int], out: Path) -> Any:
    """The leaderboard and the seconds it took."""
    begun = time.perf_counter()
    board = probe(events, encoders=encoders, heads=heads, shots=shots, out=out)
    return board, time.perf_counter() - begun


def in_short(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The leaderboard's rows, rounded."""
    return [
        {
            "encoder": row["encoder"],
            "head": row["head"],
            "mean_class_accuracy": round(row["mean_class_accuracy"], 3),
            "interval95": [round(x, 3) for x in row["mean_class_accuracy_ci"]],
            "to_the_best": [round(x, 3) for x in (row["behind_best"], *row["behind_best_ci"])],
            "fit_seconds": round(row["fit_seconds"], 2),
            "gmacs": round(row["gmacs"], 3),
        }
        for row in board["rows"]
    ]


def curves(board: dict[str, Any]) -> dict[str, dict[int, list[float]]]:
    """The few-shot curves, rounded: by labels per class the mean and its interval."""
    return {
        f"{curve['encoder']} {curve['head']}": {
            p["shots"]: [round(x, 3) for x in (p["value"], *p["interval"])] for p in curve["points"]
        }
        for curve in board["few_shot"]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "rat_behaviour"
    parser.add_argument("data", nargs="?", type=Path, default=default)
    parser.add_argument("--encoders", default=ENCODERS)
    parser.add_argument("--heads", default=HEADS)
    parser.add_argument("--shots", default="1,2,5,10,20")
    parser.add_argument("--out", type=Path, help="keep the folder with the report")
    args = parser.parse_args()
    if not (args.data / "public.csv").is_file():
        sys.exit(f"{args.data} has no public.csv; give the folder of the rat_behaviour clips.")
    events = six_classes(args.data)
    shots = [int(n) for n in args.shots.split(",") if n]
    with tempfile.TemporaryDirectory() as folder:
        timed(events, args.encoders, "centroid", [], Path(folder, "warm"))  # fills the cache
        _, seconds = timed(events, args.encoders, args.heads, [], Path(folder, "heads"))
        out = args.out or Path(folder, "few")
        board, with_curves = timed(events, args.encoders, args.heads, shots, out)
    result = {
        "benchmark": "probe_leaderboard",
        "protocol": board["protocol"],
        "seconds_from_warm_store": round(seconds, 1),
        "seconds_with_few_shot_curves": round(with_curves, 1),
        "encoders": len(board["encoders"]),
        "limit_seconds_for_three": LIMIT,
        "ratio_to_limit": round(seconds / LIMIT, 2) if len(board["encoders"]) == 3 else None,
        "rows": in_short(board),
        "few_shot": curves(board),
        "failed": board["failed"],
        "notes": board["notes"],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
