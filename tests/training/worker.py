"""What the processes of tests/training/test_processes.py run."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from actionspace.errors import ActionspaceError
from actionspace.training.loop import fit
from actionspace.training.options import TrainingConfig
from actionspace.training.run import Run
from tests.training.toy import Blobs, Points, Table

CONFIG: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 10,
    "micro_batch_size": 3,
    "log_every": 1,
    "clip_norm": 1.0,
    "tensorboard": False,
    "timeout": 20,
    "optimizer": {"name": "adamw", "lr": 0.02},
    "ema": {"decay": 0.9},
    "checkpoint": {"minutes": 0, "keep": "best"},
}


class Faulty(Blobs):
    """Something happens to one process in one step."""

    fault: str | None = None
    rank: int = 1
    at: int = 8
    steps: int = 0

    def step(self, model: Any, batch: Any) -> dict[str, torch.Tensor]:
        self.steps += 1
        if self.fault is not None and self.steps == self.at:
            here = int(os.environ.get("RANK", "0")) == self.rank
            if self.fault == "kill" and here:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == "term" and here:
                os.kill(os.getpid(), signal.SIGTERM)
            if self.fault == "memory" and here:
                raise torch.OutOfMemoryError("simulated")
        return super().step(model, batch)


def train(
    out: str | Path,
    n: int = 105,
    *,
    bad: tuple[int, ...] = (),
    table: bool = False,
    fault: str | None = None,
    resume: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """Train in this process (one of several, perhaps); return what it came to."""
    kind = Table if table else Points
    task = Faulty(kind(n, bad=frozenset(bad)), kind(37, seed=1))
    task.fault = fault
    run = Run(Path(out))
    run.path.mkdir(parents=True, exist_ok=True)
    config = TrainingConfig.model_validate({**CONFIG, **changes})
    outcome = fit(task, config, run, identity={"n": n}, device="cpu", resume=resume)
    return {
        "weights": {k: v.tolist() for k, v in task.model.state_dict().items()},
        "metrics": outcome.progress.metrics,
        "skipped": outcome.skipped,
        "steps": outcome.progress.total,
    }


def work(scenarios: Mapping[str, dict[str, Any]]) -> None:
    """Train one scenario after another; each leaves what it came to in ``out``."""
    rank = os.environ.get("RANK", "0")
    for name, scenario in scenarios.items():
        out = Path(scenario["out"])
        try:
            found = train(**scenario)
        except ActionspaceError as e:
            print(f"{name}: rank {rank}: {e}", file=sys.stderr, flush=True)
            raise SystemExit(e.exit_code) from None
        (out / f"rank{rank}.json").write_text(json.dumps(found))
