"""What the trainer costs beside the training itself.

The same module, batches, optimiser and number of steps, once in a plain PyTorch loop that keeps the
running loss and saves model and optimiser after each epoch, and once in ``training.loop.fit`` with
records, progress line, checks, exact resume and all (TensorBoard off). A tiny model, where a step
takes a fraction of a millisecond, shows the overhead in milliseconds; the others are heads on real
features. The two sides take turns; printed are medians, the spread of the plain side's own
repetitions ("noise"), and the largest difference of the trained weights, which must be zero. One
JSON object.

    python benchmarks/loop_overhead.py [--repeats 9] [--threads 1]
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import Any

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--repeats", type=int, default=9)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--device", default="cpu")
ARGS = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(ARGS.threads)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from actionspace.training import plan  # noqa: E402
from actionspace.training.loop import fit  # noqa: E402
from actionspace.training.options import TrainingConfig  # noqa: E402
from actionspace.training.run import Run  # noqa: E402

torch.set_num_threads(ARGS.threads)


@dataclass(frozen=True)
class Size:
    """A model and how long it is trained."""

    name: str
    dims: int
    hidden: int
    batch: int
    steps: int
    epochs: int


SIZES = (
    Size("tiny: 64 -> 32 -> 10, batch 16", 64, 32, 16, 2000, 2),
    Size("small: 1024 -> 512 -> 12, batch 256", 1024, 512, 256, 150, 2),
    Size("medium: 2048 -> 2048 -> 100, batch 512", 2048, 2048, 512, 30, 1),
)


class Table:
    """Features in memory; both sides take their batches from the same call."""

    def __init__(self, size: Size) -> None:
        rng = np.random.default_rng(0)
        n = size.batch * size.steps
        self.x = torch.from_numpy(rng.normal(size=(n, size.dims)).astype(np.float32))
        self.y = torch.from_numpy(rng.integers(0, 10, n))

    def __len__(self) -> int:
        return len(self.y)

    def name(self, index: int) -> str:
        return str(index)

    def gather(self, indices: np.ndarray, epoch: int) -> tuple[Tensor, Tensor]:
        at = torch.from_numpy(indices)
        return self.x[at], self.y[at]


class Task:
    """A two-layer classifier on the table."""

    def __init__(self, size: Size, table: Table) -> None:
        torch.manual_seed(0)
        self.train = table
        self.model = nn.Sequential(
            nn.Linear(size.dims, size.hidden), nn.GELU(), nn.Linear(size.hidden, 100)
        ).to(ARGS.device)

    def pass_limit(self, device: torch.device) -> None:
        return None

    def set_training(self, model: nn.Module) -> None:
        model.train()

    def step(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        return {"loss": functional.cross_entropy(model(batch[0]), batch[1])}

    def evaluate(self, model: nn.Module, evaluator: Any) -> None:
        return None


def config(size: Size) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {
            "epochs": size.epochs,
            "batch_size": size.batch,
            "precision": "float32",
            "tensorboard": False,
            "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.05, "no_decay": "none"},
            "schedule": {"name": "constant"},
        }
    )


def plain(size: Size, table: Table) -> tuple[float, dict[str, Tensor]]:
    """The loop one would write."""
    task = Task(size, table)
    folder = tempfile.TemporaryDirectory()
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=1e-3, weight_decay=0.05, fused=True)
    began = time.perf_counter()
    for epoch in range(size.epochs):
        task.model.train()
        total = torch.zeros((), device=ARGS.device)
        order = plan.epoch_order(len(table), 0, epoch)
        for k in range(size.steps):
            x, y = table.gather(order[k * size.batch : (k + 1) * size.batch], epoch)
            loss = functional.cross_entropy(
                task.model(x.to(ARGS.device, non_blocking=True)),
                y.to(ARGS.device, non_blocking=True),
            )
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.detach()
        state = {"model": task.model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**state, "loss": float(total)}, f"{folder.name}/state.pt")
    seconds = time.perf_counter() - began
    folder.cleanup()
    return seconds, task.model.state_dict()


def ours(size: Size, table: Table) -> tuple[float, dict[str, Tensor]]:
    task = Task(size, table)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        began = time.perf_counter()
        fit(task, config(size), Run(Run.start(folder).path), identity={}, device=ARGS.device)
        return time.perf_counter() - began, task.model.state_dict()


def compare(size: Size) -> dict[str, Any]:
    table = Table(size)
    steps = size.steps * size.epochs
    plain(size, table), ours(size, table)  # warm up
    theirs, mine, difference = [], [], 0.0
    gc.disable()
    for repeat in range(ARGS.repeats):
        pair = [(plain, theirs), (ours, mine)]
        weights = {}
        for work, times in pair if repeat % 2 else pair[::-1]:
            seconds, weights[work] = work(size, table)
            times.append(1e3 * seconds / steps)
            gc.collect()
        a, b = weights[plain], weights[ours]
        difference = max(difference, *(float((a[k] - b[k]).abs().max()) for k in a))
    gc.enable()
    low, middle, high = min(theirs), statistics.median(theirs), max(theirs)
    paired = [b / a - 1 for a, b in zip(theirs, mine, strict=True)]
    return {
        "model": size.name,
        "steps": steps,
        "plain_ms_per_step": round(middle, 4),
        "ours_ms_per_step": round(statistics.median(mine), 4),
        "overhead_ms_per_step": round(statistics.median(mine) - middle, 4),
        "overhead_percent": round(100 * statistics.median(paired), 2),
        "noise_percent": round(100 * (high - low) / middle, 2),
        "max_weight_difference": difference,
    }


def main() -> None:
    result = {
        "benchmark": "loop_overhead",
        "device": ARGS.device,
        "threads": ARGS.threads,
        "repeats": ARGS.repeats,
        "what": "whole trainings, set-up and the states saved after each epoch included",
        "sizes": [compare(size) for size in SIZES],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
