"""One training step of Video Swin: LoRA against full fine-tuning.

Forward, backward and AdamW on the same clips, through the package's own model, adapters and
optimiser; with and without activation checkpointing, and with adapters in the last stage only.
Times are taken in turn, in one process, and compared pair by pair. Peak memory is that of a process
of its own for each side, the check that every adapter gets a gradient included: on a GPU what
PyTorch allocated, on a CPU the resident size, of which ``process_mib`` before the model is made.
Checked: adapters begin at nothing, so that the first loss is that of full fine-tuning;
checkpointing changes no loss. Prints one JSON object.

    python benchmarks/lora_step.py [--repeats 4] [--batch 1] [--threads 2] [--device cpu]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# What of the recipe each side sets; the first is what the others are compared with.
SIDES: dict[str, dict[str, Any]] = {
    "full": {"mode": "full"},
    "lora": {"mode": "lora"},
    "lora_last_stage": {"mode": "lora", "lora": {"stages": "last"}},
    "full_checkpointed": {"mode": "full", "training": {"activation_checkpointing": True}},
    "lora_checkpointed": {"mode": "lora", "training": {"activation_checkpointing": True}},
}
CLASSES = 10
MIB = 2**20


class Side:
    """A model with its optimiser, ready to step."""

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        import numpy as np

        from actionspace.config import merge
        from actionspace.encoders.create import create_encoder
        from actionspace.recognition.adapt import adapt
        from actionspace.recognition.head_model import HeadLoss, HeadModel, LinearLayer
        from actionspace.recognition.recipe import RecognitionRecipe
        from actionspace.training.optimizers import build_optimizer

        same = {"head": {"dropout": 0.0}, "lora": {"rank": 8, "targets": "qv"}}
        recipe = RecognitionRecipe.model_validate(merge(same, fields=SIDES[name]))
        # Without stochastic depth every side computes the same function at first.
        encoder = create_encoder(f"untrained:{args.encoder}", drop_path_rate=0.0)
        encoder.set_clip(replace(encoder.clip, frames=args.frames, size=args.size))
        adapt(encoder, recipe)
        self.model = HeadModel(
            LinearLayer(encoder.dim, CLASSES, recipe.head, seed=0),
            HeadLoss(np.arange(CLASSES), CLASSES, recipe.head),
            encoder,
            frozen=False,
        ).to(args.device)
        self.model.set_training()
        self.optimizer = build_optimizer(self.model, recipe.training.optimizer)
        self.losses: list[float] = []
        self._precision, self._device = args.precision, args.device

    @property
    def trained(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def step(self, clips: torch.Tensor, targets: torch.Tensor) -> None:
        import torch

        low = self._precision == "bfloat16"
        with torch.autocast(self._device, dtype=torch.bfloat16, enabled=low):
            loss = self.model.loss(self.model(clips).float(), targets)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses.append(float(loss.detach()))  # waits for the device


def batch(args: argparse.Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    torch.set_num_threads(args.threads)
    generator = torch.Generator().manual_seed(0)
    shape = (args.batch, args.frames, args.size, args.size, 3)
    clips = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return clips.to(args.device), (torch.arange(args.batch) % CLASSES).to(args.device)


def measure_times(args: argparse.Namespace) -> dict[str, Any]:
    """Step every side in turn; return seconds per step and losses."""
    data = batch(args)
    sides = {name: Side(name, args) for name in SIDES}
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    for repeat in range(args.repeats + 1):
        for name in list(SIDES)[:: 1 if repeat % 2 else -1]:
            began = time.perf_counter()
            sides[name].step(*data)
            if repeat:  # the first one warms up
                seconds[name].append(time.perf_counter() - began)
    losses = {name: side.losses for name, side in sides.items()}
    trained = {name: side.trained for name, side in sides.items()}
    return {"seconds": seconds, "losses": losses, "trained": trained}


def measure_memory(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Do two steps of one side; return the most memory it had."""
    from actionspace.training.environment import peak_gpu_memory_bytes, peak_memory_bytes

    def peak() -> int:
        return peak_gpu_memory_bytes(args.device) or peak_memory_bytes() or 0

    data = batch(args)
    before = peak()
    side = Side(name, args)
    for _ in range(2):  # the optimiser's averages are there from the first one on
        side.step(*data)
    return {"process_mib": round(before / MIB), "peak_mib": round(peak() / MIB)}


def in_process(part: str) -> Any:
    """Run a part in a process of its own; this one stays small, since a child's peak is counted
    from its parent's size on.
    """
    command = [sys.executable, __file__, *sys.argv[1:], "--part", part]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(found.stdout)


def summary(times: dict[str, Any], memory: dict[str, Any]) -> dict[str, Any]:
    losses = times["losses"]
    for name in SIDES:
        if not _close(losses[name][0], losses["full"][0]):
            raise SystemExit(f"{name} begins at another loss than full fine-tuning; no ratio.")
    for mode in ("full", "lora"):
        if not all(map(_close, losses[f"{mode}_checkpointed"], losses[mode])):
            raise SystemExit(f"Checkpointing changes the losses of mode={mode}.")
    full = times["seconds"]["full"]
    return {
        name: {
            "seconds_per_step": round(median(times["seconds"][name]), 3),
            "faster_than_full": round(
                median(a / b for a, b in zip(full, times["seconds"][name], strict=True)), 2
            ),
            **memory[name],
            "memory_of_full": round(memory[name]["peak_mib"] / memory["full"]["peak_mib"], 2),
            "trained_parameters": times["trained"][name],
        }
        for name in SIDES
    }


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-3 * max(1.0, abs(b))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="swin3d_t")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    if args.part:
        found = measure_times(args) if args.part == "times" else measure_memory(args.part, args)
        print(json.dumps(found))
        return
    memory = {name: in_process(name) for name in SIDES}
    result = {
        "benchmark": "lora_step",
        "encoder": args.encoder,
        "clips": [args.batch, 3, args.frames, args.size, args.size],
        "device": args.device,
        "precision": args.precision,
        "threads": args.threads,
        "repeats": args.repeats,
        "sides": summary(in_process("times"), memory),
        "target": "lora faster and smaller than full",
    }
    lora = result["sides"]["lora"]
    result["reached"] = lora["faster_than_full"] > 1 and lora["memory_of_full"] < 1
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
