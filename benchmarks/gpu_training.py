"""Training steps per second on a GPU: eager float32 against the trainer's options.

X3D-M (16 x 224 x 224) and Video Swin-B (32 x 224 x 224), full fine-tuning: forward, backward and
AdamW on clips that lie on the device already. ``eager_float32`` is the plain way: PyTorch's own
AdamW, no autocast, no TF32. The others go through ``training.machine`` and ``training.optimizers``
as a recipe with ``training.precision`` and ``training.compile`` does (fused AdamW).
``..._channels_last`` adds channels_last_3d, which is no option of a recipe. Each side has a process
of its own; the loss of the first step must agree. Prints one JSON object.

    python benchmarks/gpu_training.py [--models x3d_m,swin3d_b] [--steps 20]
    python benchmarks/gpu_training.py --device cpu --small     # does it run at all?
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

Clips = tuple["torch.Tensor", "torch.Tensor"]

SIDES: dict[str, dict[str, Any] | None] = {
    "eager_float32": None,
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16_compiled": {"precision": "bfloat16", "compile": True},
    "bfloat16_compiled_channels_last": {"precision": "bfloat16", "compile": True},
}
CLASSES = 400
WARM_UP = 5
MIB = 2**20


@dataclass(frozen=True)
class Size:
    """Clips of a model, and options that make it small."""

    batch: int
    frames: int
    side: int
    options: dict[str, Any]


FULL = {"x3d_m": Size(32, 16, 224, {}), "swin3d_b": Size(8, 32, 224, {})}
SMALL = {
    "x3d_m": Size(2, 4, 64, {}),
    "swin3d_b": Size(
        2, 4, 64, {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}
    ),
}


def stepper(model_name: str, size: Size, side: str, device: str) -> Callable[[Clips], torch.Tensor]:
    """Return a function that does one step and returns its loss."""
    import numpy as np
    import torch

    from actionspace.encoders.create import create_encoder
    from actionspace.recognition.head_model import HeadLoss, HeadModel, LinearLayer
    from actionspace.recognition.recipe import HeadConfig
    from actionspace.training.machine import set_up
    from actionspace.training.optimizers import build_optimizer
    from actionspace.training.options import TrainingConfig

    encoder = create_encoder(f"untrained:{model_name}", **size.options)
    encoder.requires_grad_(True)
    config = HeadConfig(dropout=0.0)
    head = LinearLayer(encoder.dim, CLASSES, config, seed=0)
    loss = HeadLoss(np.arange(CLASSES), CLASSES, config)
    model = HeadModel(head, loss, encoder, frozen=False)
    options = SIDES[side]
    training = TrainingConfig.model_validate(options or {"precision": "float32"})
    machine = set_up(model, training, device)
    run = machine.place(model, training)
    if side.endswith("channels_last"):
        model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    model.set_training()
    if options is None:
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    else:
        optimizer = build_optimizer(model, training.optimizer)

    def step(clips: Clips) -> torch.Tensor:
        torch.manual_seed(0)  # stochastic depth drops the same paths on every side
        with machine.autocast():
            value = loss(run(clips[0]).float(), clips[1])
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return value.detach()  # type: ignore[no-any-return]

    return step


def measure(model_name: str, side: str, args: argparse.Namespace) -> dict[str, Any]:
    """Time the steps of one side."""
    import torch

    from actionspace.training.environment import peak_gpu_memory_bytes, peak_memory_bytes

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    size = (SMALL if args.small else FULL)[model_name]
    generator = torch.Generator().manual_seed(0)
    shape = (args.batch or size.batch, size.frames, size.side, size.side, 3)
    clips = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    data = clips.to(args.device), torch.arange(len(clips)).to(args.device) % CLASSES
    step = stepper(model_name, size, side, args.device)
    losses, seconds = [], []
    for _ in range(WARM_UP + args.steps):
        began = time.perf_counter()
        losses.append(float(step(data)))  # waits for the device
        seconds.append(time.perf_counter() - began)
    peak = peak_gpu_memory_bytes(args.device) or peak_memory_bytes() or 0
    return {
        "clips": list(shape),
        "seconds_per_step": round(median(seconds[WARM_UP:]), 5),
        "clips_per_second": round(len(clips) / median(seconds[WARM_UP:]), 2),
        "warm_up_seconds": round(sum(seconds[:WARM_UP]), 1),
        "peak_mib": round(peak / MIB),
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }


def in_process(model_name: str, side: str) -> dict[str, Any]:
    command = [sys.executable, __file__, *sys.argv[1:], "--part", f"{model_name}:{side}"]
    found = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if found.returncode:
        return {"failed": f"{model_name}, {side} ended with {found.returncode}; see above."}
    parsed: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return parsed


def compare(model_name: str, sides: list[str]) -> dict[str, Any]:
    found = {side: in_process(model_name, side) for side in sides}
    base = found["eager_float32"]
    for row in found.values():
        if "failed" in base or "failed" in row:
            continue
        if abs(row["first_loss"] - base["first_loss"]) > 0.02 * abs(base["first_loss"]):
            row["failed"] = "its first loss differs; its ratio means nothing"
            continue
        row["faster_than_eager_float32"] = round(
            row["clips_per_second"] / base["clips_per_second"], 2
        )
    return found


def device_name(device: str) -> str:
    import torch

    if device == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        sys.exit(
            "No GPU is to be had here, and on a CPU the full sizes take hours and tell nothing. "
            "Run it on a machine with a CUDA device; --device cpu --small only shows that it runs."
        )
    return torch.cuda.get_device_name()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="x3d_m,swin3d_b")
    parser.add_argument("--sides", help=f"comma-separated, of {', '.join(SIDES)}")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, help="clips per step, instead of each model's own")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny clips, a tiny Swin")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps(measure(*args.part.split(":"), args)))
        return
    if args.device == "cpu" and not args.small:
        sys.exit("On a CPU the full sizes take hours and tell nothing: add --small.")
    import torch

    sides = args.sides.split(",") if args.sides else list(SIDES)
    if "eager_float32" not in sides:
        sides = ["eager_float32", *sides]
    result: dict[str, Any] = {
        "benchmark": "gpu_training",
        "device": device_name(args.device),
        "small": args.small,
        "torch": torch.__version__,
        "steps": args.steps,
        "models": {name: compare(name, sides) for name in args.models.split(",")},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
