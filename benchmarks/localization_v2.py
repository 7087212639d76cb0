"""A training step of transformer v2 against ActionFormer's first one: time and memory by length.

The step is forward, losses, backward and AdamW in the THUMOS14 configuration (I3D features, 2,048
values a row) with one video, at 2,304 and 9,216 rows, with windows of 19 and with all of the video
in view. Each setting runs in a process of its own, so that peaks of memory are its own; settings
follow one another, the best of the repeats counts, and what a step adds to the memory that the
network and its optimiser take is told beside the whole. Prints one JSON object; with windows, v2
must take at most 4.5 times as long for four times the rows.

    python benchmarks/localization_v2.py [--repeats 3] [--threads 2] [--device cuda]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actionspace.localization.network.config import ModelConfig

DIM, CLASSES, EVENTS, LR, LIMIT = 2048, 20, 15, 1e-4, 4.5
BACKBONES = ("transformer", "transformer_v2", "transformer_v2_shared")
WINDOWS = {"windows": 19, "global": -1}


def config(backbone: str, attention: str, rows: int) -> ModelConfig:
    """Return the network; ``_shared`` has one head of keys and values for two of queries."""
    from actionspace.localization.network.config import ModelConfig

    shared = backbone.endswith("_shared")
    values = {
        "backbone": backbone.removesuffix("_shared"),
        "v2": {"kv_heads": 2} if shared else {},
        "windows": WINDOWS[attention],
        "max_length": rows,
    }
    return ModelConfig.model_validate(values)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return seconds and MiB of one setting, in this process."""
    import torch

    from actionspace.localization.learning.assign import assign, collect
    from actionspace.localization.learning.config import LossConfig
    from actionspace.localization.learning.losses import LocalizationLoss
    from actionspace.localization.network.create import create_network
    from actionspace.localization.network.points import pyramid_points
    from actionspace.training.optimizers import OptimizerConfig, build_optimizer

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    network = create_network(config(args.backbone, args.attention, args.rows), DIM, CLASSES)
    network = network.to(args.device).train()
    criterion = LocalizationLoss(LossConfig()).to(args.device)
    optimizer = build_optimizer(network, OptimizerConfig(lr=LR))
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # so that its moments are there before memory is looked at
    features = torch.randn(1, DIM, args.rows, device=args.device)
    mask = torch.ones(1, 1, args.rows, dtype=torch.bool, device=args.device)
    begin = torch.rand(EVENTS) * (args.rows - 100)
    segments = torch.stack([begin, begin + 4 + torch.rand(EVENTS) * 80], 1).to(args.device)
    truth = collect([segments], [torch.randint(CLASSES, (EVENTS,)).to(args.device)])
    points = pyramid_points(network.config, args.rows, features.device)

    def step() -> float:
        targets = assign(points, truth, CLASSES, criterion.config)
        learnt = targets.learnt if args.device == "cpu" else None
        losses = criterion(network(features, mask, learnt), targets)
        optimizer.zero_grad(set_to_none=False)
        losses["loss"].backward()
        optimizer.step()
        return float(losses["loss"].item())

    base, times = peak_mib(args.device), []
    for _ in range(1 + args.repeats):  # the first one is not counted
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    peak = peak_mib(args.device)
    return {
        "wall_seconds": round(min(wall for wall, _ in times[1:]), 4),
        "cpu_seconds": round(min(cpu for _, cpu in times[1:]), 4),
        "peak_mib": round(peak),
        "step_mib": round(peak - base),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def peak_mib(device: str) -> float:
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def in_a_process(args: argparse.Namespace, backbone: str, attention: str, rows: int) -> Any:
    command = [sys.executable, __file__, "--one", "--backbone", backbone, "--attention", attention]
    command += ["--rows", str(rows), "--repeats", str(args.repeats)]
    command += ["--threads", str(args.threads), "--device", args.device]
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    run = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout)


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """Return every setting, v2 against v1, and long against short."""
    table: dict[str, Any] = {}
    for attention in args.attentions:
        for rows in args.lengths:
            of = {name: in_a_process(args, name, attention, rows) for name in BACKBONES}
            base = of["transformer"]["cpu_seconds"]
            for found in of.values():
                found["speed_against_v1"] = round(base / found["cpu_seconds"], 2)
            table[f"{attention}_{rows}"] = of
    short, long = args.lengths[0], args.lengths[-1]
    growth = {
        attention: {
            kind: {
                name: round(
                    table[f"{attention}_{long}"][name][kind]
                    / max(table[f"{attention}_{short}"][name][kind], 1e-9),
                    2,
                )
                for name in BACKBONES
            }
            for kind in ("wall_seconds", "cpu_seconds", "step_mib")
        }
        for attention in args.attentions
    }
    return {"settings": table, "long_against_short": growth}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--lengths", type=int, nargs="+", default=[2304, 9216])
    parser.add_argument("--attentions", nargs="+", choices=[*WINDOWS], default=[*WINDOWS])
    parser.add_argument("--one", action="store_true", help="measure one setting, in this process")
    parser.add_argument("--backbone", choices=BACKBONES, default=BACKBONES[1])
    parser.add_argument("--attention", choices=[*WINDOWS], default="windows")
    parser.add_argument("--rows", type=int, default=2304)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args)))
        return
    result = {
        "benchmark": "localization_v2",
        "config": "thumos14_i3d",
        "batch": [1, DIM, args.lengths],
        "device": args.device,
        "threads": args.threads,
        "repeats": args.repeats,
        "step": compare(args),
        "targets": {"windows_long_against_short": LIMIT},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
