"""What adapting an encoder brings on a small data set, and what it costs.

rat_behaviour (the rows of ``public.csv``), the six classes that occur in several sessions, five
session-grouped folds, predictions pooled: a linear probe of the starter encoder, LoRA and full
fine-tuning of it, and an X3D-XS trained from nothing. Each goes through ``actionspace.train`` in a
process of its own, which trains five models and the one that stays; trained ones have the same
augmentation. The settings were chosen for the time they take on two cores, not on these sessions.
Prints a markdown table and a JSON object; ``--out`` writes the latter.

    python benchmarks/adaptation_modes.py [../shared/data/rat_behaviour] [--only probe,lora]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SQUEEZED = {"geometry": "full", "size": 128}
SPARSE = {**SQUEEZED, "frames": 4, "spread": True}
SAME: dict[str, Any] = {
    "clips": {"rows": "events", "resize": "fast"},
    "training": {
        "batch_size": 8,
        "schedule": {"warmup_epochs": 1},
        "tensorboard": False,
        "checkpoint": {"keep": "last"},
    },
    "evaluation": {"bootstrap": 5000},
}
AUGMENT = {"crop": {"p": 1.0, "area": [0.6, 1.0]}, "flip": {"p": 0.5}}
# The recipe, what differs from it, and how the row is called. Clips last 16 frames: X3D-XS, which
# is made for 4 frames out of 48, takes 4 spread over them.
MODES: dict[str, tuple[str, dict[str, Any], str]] = {
    "probe": ("linear_probe", {}, "linear probe of the starter"),
    "lora": (
        "lora",
        {"augment": AUGMENT, "training": {"epochs": 6}},
        "LoRA of the starter (r = 8, qv)",
    ),
    "full": (
        "finetune",
        {"augment": AUGMENT, "training": {"epochs": 6}},
        "full fine-tuning of the starter",
    ),
    "x3d_xs": (
        "finetune",
        {
            "encoder": "untrained:x3d_xs",
            "augment": AUGMENT,
            "clips": {"train": SPARSE, "val": SPARSE, "test": SPARSE},
            "training": {
                "epochs": 5,
                "optimizer": {"lr": 0.002, "rules": {"backbone": {"lr": 1.0}}},
            },
        },
        "X3D-XS from scratch (4 frames, 128 × 128)",
    ),
}
METRICS = ("top1_accuracy", "mean_class_accuracy")


def measure(mode: str, args: argparse.Namespace) -> dict[str, Any]:
    """Cross-validate one mode; return its figures."""
    import torch

    import actionspace
    from actionspace.config import merge
    from rat_behaviour import HIDDEN, read_clips

    torch.set_num_threads(args.threads)
    events = read_clips(args.data)
    events = events.select(mask=events.rows["label"].to_numpy(dtype=str) != HIDDEN)
    recipe, options, _ = MODES[mode]
    fields = merge(SAME, fields=options)
    if args.epochs:
        fields = merge(fields, fields={"training": {"epochs": args.epochs}})
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run = actionspace.train(
            recipe, data=events, folds=args.folds, out=Path(folder) / mode, **fields
        )
        seconds = time.perf_counter() - began
        metrics, facts = run.metrics, run.environment
    return {
        "clips": len(events),
        **{m: [round(metrics[m], 3), _rounded(metrics[f"{m}_ci"])] for m in METRICS},
        "seconds": round(seconds, 1),
        "cpu_seconds": round(facts["cpu_seconds"], 1),
        "epochs": fields["training"].get("epochs") if mode != "probe" else None,
        "trained_parameters": facts["trainable_parameters"],
        "peak_mib": round(facts["peak_memory_bytes"] / 2**20),
    }


def _rounded(interval: list[float]) -> list[float]:
    return [round(value, 3) for value in interval]


def in_process(mode: str) -> dict[str, Any]:
    """Measure a mode in a process of its own; this one stays small, since a child's peak memory is
    counted from its parent's size on.
    """
    command = [sys.executable, __file__, *sys.argv[1:], "--mode", mode]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    parsed: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return parsed


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the markdown table."""
    lines = [
        "| mode | top-1 | mean class | trained parameters | epochs | time | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for mode, row in rows.items():
        figures = [f"{v:.3f} [{low:.2f}, {high:.2f}]" for v, (low, high) in map(row.get, METRICS)]
        cells = [
            MODES[mode][2],
            *figures,
            f"{row['trained_parameters']:,}",
            str(row["epochs"] or "–"),
            f"{row['seconds']:.0f} s",
            f"{row['peak_mib']:,} MiB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "rat_behaviour"
    parser.add_argument("data", nargs="?", type=Path, default=default)
    parser.add_argument("--only", help=f"comma-separated, of {', '.join(MODES)}")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="instead of each mode's own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the JSON object here, too")
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not (args.data / "public.csv").is_file():
        sys.exit(f"{args.data} has no public.csv; give the folder of the rat_behaviour clips.")
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    if args.mode:
        print(json.dumps(measure(args.mode, args)))
        return
    chosen = args.only.split(",") if args.only else list(MODES)
    rows = {mode: in_process(mode) for mode in chosen}
    result = {
        "benchmark": "adaptation_modes",
        "protocol": f"{args.folds} session-grouped folds, predictions pooled; intervals: 95 %, "
        "sessions resampled",
        "threads": args.threads,
        "seconds": round(sum(row["seconds"] for row in rows.values()), 1),
        "modes": rows,
    }
    print(table(rows), end="\n\n")
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
