"""One training step of ActionFormer, and inference of a short video, against the plain algorithm.

The step is the whole of it (forward, losses, backward, clipping, AdamW, moving average) in the
THUMOS14 configuration: I3D features, 29 million parameters, two windows of 2,304 rows; with
``--annotations thumos14.json``, windows of its training videos instead, drawn as in training, which
are mostly shorter: the original pads them to 2,304 rows as well, ours as little as keeps the
result. The other side, ``actionformer_plain.py``, is the published algorithm in plain PyTorch with
PyTorch's default optimiser; it computes with the same weights on the same threads, and its losses
are compared step by step. Inference is of one video padded as little as is safe, against padding
to 2,304 rows as the original does, and against the other side. Times are taken in turn and compared
pair by pair, wall time and CPU time. Prints one JSON object.

    python benchmarks/localization_step.py [--repeats 3] [--threads 2] [--annotations JSON]
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

DIM, CLASSES, EVENTS, LR, CLIP, DECAY = 2048, 20, 15, 1e-4, 1.0, 0.999
STRIDE, OFFSET = 4, 2.0  # of the I3D features: frames per row; rows before the first one's centre


def network(args: argparse.Namespace) -> Any:
    import torch

    from actionspace.localization.network.config import ModelConfig
    from actionspace.localization.network.layers import AffineDropPath
    from actionspace.localization.network.model import ActionFormer

    torch.manual_seed(0)
    model = ActionFormer(ModelConfig(max_length=args.rows), DIM, CLASSES).to(args.device)
    for module in model.modules():
        if isinstance(module, AffineDropPath):
            module.rate = 0.0  # so that both sides have the same losses
    return model


class Ours:
    def __init__(self, args: argparse.Namespace) -> None:
        import torch

        from actionspace.localization.learning.config import LossConfig
        from actionspace.localization.learning.losses import LocalizationLoss
        from actionspace.training.ema import EMA
        from actionspace.training.optimizers import OptimizerConfig, build_optimizer

        self.model = network(args).train()
        self.forward = torch.compile(self.model) if args.compile else self.model
        self.criterion = LocalizationLoss(LossConfig()).to(args.device)
        self.optimizer = build_optimizer(self.model, OptimizerConfig(lr=LR))
        self.average = EMA(self.model, DECAY)
        self.precision = args.precision

    def step(self, batch: dict[str, Any]) -> float:
        import torch

        from actionspace.localization.learning.assign import assign, collect
        from actionspace.localization.network.points import pyramid_points

        features, videos = batch["features"], batch["videos"]
        points = pyramid_points(self.model.config, features.shape[-1], features.device)
        truth = collect([v["segments"] for v in videos], [v["labels"] for v in videos])
        targets = assign(points, truth, CLASSES, self.criterion.config)
        learnt = targets.learnt if features.device.type == "cpu" else None
        low = self.precision == "bfloat16"
        with torch.autocast(features.device.type, torch.bfloat16, enabled=low):
            said = self.forward(features, batch["mask"], learnt)
        losses = self.criterion(said, targets)
        self.optimizer.zero_grad()
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.average.update()
        return losses["loss"].item()


class Plain:
    def __init__(self, args: argparse.Namespace) -> None:
        import torch

        from actionformer_plain import PlainActionFormer, PlainLoss
        from actionspace.localization.learning.config import LossConfig
        from actionspace.training.optimizers import OptimizerConfig, parameter_groups

        self.model = network(args).train()
        self.forward = PlainActionFormer(self.model)
        self.criterion = PlainLoss(LossConfig())
        groups = parameter_groups(self.model, OptimizerConfig(lr=LR))
        self.optimizer = torch.optim.AdamW(groups, lr=LR)
        self.average = copy.deepcopy(self.model)

    def step(self, batch: dict[str, Any]) -> float:
        import torch

        self.optimizer.zero_grad()
        losses = self.criterion(self.forward(batch["features"], batch["mask"]), batch["videos"])
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        with torch.no_grad():
            pairs = zip(
                self.average.state_dict().values(), self.model.state_dict().values(), strict=True
            )
            for mean, value in pairs:
                mean.copy_(DECAY * mean + (1 - DECAY) * value)
        return losses["loss"].item()


def full_windows(args: argparse.Namespace) -> list[tuple[int, torch.Tensor]]:
    """Rows and segments ``[N, 2]`` of windows that are as long as they may be."""
    import torch

    draw = torch.Generator().manual_seed(1)
    windows = []
    for _ in range(args.batch):
        begin = torch.rand(EVENTS, generator=draw) * (args.rows - 100)
        length = 4 + torch.rand(EVENTS, generator=draw) * 80
        windows.append((args.rows, torch.stack([begin, begin + length], 1)))
    return windows


def thumos_windows(args: argparse.Namespace, step: int) -> list[tuple[int, torch.Tensor]]:
    """Rows and segments of random windows of random training videos of THUMOS14."""
    import torch

    from actionspace.localization.data.truncate import Truncation, truncate

    draw = random.Random(step)
    known = json.loads(args.annotations.read_text(encoding="utf-8"))["database"].values()
    videos = [v for v in known if v["subset"].lower() == "validation" and v["annotations"]]
    windows = []
    for video in draw.sample(videos, args.batch):
        rate = video["fps"] / STRIDE  # rows per second
        spans = torch.tensor([event["segment"] for event in video["annotations"]]) * rate - OFFSET
        rows = int(video["duration"] * rate - OFFSET)
        window = truncate(rows, spans, OFFSET, Truncation(args.rows), draw.randint)
        windows.append((window.stop - window.start, window.segments))
    return windows


def batch_of(
    windows: list[tuple[int, torch.Tensor]], rows: int, args: argparse.Namespace
) -> dict[str, Any]:
    """Windows with random features, padded to a number of rows."""
    import torch

    draw = torch.Generator().manual_seed(1)
    features = torch.zeros(len(windows), DIM, rows)
    mask = torch.zeros(len(windows), 1, rows, dtype=torch.bool)
    videos = []
    for i, (length, segments) in enumerate(windows):
        features[i, :, :length] = torch.randn(DIM, length, generator=draw)
        mask[i, :, :length] = True
        labels = torch.randint(CLASSES, (len(segments),), generator=draw)
        videos.append({"segments": segments.to(args.device), "labels": labels.to(args.device)})
    return {"features": features.to(args.device), "mask": mask.to(args.device), "videos": videos}


def in_turn(
    sides: dict[str, Callable[[], Any]], repeats: int, device: str
) -> dict[str, list[tuple[float, float]]]:
    """Run every side once to warm up, then all in turn; wall and CPU seconds of each run."""
    import torch

    def settle() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(repeats + 1):
        for name, run in sides.items():
            settle()
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            settle()
            if number:
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return times


def summary(times: dict[str, list[tuple[float, float]]], base: str) -> dict[str, Any]:
    """Median seconds of each side, and how many times faster than the others ``base`` is."""
    found: dict[str, Any] = {}
    for i, kind in enumerate(("wall", "cpu")):
        found[f"{kind}_seconds"] = {
            name: round(median(run[i] for run in runs), 3) for name, runs in times.items()
        }
        found[f"{kind}_ratio"] = {
            name: round(median(o[i] / m[i] for o, m in zip(runs, times[base], strict=True)), 2)
            for name, runs in times.items()
            if name != base
        }
        # Where runs differ in size, a median does not tell what all of them cost.
        found[f"{kind}_ratio_of_sums"] = {
            name: round(sum(run[i] for run in runs) / sum(run[i] for run in times[base]), 2)
            for name, runs in times.items()
            if name != base
        }
    return found


def training(args: argparse.Namespace) -> dict[str, Any]:
    from actionspace.localization.network.padding import padded_length

    sides: dict[str, Any] = {"ours": Ours(args), "plain": Plain(args)}
    losses: dict[str, list[float]] = {name: [] for name in sides}
    lengths = []

    def batch(name: str, step: int) -> dict[str, Any]:
        drawn = thumos_windows(args, step) if args.annotations else full_windows(args)
        if name == "plain":
            return batch_of(drawn, args.rows, args)
        lengths.append([length for length, _ in drawn])
        longest = padded_length(sides["ours"].model.config, max(lengths[-1]))
        return batch_of(drawn, longest, args)

    batches = {name: [batch(name, i) for i in range(args.repeats + 1)] for name in sides}

    def stepper(name: str) -> Callable[[], None]:
        return lambda: losses[name].append(sides[name].step(batches[name][len(losses[name])]))

    times = in_turn({name: stepper(name) for name in sides}, args.repeats, args.device)
    bound = 1e-3 if args.precision == "float32" else 3e-2
    pairs = enumerate(zip(losses["ours"], losses["plain"], strict=True), 1)
    # AdamW makes steps of one size out of gradients near zero, so rounding adds up.
    if not all(abs(a - b) <= step * bound * abs(b) for step, (a, b) in pairs):
        raise SystemExit(f"The sides differ: {losses}.")
    if args.profile:
        profile(lambda: sides["ours"].step(batches["ours"][0]))
    return summary(times, "ours") | {"rows": lengths, "losses": losses["ours"]}


def inference(args: argparse.Namespace) -> dict[str, Any]:
    import torch
    from torch.nn import functional

    from actionformer_plain import PlainActionFormer
    from actionspace.localization.network.padding import padded_length

    model = network(args).eval()
    plain = PlainActionFormer(model)
    video = torch.randn(1, DIM, args.short, device=args.device)

    def padded(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        mask = torch.arange(rows, device=args.device)[None, None] < args.short
        return functional.pad(video, (0, rows - args.short)), mask

    rows = padded_length(model.config, args.short)
    sides: dict[str, Callable[[], Any]] = {
        "minimal": lambda: model(*padded(rows)),
        "full": lambda: model(*padded(args.rows)),
        "plain_full": lambda: plain(*padded(args.rows)),
    }
    with torch.inference_mode():
        little, much = sides["minimal"](), sides["full"]()
        for a, b in zip(little.levels(), much.levels(), strict=True):
            valid = a.mask[0]
            torch.testing.assert_close(
                a.logits[0, valid], b.logits[0, : len(valid)][valid], rtol=1e-5, atol=1e-5
            )
        times = in_turn(sides, args.repeats, args.device)
    return summary(times, "minimal") | {"rows": args.short, "padded_to": rows}


def profile(run: Callable[[], Any]) -> None:
    import sys

    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    with profiler(activities=[ProfilerActivity.CPU]) as seen:
        run()
    table = seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=25)
    print(table, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rows", type=int, default=2304)
    parser.add_argument("--short", type=int, default=800, help="rows of the short video")
    parser.add_argument("--annotations", type=Path, help="thumos14.json: windows of its videos")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--profile", action="store_true", help="print where our step's time goes")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch

    torch.set_num_threads(args.threads)
    step = training(args)
    result = {
        "benchmark": "localization_step",
        "config": "thumos14_i3d",
        "windows": "of training videos" if args.annotations else "full",
        "batch": [args.batch, DIM, args.rows],
        "device": args.device,
        "precision": args.precision,
        "compiled": args.compile,
        "threads": args.threads,
        "repeats": args.repeats,
        "training_step": step,
        "inference": inference(args),
        "targets": {"training_step": 1.5, "inference": 1.8},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
