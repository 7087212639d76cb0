"""kill -9 a training again and again at random moments, resume it each time, compare the weights.

A head with dropout, accumulation, an average of the weights, warm-up and a last step that is not
full is trained on decoded clips of the demo for about ``--seconds``; once undisturbed, then with
``--kills`` kills at random moments. Prints one JSON object; exits 1 unless the final weights are
equal bit for bit. Children are started anew each time, as a user's would be.

    python benchmarks/kill_resume.py --kills 20 --seconds 180
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

FINAL = ("weights.safetensors", "ema.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = demo_clips(root / "demo")
        epochs, start_up = choose_epochs(data, root, args.seconds)
        whole, seconds = root / "whole", time.monotonic()
        finish(start(data, whole, epochs, resume=False), None)
        seconds = time.monotonic() - seconds
        killed, kills, before_state = root / "killed", 0, 0
        while kills < args.kills:
            resume = (killed / "state.pt").is_file()
            before_state += kills > 0 and not resume
            child = start(data, killed, epochs, resume=resume)
            if kills % 4:  # one in four may fall into the imports
                wait_for_work(child, killed)
            if not finish(child, rng.uniform(0, 1.6) * (seconds - start_up) / args.kills):
                raise SystemExit(f"The training ended after {kills} kills; raise --seconds.")
            kills += 1
        finish(start(data, killed, epochs, resume=(killed / "state.pt").is_file()), None)
        same = {name: digest(whole / name) == digest(killed / name) for name in FINAL}
        sessions = json.loads((killed / "environment.json").read_text())["sessions"]
        rows = [len((r / "metrics.csv").read_text().splitlines()) for r in (whole, killed)]
    result: dict[str, Any] = {
        "benchmark": "kill_resume",
        "kills": kills,
        "kills_before_the_first_state": before_state,
        "sessions": sessions,
        "epochs": epochs,
        "uninterrupted_seconds": round(seconds, 1),
        "lines_of_metrics_csv": rows,
        "equal": same,
        "seed": args.seed,
    }
    print(json.dumps(result, indent=2))
    sys.exit(0 if all(same.values()) else 1)


def demo_clips(folder: Path) -> Path:
    """Write the demo's clips and manifest."""
    from actionspace.demo import copy_clips

    return copy_clips(folder)


def start(data: Path, out: Path, epochs: int, *, resume: bool) -> subprocess.Popen[bytes]:
    """Start the training as a user would."""
    options = [
        "linear_probe",
        "mode=head",
        f"data={data}",
        f"training.epochs={epochs}",
        "training.batch_size=20",
        "training.micro_batch_size=8",
        "training.ema.decay=0.99",
        "training.checkpoint.minutes=0.02",
        "training.checkpoint.keep=last",
        "training.schedule.warmup_epochs=1",
        "training.log_every=1",
        "clips.train.augment=1000",
    ]
    command = [sys.executable, "-m", "actionspace", "train", *options, "--out", str(out)]
    return subprocess.Popen(
        command + ["--resume"] * resume,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def choose_epochs(data: Path, root: Path, seconds: float) -> tuple[int, float]:
    """Return the epochs that take about ``seconds``, and the seconds before the first step."""
    trial, began = root / "trial", time.monotonic()
    finish(start(data, trial, 6, resume=False), None)
    whole = time.monotonic() - began
    with (trial / "metrics.csv").open() as f:
        rows = [(float(r["epoch"]), float(r["seconds"])) for r in csv.DictReader(f)]
    (_, first), (epoch, last) = rows[0], rows[-1]
    each = (last - first) / (epoch - rows[0][0])
    return max(2, round(seconds / each)), max(1.0, whole - epoch * each)


def wait_for_work(child: subprocess.Popen[bytes], run: Path) -> None:
    """Return once this session has saved its first state."""
    state = run / "state.pt"
    before = state.stat().st_mtime_ns if state.is_file() else 0
    while child.poll() is None and not (state.is_file() and state.stat().st_mtime_ns > before):
        time.sleep(0.02)


def finish(child: subprocess.Popen[bytes], after: float | None) -> bool:
    """Wait, kill after ``after`` seconds, and return whether that was needed."""
    try:
        _, said = child.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return True
    if child.returncode:
        raise SystemExit(said.decode(errors="replace")[-3000:])
    return False


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
